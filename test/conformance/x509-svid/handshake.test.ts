import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { basicConstraints, keyUsage, name } from '../../../src/demo/certificate.ts'
import { makeAuthority } from '../../../src/demo/x509.ts'
import { verifyX509Svid } from '../../../src/identify/x509/svid.ts'
import { handshake } from '../../support/handshake.ts'
import { ders, verdict, whyOf } from '../../support/svid-verdict.ts'
import {
  clientAuth,
  constrainNames,
  dns,
  ecKeys,
  flipCritical,
  hour,
  makeCa,
  makeLeaf,
  namesOf,
  now,
  purposes,
  rsaKeys,
  serverAuth,
  uri,
  uriNames,
  workload,
} from '../../support/x509.ts'
import type { Made, Shape } from '../../support/x509.ts'

const root = makeCa()

describe('through a real TLS handshake', () => {
  const verify = async (chain: readonly Made[], authorities: readonly Made[] = [root]) => {
    const seen = await handshake(chain)
    return whyOf(() => verifyX509Svid(seen.chain, ders(authorities), now))
  }

  test('[X509-SVID §5.1] a leaf and the CA between are verified', async () => {
    const between = makeCa({}, root)
    const leaf = makeLeaf({}, between)
    const { chain } = await handshake([leaf, between])
    expect(chain.map((each) => Buffer.from(each))).toEqual([leaf.der, between.der])
    expect(verifyX509Svid(chain, [root.der], now).id.id).toBe(workload)
  })

  test('[X509-SVID §4.1; X509-SVID §5.2] a leaf whose cA is true is refused, though TLS lets it in', async () => {
    const ca = makeLeaf({ basicConstraints: basicConstraints(true) }, root)
    const signing = makeLeaf({ basicConstraints: basicConstraints(true), keyUsage: keyUsage(0, 5) }, root)
    expect((await handshake([ca], [root])).authorized).toBe(true)
    expect((await handshake([signing], [root])).authorized).toBe(true)
    expect(await verify([ca])).toBe('usage')
    expect(await verify([signing])).toBe('usage')
  })

  test('[X509-SVID §2; X509-SVID §3.1] a leaf with two IDs or with that of the trust domain is refused, though TLS lets it in', async () => {
    const two = makeLeaf({ names: uriNames(workload, 'spiffe://acme.example/admin') }, root)
    const domain = makeLeaf({ names: uriNames('spiffe://acme.example') }, root)
    for (const leaf of [two, domain]) {
      expect((await handshake([leaf], [root])).authorized).toBe(true)
      expect(await verify([leaf])).toBe('id')
    }
  })

  test('[X509-SVID §3.2] the authority itself is refused, though TLS lets it in', async () => {
    const selfWithPath = makeCa({ names: uriNames(workload), keyUsage: keyUsage(0, 5) })
    expect((await handshake([selfWithPath], [selfWithPath])).authorized).toBe(true)
    expect(await verify([selfWithPath], [selfWithPath])).toBe('usage')
  })

  test('[Countersign: a bundle is chosen by the presented ID] a leaf of another root is refused', async () => {
    const partner = makeCa({ names: uriNames('spiffe://partner.example') })
    expect(await verify([makeLeaf({}, partner), partner])).toBe('chain')
  })

  test('[X509-SVID §5.1] what the development authority issues is taken by us and by TLS', async () => {
    const authority = makeAuthority({ trustDomain: 'acme.example', seconds: 3600 })
    const keys = ecKeys()
    const issued = authority.issue({ id: workload, seconds: 60, publicKey: keys.publicKey, dns: ['agent.acme.example'] })
    const made: Made = { der: issued.chain[0] ?? Buffer.alloc(0), keys, subject: Buffer.alloc(0), keyId: Buffer.alloc(0) }
    const seen = await handshake([made], [{ ...made, der: authority.certificate }])
    expect(seen.authorized).toBe(true)
    expect(verifyX509Svid([made.der], [authority.certificate], Date.now())).toMatchObject({ id: { id: workload }, expires: issued.expires })
  })
})

