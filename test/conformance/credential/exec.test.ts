import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CredentialProvider, Issued } from '../../../src/credential/credential.ts'
import { Unanswered } from '../../../src/credential/provider.ts'
import { Refusal } from '../../../src/refusal.ts'
import { Secret } from '../../../src/secret.ts'
import { refusalOf } from '../../support/identity-rig.ts'
import { calm, provider, providerServices, wanted } from '../../support/provider-rig.ts'

let folder: string
const services = providerServices({}, Date.now)
const caller = wanted().caller

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'exec-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** A plug-in whose body is this script; it has the request as `asked`. */
function plugin(name: string, body: string): string {
  const file = join(folder, name)
  const head = `#!${process.execPath}\nconst fs = require('node:fs')\nconst asked = JSON.parse(fs.readFileSync(0, 'utf8'))\n`
  writeFileSync(file, head + body)
  chmodSync(file, 0o755)
  return file
}

const answer = (over = ''): string => `
const { scopes, audience, ttlSeconds } = asked.spec
const status = { secret: 's3cret-of-' + asked.spec.lease, expires: new Date(Date.now() + ttlSeconds * 1000).toISOString(), scopes, audience, handle: 'handle-1' }
${over}
console.error('s3cret-of-' + asked.spec.lease)
console.log(JSON.stringify({ apiVersion: 'countersign/v1', kind: 'Credential', status }))
`

function opened(command: string, changes: object = {}): CredentialProvider {
  return provider({ type: 'exec', command, scope: ['a', 'b'], audience: 'https://crm.acme.example', ...changes }, services)
}

function issue(from: CredentialProvider, signal = calm): Promise<Issued> {
  return from.issue(wanted({ scopes: ['a'], audience: 'https://crm.acme.example', ttl: 30_000 }), signal)
}

describe('a credential plug-in', () => {
  it('is told of the lease, its task and what is wanted, and nothing secret', async () => {
    const file = join(folder, 'told.json')
    await issue(
      opened(plugin('told', `fs.writeFileSync(${JSON.stringify(file)}, JSON.stringify([asked, process.env]))${answer()}`), {
        env: { LEVEL: '1' },
      }),
    )
    const [asked, env] = JSON.parse(readFileSync(file, 'utf8'))
    const { lease, task, tool, destination } = wanted()
    expect(asked).toEqual({
      apiVersion: 'countersign/v1',
      kind: 'CredentialRequest',
      spec: { lease, task, caller, tool, destination, scopes: ['a'], audience: 'https://crm.acme.example', ttlSeconds: 30 },
    })
    // nothing of our own environment reaches it
    expect(env).toEqual({ PATH: '/usr/local/bin:/usr/bin:/bin', LEVEL: '1' })
  })

  it('gives a credential that only its expiry ends, unless it says that it revokes', async () => {
    const command = plugin('plain', answer())
    expect(await issue(opened(command))).toMatchObject({ revocation: 'expiry', handle: null, scopes: ['a'], excess: null })
    const issued = await issue(opened(command, { revokes: true }))
    expect(issued.revocation).toBe('issuer')
    expect(issued.handle?.reveal()).toBe('handle-1')
  })

  it('may give a name and further secrets beside the first', async () => {
    const issued = await issue(opened(plugin('parts', answer(`status.user = 'app-1'; status.parts = { certificate: 'PEM' }`))))
    expect(issued.user).toBe('app-1')
    expect(issued.parts?.['certificate']?.reveal()).toBe('PEM')
  })

  it('takes back what it gave', async () => {
    const file = join(folder, 'revoked.json')
    const from = opened(plugin('revokes', `fs.writeFileSync(${JSON.stringify(file)}, JSON.stringify(asked))`), { revokes: true })
    await from.revoke?.(new Secret('handle-1'), calm)
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({
      apiVersion: 'countersign/v1',
      kind: 'CredentialRevocation',
      spec: { handle: 'handle-1' },
    })
  })

  it('that fails to take it back is asked again: no exit but 0 is a confirmation', async () => {
    const from = opened(plugin('refuses', 'process.exit(1)'), { revokes: true })
    expect((await refusalOf(() => from.revoke?.(new Secret('handle-1'), calm)))?.detail).toContain('exit code 1')
  })
})

describe('what a plug-in gives is held to what was asked', () => {
  it.each([
    ['another scope', `status.scopes = ['a', 'root']`],
    ['another audience', `status.audience = 'https://other.acme.example'`],
    ['no audience', `delete status.audience`],
    ['a longer life that nothing ends', `status.expires = new Date(Date.now() + 3600e3).toISOString()`],
  ])('%s is too wide', async (what, over) => {
    expect((await issue(opened(plugin(`wide-${what.replaceAll(' ', '-')}`, answer(over))))).excess).toEqual(expect.any(String))
  })
})

describe('a plug-in that does not work', () => {
  it.each([
    ['says nothing', ''],
    ['writes no JSON', 'console.log("Bearer s3cret")'],
    ['writes another document', 'console.log(JSON.stringify({ apiVersion: "v1", kind: "Secret" }))'],
    ['writes a member that is not known', answer('status.token = "s3cret"')],
    ['writes too much', 'console.log("x".repeat(300000))'],
    ['ends with an error', 'console.error("s3cret"); process.exit(3)'],
  ])('and %s: nobody knows what it did, and nothing of what it wrote is repeated', async (what, body) => {
    const refusal = await refusalOf(() => issue(opened(plugin(`bad-${what.replaceAll(/\W/g, '-')}`, body))))
    expect(refusal?.code).toBe('credential.unavailable')
    expect(refusal?.cause).toBeInstanceOf(Unanswered)
    expect(JSON.stringify([refusal?.detail, refusal?.message])).not.toContain('s3cret')
  })

  it('for it is not there has done nothing', async () => {
    const refusal = await refusalOf(() => issue(opened(join(folder, 'absent'))))
    expect(refusal?.detail).toContain('ENOENT')
    expect(refusal?.cause).toBeUndefined()
  })

  it('in time is killed, with all that it started', async () => {
    const file = join(folder, 'pid')
    const body = `const child = require('node:child_process').spawn('sleep', ['1000'], { stdio: 'ignore' }); fs.writeFileSync(${JSON.stringify(file)}, String(child.pid)); setInterval(() => {}, 1000)`
    const stop = new AbortController()
    const asked = refusalOf(() => issue(opened(plugin('late', body), { timeout: '30s' }), stop.signal))
    await expect.poll(() => existsSync(file) && readFileSync(file, 'utf8')).toBeTruthy()
    stop.abort(new Refusal('task.ended'))
    expect((await asked)?.code).toBe('task.ended')
    await expect.poll(() => isRunning(Number(readFileSync(file, 'utf8')))).toBe(false)
  })

  it('within its time is given up', async () => {
    const refusal = await refusalOf(() => issue(opened(plugin('hangs', 'setInterval(() => {}, 1000)'), { timeout: '300ms' })))
    expect(refusal?.detail).toContain('in time')
  })
})

/** A zombie that nobody has reaped yet runs no more. */
function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}
