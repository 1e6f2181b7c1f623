import { createPublicKey, generateKeyPairSync, hash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { bits, integer, oid, sequence } from '../../../src/demo/der.ts'
import { readAuthority } from '../../../src/identify/x509/svid.ts'
import { verdict, whyOf } from '../../support/svid-verdict.ts'
import { algorithms, ecKeys, makeCa, makeLeaf, rsaKeys } from '../../support/x509.ts'
import type { Keys, Shape, SignatureName } from '../../support/x509.ts'

const root = makeCa()
const nothing = Buffer.from([5, 0])
const rsaId = sequence(oid('1.2.840.113549.1.1.1'), nothing)

/** An RSA key of our own making, as a SubjectPublicKeyInfo: whatever modulus and exponent. */
function rsaSpki(modulus: Uint8Array, exponent: Uint8Array): Uint8Array {
  return sequence(rsaId, bits(sequence(integer(modulus), integer(exponent))))
}

function modulusOf({ publicKey }: Keys): Buffer {
  return Buffer.from(publicKey.export({ format: 'jwk' }).n ?? '', 'base64url')
}

/** In the leaf, and in an authority: both must agree. */
function withKey(shape: Shape): string | null {
  const why = verdict([makeLeaf(shape, root)], [root])
  expect(whyOf(() => readAuthority(makeCa(shape).der))).toBe(why)
  return why
}

describe('keys', () => {
  test.each(['P-256', 'P-384', 'P-521'])('[Countersign: weak keys and signatures prove nothing] the curve %s is accepted', (curve) => {
    expect(withKey({ keys: ecKeys(curve) })).toBe(null)
  })

  test.each(['P-192', 'P-224', 'secp256k1', 'brainpoolP256r1'])(
    '[Countersign: weak keys and signatures prove nothing] the curve %s is refused',
    (curve) => {
      expect(withKey({ keys: ecKeys(curve) })).toBe('weak')
    },
  )

  test('[Countersign: weak keys and signatures prove nothing] a curve written out in full is refused, whatever it is', () => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding: 'explicit' })
    expect(withKey({ keys: { publicKey, privateKey } })).toBe('weak')
  })

  test('[Countersign: weak keys and signatures prove nothing] Ed25519 is accepted, Ed448, X25519 and DSA are not', () => {
    expect(withKey({ keys: generateKeyPairSync('ed25519') })).toBe(null)
    expect(withKey({ keys: generateKeyPairSync('ed448'), algorithm: 'ed448' })).toBe('weak')
    const spki = generateKeyPairSync('x25519').publicKey.export({ format: 'der', type: 'spki' })
    expect(withKey({ spki })).toBe('weak')
    const dsa = generateKeyPairSync('dsa', { modulusLength: 1024, divisorLength: 160 })
    expect(withKey({ spki: dsa.publicKey.export({ format: 'der', type: 'spki' }) })).toBe('weak')
  })

  test('[Countersign: weak keys and signatures prove nothing] RSA keys have 2048 bits or more', () => {
    expect(withKey({ keys: rsaKeys(1024) })).toBe('weak')
    expect(withKey({ keys: rsaKeys(2040) })).toBe('weak')
    expect(withKey({ keys: rsaKeys(2048) })).toBe(null)
    expect(withKey({ keys: rsaKeys(3072) })).toBe(null)
  })

  test('[Countersign: weak keys and signatures prove nothing] RSA keys have at most 8192 bits', () => {
    const huge = Buffer.alloc(1536, 0xff)
    expect(withKey({ spki: rsaSpki(huge, Buffer.from([1, 0, 1])) })).toBe('weak')
  })

  test.each([
    ['1', [1]],
    ['2', [2]],
    ['3', [3]],
    ['17', [17]],
    ['65535', [0xff, 0xff]],
    ['65538, which is even', [1, 0, 2]],
    ['of 40 bits', [1, 0, 0, 0, 1]],
  ])('[Countersign: weak keys and signatures prove nothing] the RSA exponent %s is refused', (_, exponent) => {
    expect(withKey({ spki: rsaSpki(modulusOf(rsaKeys()), Buffer.from(exponent)) })).toBe('weak')
  })

  test('[Countersign: weak keys and signatures prove nothing] with the exponent 1 anybody could sign: a forged leaf that node would take is refused', () => {
    const modulus = modulusOf(rsaKeys())
    const spki = rsaSpki(modulus, Buffer.from([1]))
    const authority = makeCa({ keys: rsaKeys(), spki })
    const forge = (body: Uint8Array): Uint8Array => {
      const digest = sequence(
        sequence(oid('2.16.840.1.101.3.4.2.1'), nothing),
        Buffer.concat([Buffer.from([4, 32]), hash('sha256', body, 'buffer')]),
      )
      return Buffer.concat([Buffer.from([0, 1]), Buffer.alloc(256 - 3 - digest.length, 0xff), Buffer.from([0]), digest])
    }
    const leaf = makeLeaf({ sign: forge }, { ...authority, keys: rsaKeys() })
    expect(createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' }).asymmetricKeyDetails?.publicExponent).toBe(1n)
    expect(verdict([leaf], [authority])).toBe('chain')
    expect(whyOf(() => readAuthority(authority.der))).toBe('weak')
    expect(verdict([leaf, makeCa({ keys: rsaKeys(), spki, subject: authority.subject }, root)], [root])).toBe('weak')
  })

  test.each([
    [
      'RSA without parameters',
      sequence(sequence(oid('1.2.840.113549.1.1.1')), bits(sequence(integer(modulusOf(rsaKeys())), integer(Buffer.from([1, 0, 1]))))),
    ],
    ['an RSASSA-PSS key', generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).publicKey.export({ format: 'der', type: 'spki' })],
    ['an unknown algorithm', sequence(sequence(oid('1.2.3.4')), bits(Buffer.from('x')))],
  ])('[Countersign: weak keys and signatures prove nothing] %s is refused', (_, spki) => {
    expect(withKey({ spki })).toBe('weak')
  })

  test.each([
    [
      'a point that is not on its curve',
      sequence(
        sequence(oid('1.2.840.10045.2.1'), oid('1.2.840.10045.3.1.7')),
        bits(Buffer.concat([Buffer.from([4]), Buffer.alloc(64, 7)])),
      ),
    ],
    ['no key where one should be', sequence(rsaId, bits(Buffer.from('nothing')))],
    ['a third part', sequence(rsaId, bits(Buffer.from('nothing')), nothing)],
  ])('[RFC 5280 §4.1.2.7] a public key with %s is refused', (_, spki) => {
    expect(withKey({ spki })).toBe('malformed')
  })
})

