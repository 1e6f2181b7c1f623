import { describe, expect, test } from 'vitest'
import { basicConstraints, extension, keyUsage, name } from '../../../src/demo/certificate.ts'
import { octets, sequence } from '../../../src/demo/der.ts'
import { readAuthority, verifyPeerOf, verifyX509Svid } from '../../../src/identify/x509/svid.ts'
import { ders, invalid, verdict, whyOf } from '../../support/svid-verdict.ts'
import {
  clientAuth,
  ecKeys,
  flipCritical,
  hour,
  make,
  makeCa,
  makeLeaf,
  now,
  purposes,
  rsaKeys,
  serverAuth,
  uriNames,
  workload,
} from '../../support/x509.ts'
import type { Shape } from '../../support/x509.ts'

/** As an authority by itself, as one that a bundle holds, and as one between: all three must agree. */
function asSigner(shape: Shape): string | null {
  const root = makeCa()
  const bundled = makeCa(shape)
  const between = makeCa(shape, root)
  const alone = whyOf(() => readAuthority(bundled.der))
  const inBundle = verdict([makeLeaf({}, bundled)], [bundled])
  const above = verdict([makeLeaf({}, between), between], [root])
  expect(inBundle === null).toBe(alone === null)
  expect(above).toBe(alone)
  return alone
}

describe('a certificate that signs others', () => {
  test('[X509-SVID §3.2; X509-SVID §4.1] is a CA with keyCertSign', () => {
    expect(asSigner({})).toBe(null)
    expect(asSigner({ basicConstraints: basicConstraints(false) })).toBe('usage')
    expect(asSigner({ basicConstraints: null })).toBe('usage')
  })

  test('[X509-SVID §4.3; RFC 5280 §4.2.1.3] has keyCertSign in its keyUsage, and may have cRLSign', () => {
    expect(asSigner({ keyUsage: keyUsage(5) })).toBe(null)
    expect(asSigner({ keyUsage: keyUsage(5, 6) })).toBe(null)
    expect(asSigner({ keyUsage: keyUsage(6) })).toBe('usage')
    expect(asSigner({ keyUsage: keyUsage(0) })).toBe('usage')
    expect(asSigner({ keyUsage: null })).toBe('usage')
  })

  test('[X509-SVID §4.3] has a critical keyUsage when it is an SVID itself; a CA without a SPIFFE ID need not', () => {
    expect(asSigner({ keyUsage: flipCritical(keyUsage(5)) })).toBe('usage')
    expect(asSigner({ keyUsage: flipCritical(keyUsage(5)), names: null })).toBe(null)
  })

  test('[X509-SVID §3.2] has a SPIFFE ID without a path, or none', () => {
    expect(asSigner({ names: null })).toBe(null)
    expect(asSigner({ names: uriNames('https://acme.example/ca') })).toBe(null)
    expect(asSigner({ names: uriNames('spiffe://acme.example/ca') })).toBe('usage')
    expect(asSigner({ names: uriNames('spiffe://acme.example/') })).toBe('usage')
    expect(asSigner({ names: uriNames('SPIFFE://acme.example') })).toBe('usage')
    expect(asSigner({ names: uriNames('spiffe://acme.example', 'spiffe://partner.example') })).toBe('usage')
  })

  test('[X509-SVID §3.2] may have the SPIFFE ID of another trust domain: the bundle it is reached from decides', () => {
    expect(asSigner({ names: uriNames('spiffe://upstream.example') })).toBe(null)
  })

  test('[X509-SVID §4.4] restricts what is below it by its extKeyUsage: stricter than the letter, as most TLS libraries do', () => {
    expect(asSigner({ extendedKeyUsage: purposes(serverAuth, clientAuth) })).toBe(null)
    expect(asSigner({ extendedKeyUsage: purposes('2.5.29.37.0') })).toBe(null)
    expect(asSigner({ extendedKeyUsage: purposes(clientAuth) })).toBe('usage')
    expect(asSigner({ extendedKeyUsage: purposes('1.3.6.1.5.5.7.3.3') })).toBe('usage')
  })

  test('[RFC 5280 §4.2] with a critical extension that is not known here vouches for nobody', () => {
    expect(asSigner({ more: [extension('1.3.6.1.4.1.99999.1', true, octets(Buffer.from('x')))] })).toBe('usage')
    expect(asSigner({ more: [extension('1.3.6.1.4.1.99999.1', false, octets(Buffer.from('x')))] })).toBe(null)
  })

  test('[RFC 5280 §4.1.2.1] is of version 3, and of an older one has no extensions', () => {
    for (const version of [null, 1]) {
      expect(asSigner({ version })).toBe('malformed')
      const plain = make({ version, subject: name('Acme', 'old'), subjectKeyId: null })
      expect(whyOf(() => readAuthority(plain.der))).toBe('usage')
      expect(verdict([makeLeaf({}, plain)], [plain])).toBe('chain')
    }
    for (const version of [0, 3, 4, 130]) expect(asSigner({ version })).toBe('malformed')
  })

  test('[Countersign: weak keys and signatures prove nothing] has a key and a signature that are accepted', () => {
    expect(asSigner({ keys: rsaKeys(1024) })).toBe('weak')
    expect(asSigner({ keys: ecKeys('secp256k1') })).toBe('weak')
  })
})

