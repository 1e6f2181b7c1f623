import { describe, expect, test } from 'vitest'
import { basicConstraints, extension, keyUsage, name } from '../../../src/demo/certificate.ts'
import { integer, sequence } from '../../../src/demo/der.ts'
import { verifyX509Svid } from '../../../src/identify/x509/svid.ts'
import { ders, invalid, verdict } from '../../support/svid-verdict.ts'
import { constrainNames, ecKeys, flipCritical, hour, make, makeCa, makeLeaf, now, trustDomain, uri, uriNames } from '../../support/x509.ts'
import type { Made, Shape } from '../../support/x509.ts'

const root = makeCa()

/** A chain of CAs below `root`, the lowest last. */
function below(top: Made, ...shapes: readonly Shape[]): Made[] {
  const made: Made[] = []
  for (const shape of shapes) made.push(makeCa(shape, made.at(-1) ?? top))
  return made
}

describe('the chain', () => {
  const [upper, lower] = below(root, {}, {}) as [Made, Made]
  const leaf = makeLeaf({}, lower)

  test('[RFC 5280 §6.1.3; X509-SVID §5.1] leads from the leaf by what was presented to an authority', () => {
    expect(verdict([leaf, lower, upper], [root])).toBe(null)
    expect(verdict([leaf, upper], [root])).toBe('chain')
    expect(verdict([leaf, lower], [root])).toBe('chain')
    expect(verdict([leaf], [root])).toBe('chain')
    expect(verdict([leaf], [lower])).toBe(null)
    expect(verdict([leaf, lower], [upper])).toBe(null)
  })

  test('[Countersign: the order of a chain does not matter] after the leaf, certificates come in any order, with others among them, and twice', () => {
    const stray = makeCa()
    expect(verdict([leaf, upper, lower], [root])).toBe(null)
    expect(verdict([leaf, stray, upper, stray, lower, root, leaf], [root])).toBe(null)
    expect(verdict([leaf, lower, lower, upper, upper, root], [root])).toBe(null)
  })

  test('[Countersign: the order of a chain does not matter] the leaf is the first one, whatever else is there', () => {
    expect(verdict([lower, leaf, upper], [root])).not.toBe(null)
    const other = makeLeaf({ names: uriNames('spiffe://acme.example/other') }, lower)
    expect(verifyX509Svid(ders([leaf, other, lower, upper]), [root.der], now).id.path).toBe('/agent')
    expect(verifyX509Svid(ders([other, leaf, lower, upper]), [root.der], now).id.path).toBe('/other')
  })

  test('[RFC 5280 §6.1.3] a self-signed root that was presented vouches for nobody', () => {
    const own = makeCa()
    expect(verdict([makeLeaf({}, own), own], [root])).toBe('chain')
    const imitation = makeCa({ subject: root.subject })
    expect(verdict([makeLeaf({ authorityKeyId: null }, imitation), imitation], [root])).toBe('chain')
  })

  test('[RFC 5280 §6.1.3] a signature by another key is refused, with the right names and key ids', () => {
    const imitation: Made = { ...root, keys: ecKeys() }
    expect(verdict([makeLeaf({}, imitation)], [root])).toBe('chain')
    const [between] = below(imitation, {}) as [Made]
    expect(verdict([makeLeaf({}, between), between], [root])).toBe('chain')
  })

  test('[RFC 5280 §6.1.3] a signature or a body with one bit changed is refused', () => {
    const good = makeLeaf({}, root)
    for (const at of [-1, -20, 60]) {
      const bytes = Uint8Array.from(good.der)
      const index = at < 0 ? bytes.length + at : at
      bytes[index] = (bytes[index] ?? 0) ^ 1
      expect(verdict([{ ...good, der: bytes }], [root])).not.toBe(null)
    }
  })

  test('[RFC 5280 §6.1.4] a leaf signs nobody', () => {
    const first = makeLeaf({}, root)
    expect(verdict([makeLeaf({ names: uriNames('spiffe://acme.example/admin') }, first), first], [root])).toBe('usage')
  })

  test('[RFC 5280 §6.1.4] what is between needs cA and keyCertSign', () => {
    for (const shape of [
      { basicConstraints: basicConstraints(false) },
      { basicConstraints: null },
      { keyUsage: keyUsage(0, 6) },
      { keyUsage: null },
    ]) {
      const [between] = below(root, shape) as [Made]
      expect(verdict([makeLeaf({}, between), between], [root])).toBe('usage')
    }
  })

  test('[RFC 5280 §6.1.3] what is between is valid at the time', () => {
    const [old] = below(root, { notAfter: now }) as [Made]
    expect(verdict([makeLeaf({}, old), old], [root])).toBe('expired')
    const [young] = below(root, { notBefore: now + 1000 }) as [Made]
    expect(verdict([makeLeaf({}, young), young], [root])).toBe('early')
  })

  test('[RFC 5280 §6.1.3] of two ways the valid one is taken', () => {
    const subject = name('Acme', 'between')
    const keys = ecKeys()
    const good = makeCa({ subject, keys }, root)
    const bad = [
      makeCa({ subject, keys, notAfter: now - 1000 }, root),
      makeCa({ subject, keys, keyUsage: keyUsage(6) }, root),
      makeCa({ subject, keys }, makeCa()),
      makeCa({ subject }, root),
    ]
    const under = makeLeaf({}, good)
    for (const one of bad) {
      expect(verdict([under, one, good], [root])).toBe(null)
      expect(verdict([under, good, one], [root])).toBe(null)
      expect(verdict([under, one], [root])).not.toBe(null)
    }
  })

  test('[RFC 5280 §4.2.1.1] key ids that differ tell issuers of one name apart; absent ones do not', () => {
    const wrong = makeLeaf({ authorityKeyId: makeLeafKeyId() }, root)
    expect(verdict([wrong], [root])).toBe('chain')
    const plain = makeCa({ subjectKeyId: null })
    expect(verdict([makeLeaf({}, plain)], [plain])).toBe(null)
    expect(verdict([makeLeaf({ authorityKeyId: null }, root)], [root])).toBe(null)
  })
})

