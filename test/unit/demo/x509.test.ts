import { createPrivateKey, X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { makeAuthority } from '../../../src/demo/x509.ts'
import { readCertificate } from '../../../src/identify/x509/certificate.ts'
import { readAuthority, verifyX509Svid } from '../../../src/identify/x509/svid.ts'
import { whyOf } from '../../support/svid-verdict.ts'
import { ecKeys, now } from '../../support/x509.ts'

const clock = () => now + 250
const authority = makeAuthority({ trustDomain: 'acme.example', seconds: 3600, clock })
const id = 'spiffe://acme.example/agent'

describe('a development authority', () => {
  test('is fit to be one, and is an SVID of its trust domain itself', () => {
    expect(whyOf(() => readAuthority(authority.certificate))).toBe(null)
    const read = readCertificate(authority.certificate)
    expect(read.extensions.names).toEqual([{ form: 'uri', text: 'spiffe://acme.example' }])
    expect(read).toMatchObject({ subject: read.issuer, notAfter: authority.expires })
  })

  test('issues a leaf that lives at least as long as asked and starts a little in the past', () => {
    const issued = authority.issue({ id, seconds: 60 })
    const svid = verifyX509Svid(issued.chain, [authority.certificate], clock())
    expect(svid).toMatchObject({ id: { id }, expires: issued.expires })
    expect(issued.expires - clock()).toBeGreaterThanOrEqual(60_000)
    expect(issued.expires - clock()).toBeLessThan(61_000)
    expect(clock() - svid.notBefore).toBeGreaterThanOrEqual(10_000)
  })

  test('gives the key with the leaf, as PKCS#8, unless it was handed a public key', () => {
    const issued = authority.issue({ id, seconds: 60 })
    const key = createPrivateKey({ key: Buffer.from(issued.key ?? []), format: 'der', type: 'pkcs8' })
    expect(new X509Certificate(issued.chain[0] ?? '').checkPrivateKey(key)).toBe(true)
    const { publicKey, privateKey } = ecKeys()
    const other = authority.issue({ id, seconds: 60, publicKey })
    expect(other.key).toBe(null)
    expect(new X509Certificate(other.chain[0] ?? '').checkPrivateKey(privateKey)).toBe(true)
  })

  test('writes DNS names beside the ID, and no serial number twice', () => {
    const issued = Array.from({ length: 20 }, () => authority.issue({ id, seconds: 60, dns: ['agent.acme.example'] }))
    const read = issued.map(({ chain }) => readCertificate(chain[0] ?? Buffer.alloc(0)))
    expect(read[0]?.extensions.names).toContainEqual({ form: 'dns', text: 'agent.acme.example' })
    expect(new Set(read.map(({ serial }) => serial)).size).toBe(20)
  })

  test('is not taken for another of the same trust domain', () => {
    const other = makeAuthority({ trustDomain: 'acme.example', seconds: 3600, clock })
    expect(whyOf(() => verifyX509Svid(authority.issue({ id, seconds: 60 }).chain, [other.certificate], clock()))).toBe('chain')
  })
})