describe('the bundle', () => {
  const root = makeCa()
  const leaf = makeLeaf({}, root)

  test('[X509-SVID §5.1] an empty bundle has everything revoked', () => {
    expect(verdict([leaf], [])).toBe('chain')
  })

  test('[X509-SVID §5.1] one authority that is not fit keeps no other from vouching', () => {
    const broken = { ...root, der: root.der.subarray(0, 40) }
    const unfit = makeCa({ keyUsage: null })
    expect(verdict([leaf], [broken, unfit, root])).toBe(null)
    expect(verdict([leaf], [broken, unfit])).toBe('chain')
  })

  test('[X509-SVID §3.2; X509-SVID §5.2] a signing certificate never authenticates, not even one from the bundle', () => {
    expect(verdict([root], [root])).toBe('id')
    const withPath = makeCa({ names: uriNames(workload) })
    expect(verdict([withPath], [withPath])).toBe('usage')
    expect(verdict([makeCa({ names: uriNames(workload) }, root)], [root])).toBe('usage')
  })

  test('[X509-SVID §3.2] a leaf that is itself in the bundle is refused, also when another authority signed it', () => {
    const own = makeLeaf({ issuer: name('Acme') }, { ...root, subject: name('Acme') })
    const self = make({ ...leafShape(), subject: name('Acme', 'self') })
    expect(verdict([self], [self])).toBe('usage')
    expect(verdict([leaf], [leaf, root])).toBe('usage')
    expect(verdict([own], [own])).toBe('usage')
  })

  test('[Countersign: a bundle is chosen by the presented ID] roots swapped between two trust domains prove nobody', () => {
    const partner = makeCa({ names: uriNames('spiffe://partner.example') })
    const ours = makeLeaf({}, root)
    const forged = makeLeaf({}, partner)
    const bundles = new Map([
      ['acme.example', ders([root])],
      ['partner.example', ders([partner])],
    ])
    const verify = (chain: readonly Uint8Array[]) => verifyPeerOf(chain, (domain) => bundles.get(domain) ?? null, now)
    expect(verify([ours.der]).id.id).toBe(workload)
    // signed by the partner for an ID of ours, with and without its root in the chain
    expect(whyOf(() => verify([forged.der]))).toBe('chain')
    expect(whyOf(() => verify([forged.der, partner.der]))).toBe('chain')
    const swapped = (domain: string) => bundles.get(domain === 'acme.example' ? 'partner.example' : 'acme.example') ?? null
    expect(whyOf(() => verifyPeerOf([ours.der], swapped, now))).toBe('chain')
  })

  test('[Countersign: a bundle is chosen by the presented ID] an ID of a trust domain without a bundle is unknown', () => {
    const asked: string[] = []
    const bundleOf = (domain: string) => {
      asked.push(domain)
      return null
    }
    expect(whyOf(() => verifyPeerOf([leaf.der], bundleOf, now))).toBe('unknown')
    expect(asked).toEqual(['acme.example'])
    expect(whyOf(() => verifyPeerOf([makeLeaf({ names: null }, root).der], bundleOf, now))).toBe('id')
    expect(asked).toHaveLength(1)
  })

  test('[X509-SVID §5.1] roots of the same name are told apart by their keys, whichever comes first', () => {
    const subject = name('SPIFFE')
    const [old, current] = [makeCa({ subject }), makeCa({ subject })]
    const nameless = { authorityKeyId: null }
    for (const bundle of [
      [old, current],
      [current, old],
    ]) {
      expect(verdict([makeLeaf({}, current)], bundle)).toBe(null)
      expect(verdict([makeLeaf(nameless, current)], bundle)).toBe(null)
    }
    expect(verdict([makeLeaf({}, current)], [old])).toBe('chain')
    expect(verdict([makeLeaf(nameless, current)], [old])).toBe('chain')
  })

  test('[Countersign: an authority past its end vouches for nobody] the dates of an authority count: stricter than RFC 5280', () => {
    const shortLived = makeCa({ notAfter: now + 1000 })
    const below = makeLeaf({}, shortLived)
    expect(verifyX509Svid([below.der], [shortLived.der], now).expires).toBe(now + 1000)
    expect(verdict([below], [shortLived], now + 999)).toBe(null)
    expect(verdict([below], [shortLived], now + 1000)).toBe('expired')
    const later = makeCa({ notBefore: now + 1000 })
    expect(verdict([makeLeaf({}, later)], [later])).toBe('early')
  })

  test('[X509-SVID §5.1] an authority need not be self-signed', () => {
    const above = makeCa()
    const anchor = makeCa({ notAfter: now + hour }, above)
    expect(verdict([makeLeaf({}, anchor)], [anchor])).toBe(null)
  })

  test('[Countersign: a bundle is read once] the parsed form stays with the array', () => {
    const bundle = ders([root])
    expect(whyOf(() => verifyX509Svid([leaf.der], bundle, now))).toBe(null)
    bundle.pop()
    // the same array is the same set: whoever changes a set makes another array
    expect(whyOf(() => verifyX509Svid([leaf.der], bundle, now))).toBe(null)
    expect(invalid(() => verifyX509Svid([leaf.der], [], now))?.why).toBe('chain')
  })
})

function leafShape(): Shape {
  return { basicConstraints: basicConstraints(false), keyUsage: keyUsage(0), names: uriNames(workload), extendedKeyUsage: null, more: [] }
}

test('[RFC 5280 §4.1.2.6] names are compared as they are spelt', () => {
  const root = makeCa({ subject: name('Acme', 'root') })
  expect(verdict([makeLeaf({ issuer: name('Acme', 'Root') }, root)], [root])).toBe('chain')
  expect(verdict([makeLeaf({ issuer: sequence() }, root)], [root])).toBe('chain')
})