describe('the path length', () => {
  const limited = (length: number, top = root) => makeCa({ basicConstraints: basicConstraints(true, length) }, top)

  test('[RFC 5280 §4.2.1.9; X509-SVID §4.1] counts the CAs between one and the leaf', () => {
    const none = limited(0)
    expect(verdict([makeLeaf({}, none), none], [root])).toBe(null)
    const [under] = below(none, {}) as [Made]
    expect(verdict([makeLeaf({}, under), under, none], [root])).toBe('constraints')
    const one = limited(1)
    const [first, second] = below(one, {}, {}) as [Made, Made]
    expect(verdict([makeLeaf({}, first), first, one], [root])).toBe(null)
    expect(verdict([makeLeaf({}, second), second, first, one], [root])).toBe('constraints')
  })

  test('[RFC 5280 §4.2.1.9] of an authority in the bundle counts too', () => {
    const anchor = makeCa({ basicConstraints: basicConstraints(true, 0) })
    const [under] = below(anchor, {}) as [Made]
    expect(verdict([makeLeaf({}, anchor)], [anchor])).toBe(null)
    expect(verdict([makeLeaf({}, under), under], [anchor])).toBe('constraints')
  })

  test('[RFC 5280 §4.2.1.9; RFC 5280 §6.1.4] a lower CA cannot widen it', () => {
    const none = limited(0)
    const wide = limited(5, none)
    expect(verdict([makeLeaf({}, wide), wide, none], [root])).toBe('constraints')
  })

  test('[RFC 5280 §6.1.4] certificates that a CA issued to itself do not count', () => {
    const none = limited(0)
    const rollover = makeCa({ subject: none.subject }, none)
    expect(verdict([makeLeaf({}, rollover), rollover, none], [root])).toBe(null)
  })

  test.each([
    ['negative', Buffer.from([2, 1, 0xff])],
    ['larger than 127', integer(Buffer.from([128]))],
    ['longer than it needs to be', Buffer.from([2, 2, 0, 1])],
    ['empty', Buffer.from([2, 0])],
  ])('[RFC 5280 §4.2.1.9] that is %s is refused', (_, length) => {
    const value = sequence(Buffer.from([1, 1, 0xff]), length)
    const ca = makeCa({ basicConstraints: extension('2.5.29.19', true, value) })
    expect(verdict([makeLeaf({}, ca)], [ca])).toBe('chain')
    const between = makeCa({ basicConstraints: extension('2.5.29.19', true, value) }, root)
    expect(verdict([makeLeaf({}, between), between], [root])).toBe('malformed')
  })

  test('[RFC 5280 §4.2.1.9] basicConstraints count as well when they are not critical', () => {
    const ca = makeCa({ basicConstraints: flipCritical(basicConstraints(true, 0)) })
    const [under] = below(ca, {}) as [Made]
    expect(verdict([makeLeaf({}, ca)], [ca])).toBe(null)
    expect(verdict([makeLeaf({}, under), under], [ca])).toBe('constraints')
  })
})

