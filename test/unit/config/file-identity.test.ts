import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { fileIdentity } from '../../../src/config/file-identity.ts'
import type { ServerIdentity } from '../../../src/listen/server-identity.ts'
import { mintCertificate, type Minted } from '../../support/certificate.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-identity-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const hour = 3_600_000
let pairs = 0

/** Two files, and what was logged of them. */
function pairOf(minted: Minted): {
  readonly cert: string
  readonly key: string
  readonly logged: string[]
  readonly open: () => ServerIdentity
} {
  const [cert, key] = [join(folder, `${++pairs}.pem`), join(folder, `${pairs}.key`)]
  writeFileSync(cert, minted.cert)
  writeFileSync(key, minted.key)
  const logged: string[] = []
  const keep = (fields: object, message: string): void => void logged.push(`${message} ${JSON.stringify(fields)}`)
  return { cert, key, logged, open: () => fileIdentity({ cert, key, log: { info: keep, warn: keep } }) }
}

test('a pair is served until the first certificate of its chain expires', () => {
  const until = Math.floor(Date.now() / 1000) * 1000 + hour
  const middle = mintCertificate({ ca: true, until })
  const leaf = mintCertificate({ names: ['a.acme.example'], issuer: middle, until: until + hour })
  const files = pairOf({ ...leaf, cert: leaf.cert + middle.cert })
  const identity = files.open()
  expect(identity.current()).toMatchObject({ expires: until })
  expect(identity.current()?.cert.toString()).toBe(leaf.cert + middle.cert)
  expect(identity.current()).toBe(identity.current())
})

test('a new pair is taken once both files are there; until then, and when it is bad, the one before stays', () => {
  const [before, after] = [mintCertificate({}), mintCertificate({})]
  const files = pairOf(before)
  const identity = files.open()
  const first = identity.current()
  writeFileSync(files.cert, after.cert)
  expect(identity.current()).toBe(first)
  expect(identity.current()).toBe(first)
  expect(files.logged).toHaveLength(1)
  expect(files.logged[0]).toContain('is not that of the first certificate')
  writeFileSync(files.key, after.key)
  expect(identity.current()?.cert.toString()).toBe(after.cert)
  rmSync(files.cert)
  expect(identity.current()?.cert.toString()).toBe(after.cert)
  writeFileSync(files.cert, 'hello')
  expect(identity.current()?.cert.toString()).toBe(after.cert)
  expect(files.logged.slice(1).map((line) => line.split(' {')[0])).toEqual([
    'a listener has a new certificate',
    'a new certificate cannot be used; the one before stays',
    'a new certificate cannot be used; the one before stays',
  ])
})

test.each<[string, (cert: string, key: string) => void, RegExp]>([
  ['no certificate file', (cert) => rmSync(cert), /\.pem cannot be read: ENOENT/],
  ['no key file', (_cert, key) => rmSync(key), /\.key cannot be read: ENOENT/],
  ['a file that holds no certificate', (cert) => writeFileSync(cert, 'hello'), /holds no certificate chain: write it as PEM/],
  [
    'a certificate that is none',
    (cert) => writeFileSync(cert, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'),
    /holds no certificate chain/,
  ],
  ['a file that holds no key', (_cert, key) => writeFileSync(key, 'hunter2'), /holds no private key that can be read/],
  ['the key of another', (_cert, key) => writeFileSync(key, mintCertificate({}).key), /is not that of the first certificate/],
])('%s is an error at the start that says what to do, and shows nothing of a key', (_what, spoil, says) => {
  const files = pairOf(mintCertificate({}))
  spoil(files.cert, files.key)
  expect(files.open).toThrow(says)
  expect(files.open).not.toThrow(/hunter2|BEGIN/)
})