const mostly = <T>(usual: T, ...others: readonly T[]): fc.Arbitrary<T> =>
  fc.oneof({ weight: 12, arbitrary: fc.constant(usual) }, ...others.map((each) => ({ weight: 1, arbitrary: fc.constant(each) })))

const times = {
  notBefore: mostly<number>(now - hour, now + hour),
  notAfter: mostly<number>(now + 2 * hour, now + 5 * hour, now - 1000),
}

const caShape: fc.Arbitrary<Shape> = fc.record({
  ...times,
  names: mostly<Uint8Array | null>(
    uriNames('spiffe://acme.example'),
    null,
    uriNames('spiffe://other.example'),
    uriNames('spiffe://acme.example/ca'),
  ),
  basicConstraints: mostly<Uint8Array | null>(
    basicConstraints(true),
    basicConstraints(true, 0),
    basicConstraints(true, 1),
    basicConstraints(false),
    null,
  ),
  keyUsage: mostly<Uint8Array | null>(keyUsage(5, 6), keyUsage(5), keyUsage(6), flipCritical(keyUsage(5)), null),
  extendedKeyUsage: mostly<Uint8Array | null>(null, purposes(serverAuth, clientAuth), purposes(serverAuth), purposes(clientAuth)),
  nameConstraints: mostly<Uint8Array | null>(
    null,
    constrainNames({ permitted: [uri('acme.example')] }),
    constrainNames({ permitted: [uri('.example')] }),
    constrainNames({ excluded: [uri('acme.example')] }),
    constrainNames({ permitted: [dns('acme.example')] }),
  ),
  subject: fc.constantFrom(name('Acme', 'one'), name('Acme', 'two'), name('Acme', 'three')),
})

const leafShape: fc.Arbitrary<Shape> = fc.record({
  ...times,
  names: mostly<Uint8Array | null>(
    uriNames(workload),
    namesOf(true, dns('a.acme.example'), uri(workload)),
    uriNames('spiffe://sub.example/x'),
    null,
  ),
  basicConstraints: mostly<Uint8Array | null>(basicConstraints(false), null, basicConstraints(true)),
  keyUsage: mostly<Uint8Array | null>(keyUsage(0), keyUsage(0, 2, 4), keyUsage(2), null),
  extendedKeyUsage: mostly<Uint8Array | null>(purposes(serverAuth, clientAuth), null, purposes(serverAuth), purposes(clientAuth)),
})

test('[RFC 5280 §6.1; X509-SVID §5.1] what is accepted here, TLS accepts with the same authorities: two hundred chains made at random', async () => {
  const seen = { taken: 0, refused: 0 }
  const property = fc.asyncProperty(
    fc.array(caShape, { minLength: 1, maxLength: 3 }),
    leafShape,
    fc.integer({ min: 0, max: 3 }),
    fc.constantFrom(
      () => ecKeys(),
      () => ecKeys('P-384'),
      () => rsaKeys(),
    ),
    async (shapes, leafIs, missing, anchorKeys) => {
      const cas: Made[] = []
      // a key of its own for each: TLS tries one path alone, and two CAs of one name and one key are two
      for (const [at, shape] of shapes.entries()) cas.push(makeCa({ ...shape, keys: at === 0 ? anchorKeys() : ecKeys() }, cas.at(-1)))
      const leaf = makeLeaf(leafIs, cas.at(-1) ?? root)
      const [anchor = root, ...between] = cas
      // sometimes one between is not presented
      const presented = [leaf, ...between.filter((_, at) => missing !== at + 1).reverse()]
      if (verdict(presented, [anchor]) === null) {
        seen.taken++
        expect((await handshake(presented, [anchor])).authorized).toBe(true)
      } else seen.refused++
    },
  )
  await fc.assert(property, { numRuns: 200 })
  expect(seen.taken).toBeGreaterThan(10)
  expect(seen.refused).toBeGreaterThan(10)
})