describe('signatures', () => {
  const keysFor = (name: SignatureName): Keys => {
    if (name === 'ed25519') return generateKeyPairSync('ed25519')
    if (name === 'ed448') return generateKeyPairSync('ed448')
    return name.startsWith('ecdsa') ? ecKeys() : rsaKeys()
  }
  const accepted: readonly SignatureName[] = [
    'ecdsa-sha256',
    'ecdsa-sha384',
    'ecdsa-sha512',
    'rsa-sha256',
    'rsa-sha384',
    'rsa-sha512',
    'pss-sha256',
    'pss-sha384',
    'pss-sha512',
    'ed25519',
  ]
  const names = Object.keys(algorithms) as SignatureName[]

  test.each(names)('[Countersign: weak keys and signatures prove nothing; RFC 5280 §6.1.3] %s', (algorithm) => {
    const authority = makeCa({ keys: keysFor(algorithm), ...(accepted.includes(algorithm) ? { algorithm } : {}), ...ed448Root(algorithm) })
    const why = verdict([makeLeaf({ algorithm }, authority)], [authority])
    expect(why).toBe(accepted.includes(algorithm) ? null : 'weak')
  })

  test('[Countersign: weak keys and signatures prove nothing] a self-signed authority counts by its own signature too', () => {
    expect(whyOf(() => readAuthority(makeCa({ algorithm: 'ecdsa-sha1' }).der))).toBe('weak')
    expect(whyOf(() => readAuthority(makeCa({ keys: rsaKeys(), algorithm: 'rsa-md5' }).der))).toBe('weak')
  })

  test('[RFC 5280 §6.1.3] a signature whose algorithm is not that of the key is refused', () => {
    const leaf = makeLeaf({ algorithm: 'rsa-sha256', sign: () => Buffer.alloc(256, 1) }, root)
    expect(verdict([leaf], [root])).toBe('chain')
    const rsa = makeCa({ keys: rsaKeys() })
    // right for the key and under the name of another kind
    const misnamed = (body: Uint8Array) => algorithms['rsa-sha256'].sign(body, rsa.keys.privateKey)
    expect(verdict([makeLeaf({ algorithm: 'ecdsa-sha256', sign: misnamed }, rsa)], [rsa])).toBe('chain')
    expect(
      verdict(
        [makeLeaf({ algorithm: 'ecdsa-sha256', sign: () => sequence(integer(Buffer.from([1])), integer(Buffer.from([1]))) }, rsa)],
        [rsa],
      ),
    ).toBe('chain')
    expect(
      verdict(
        [makeLeaf({ algorithm: 'rsa-sha256', sign: (body) => algorithms['pss-sha256'].sign(body, rsa.keys.privateKey) }, rsa)],
        [rsa],
      ),
    ).toBe('chain')
  })

  test.each([
    ['empty', Buffer.alloc(0)],
    ['zeros', sequence(integer(Buffer.from([0])), integer(Buffer.from([0])))],
    ['raw r and s', Buffer.alloc(64, 1)],
    ['garbage', Buffer.from('garbage')],
  ])('[RFC 5280 §6.1.3] an ECDSA signature that is %s is refused', (_, signature) => {
    expect(verdict([makeLeaf({ sign: () => signature }, root)], [root])).toBe('chain')
  })
})

/** An Ed448 authority cannot be accepted itself; its leaf is refused before it is looked at. */
function ed448Root(algorithm: SignatureName): Shape {
  return algorithm === 'ed448' ? { algorithm: 'ed448' } : {}
}