describe('time', () => {
  const leaf = makeLeaf({ notBefore: now, notAfter: now + 5000 }, root)

  test('[RFC 5280 §4.1.2.5] a leaf is valid from notBefore on, to the millisecond', () => {
    expect(verdict([leaf], [root], now - 1)).toBe('early')
    expect(verdict([leaf], [root], now)).toBe(null)
  })

  test('[RFC 5280 §4.1.2.5; Countersign: nothing is accepted at its end] a leaf is refused from notAfter on, which is a second stricter than the letter', () => {
    expect(verdict([leaf], [root], now + 4999)).toBe(null)
    expect(verdict([leaf], [root], now + 5000)).toBe('expired')
    expect(verdict([leaf], [root], now + 5001)).toBe('expired')
  })

  test('[Countersign: a proof lasts as long as everything it rests on] expires is the earliest end on the path', () => {
    const [between] = below(root, { notAfter: now + 2000 }) as [Made]
    const under = makeLeaf({ notBefore: now - 7000, notAfter: now + hour }, between)
    const svid = verifyX509Svid(ders([under, between]), [root.der], now)
    expect(svid).toMatchObject({ notBefore: now - 7000, expires: now + 2000 })
    expect(verifyX509Svid([leaf.der], [root.der], now).expires).toBe(now + 5000)
  })
})

describe('bounds', () => {
  test('[Countersign: a chain is bounded] no certificate, or more than eight, are refused', () => {
    const leaf = makeLeaf({}, root)
    expect(verdict([], [root])).toBe('malformed')
    const chain = [leaf, ...below(root, {}, {}, {}, {}, {}, {}, {})]
    expect(verdict(chain, [root])).toBe(null)
    expect(verdict([...chain, root], [root])).toBe('malformed')
  })

  test('[Countersign: a chain is bounded] the longest chain that fits is walked to its end', () => {
    const cas = below(root, {}, {}, {}, {}, {}, {}, {})
    expect(verdict([makeLeaf({}, cas.at(-1) ?? root), ...cas], [root])).toBe(null)
  })

  test('[Countersign: a chain is bounded] certificates that all sign each other cost a bounded number of looks', () => {
    const subject = name('Acme', 'ring')
    const keys = ecKeys()
    const ring = Array.from({ length: 7 }, () => makeCa({ subject, keys, issuer: subject }))
    const leaf = makeLeaf({}, ring[0] ?? root)
    const above = makeCa({ subject, keys, nameConstraints: constrainNames({ excluded: [uri(trustDomain)] }) })
    const search = invalid(() => verifyX509Svid(ders([leaf, ...ring]), [above.der], now))
    expect(search).toMatchObject({ why: 'chain', message: 'it has too many possible issuers' })
    expect(invalid(() => verifyX509Svid(ders([leaf, ...ring]), [root.der], now))).toMatchObject({
      message: 'no authority of its trust domain signed it',
    })
  })

  test('[Countersign: what no authority signed costs nothing] a forged certificate between is left aside unread', () => {
    const subject = name('Acme', 'between')
    const expired = { subject, keys: ecKeys(), notBefore: now - hour, notAfter: now - 1000 }
    const [real, forged] = [makeCa(expired, root), makeCa(expired, { ...root, keys: ecKeys() })]
    const leaf = makeLeaf({}, real)
    expect(verdict([leaf, real], [root])).toBe('expired')
    expect(invalid(() => verifyX509Svid(ders([leaf, forged]), [root.der], now))).toMatchObject({
      message: 'the signature does not verify with the key of its issuer',
    })
  })

  test('[RFC 5280 §6.1.3] a presented certificate that is malformed is refused even where it is not needed', () => {
    const leaf = makeLeaf({}, root)
    expect(verdict([leaf, { ...leaf, der: Buffer.from('30020500', 'hex') }], [root])).toBe('malformed')
  })
})

/** An authorityKeyIdentifier of a key that nobody has. */
function makeLeafKeyId(): Uint8Array {
  return extension('2.5.29.35', false, sequence(Buffer.from([0x80, 4, 1, 2, 3, 4])))
}

test('[RFC 5280 §6.1.3] a self-signed leaf is refused', () => {
  const self = make({ subject: name('Acme'), keyUsage: keyUsage(0), names: uriNames('spiffe://acme.example/agent') })
  expect(verdict([self], [root])).toBe('chain')
  expect(verdict([self, self], [root])).toBe('chain')
})
