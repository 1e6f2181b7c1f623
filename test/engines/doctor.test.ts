import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Command, countersign } from '../support/command-line.ts'
import { doctorConfig } from '../support/doctor-rig.ts'
import { findSpire, Spire } from '../support/spire.ts'

/** `countersign doctor` against a real SPIRE, where it is installed: `npm run engines -- spire-server spire-agent`, or on the PATH. */

const absent = findSpire() === null
const title = absent
  ? 'doctor and SPIRE (left out: spire-server and spire-agent are neither in .engines/bin nor on the PATH)'
  : 'doctor and SPIRE'
if (absent) console.log('test/engines/doctor.test.ts is left out: there is no spire-server and spire-agent')

const own = 'spiffe://acme.example/countersign'

describe.skipIf(absent)(title, () => {
  let spire: Spire
  beforeAll(async () => {
    spire = await Spire.start('acme.example')
  })
  afterAll(() => spire[Symbol.asyncDispose]())

  it('agree that there is no entry, and find one that is made while doctor waits', async () => {
    const without = await countersign(['doctor', '--socket', spire.socket, '--wait', '0s'])
    expect(without).toMatchObject({ code: 1, stdout: expect.stringContaining('CS2009') })
    await using waiting = new Command(['doctor', '--socket', spire.socket, '--wait', '60s'])
    await waiting.until(({ stderr }) => stderr.includes('waiting'))
    await using _ = await spire.create({ id: own })
    expect(await waiting.exited).toBe(0)
    expect(waiting.stdout).toContain(`default ${own}`)
  })

  it('agree on SVIDs, tokens, bundles and the bundle endpoint', async () => {
    await using _ = await spire.create({ id: own })
    const bootstrap = join(spire.folder, 'doctor-bootstrap.json')
    writeFileSync(bootstrap, await spire.ask('bundle', 'show', '-format', 'spiffe'))
    const look = async (id: string, socket: object): Promise<readonly { readonly code: string | null; readonly subject: string }[]> => {
      const from = { url: spire.bundleUrl, profile: 'https_spiffe', id, bootstrap: { file: bootstrap } }
      const path = join(spire.folder, 'countersign.yaml')
      writeFileSync(
        path,
        doctorConfig({
          sources: [
            { type: 'bundle', trust_domain: 'acme.example', from },
            { type: 'spiffe', ...socket, oracle: true },
          ],
        }),
      )
      const args = ['doctor', '--config', path, '--wait', '30s', '-o', 'json']
      return JSON.parse((await countersign(args, { env: { SPIFFE_ENDPOINT_SOCKET: spire.socket } })).stdout).checks
    }
    expect((await look('spiffe://acme.example/spire/server', {})).filter(({ code }) => code !== null)).toEqual([])
    const wrong = await look(own, { socket: spire.socket })
    expect(wrong.filter(({ code }) => code !== null).map(({ code, subject }) => `${code} ${subject}`)).toContain(
      'CS2505 identify.sources[0]',
    )
  })
})
