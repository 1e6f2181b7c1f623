import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { SinkConfig, openSink } from '../../../src/record/registry.ts'
import { mintCertificate, type Minted } from '../../support/certificate.ts'
import { CertifiedUpstream } from '../../support/certified-upstream.ts'
import { sinkServices, storedLine } from '../../support/sink-rig.ts'

const folder = mkdtempSync(join(tmpdir(), 'sink-tls-'))
afterAll(() => rmSync(folder, { recursive: true }))
const live = new AbortController().signal

function keep(name: string, { cert, key }: Minted): { readonly cert: { file: string }; readonly key: { file: string } } {
  writeFileSync(join(folder, `${name}.pem`), cert)
  writeFileSync(join(folder, `${name}.key`), key)
  return { cert: { file: join(folder, `${name}.pem`) }, key: { file: join(folder, `${name}.key`) } }
}

test('a sink trusts the authority it is given and no other, shows its certificate, and shows the next one once the file has it', async () => {
  await using receiver = await CertifiedUpstream.start()
  const mine = (): Minted => mintCertificate({ names: ['countersign'], issuer: receiver.authority })
  keep('ca', receiver.authority)
  const tls = { ca: { file: join(folder, 'ca.pem') }, ...keep('client', mine()) }
  const settings = { type: 'opa', url: receiver.url, timeout: '5s' }
  const sink = openSink(SinkConfig.parse({ ...settings, tls }), sinkServices()).sink
  await sink.write([storedLine(1)], live)
  await sink.write([storedLine(2)], live)
  keep('client', mine())
  await sink.write([storedLine(3)], live)
  await sink.close()
  expect(new Set(receiver.connections.map(({ serial }) => serial)).size).toBe(2)
  expect(receiver.seen).toHaveLength(3)

  const stranger = openSink(SinkConfig.parse(settings), sinkServices()).sink
  await expect(stranger.write([storedLine(1)], live)).rejects.toMatchObject({ reason: 'unreachable' })
  await stranger.close()
  expect(receiver.seen).toHaveLength(3)
})
