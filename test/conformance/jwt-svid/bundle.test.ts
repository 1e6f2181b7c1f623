import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { readKeySet } from '../../../src/identify/bundle/bundles.ts'
import { MalformedKeys } from '../../../src/identify/jwt/keys.ts'
import { bearer, openedSource, refusalOf, TestClock } from '../../support/identity-rig.ts'
import { makeIdentify } from '../../../src/identify/identify.ts'
import { Issuer, signingKey } from '../../support/issuer.ts'
import type { Jwk } from '../../support/issuer.ts'

const key = signingKey('ES256', 'one')
const other = signingKey('ES256', 'two')
const rsa = signingKey('RS256', 'rsa')
const svid = { ...key.publicJwk, kid: 'one', use: 'jwt-svid' }

function bundle(keys: readonly unknown[], extra: Jwk = {}): string {
  return JSON.stringify({ keys, spiffe_sequence: 1, ...extra })
}

function kids(text: string): readonly string[] {
  return [...readKeySet(text, null).keys.keys()]
}

describe('[Trust Domain and Bundle §4.1] the document', () => {
  test.each([
    ['no keys', '{"spiffe_sequence":1}'],
    ['null for keys', '{"keys":null}'],
    ['an object for keys', '{"keys":{}}'],
    ['a text among the keys', '{"keys":["x"]}'],
    ['null among the keys', '{"keys":[null]}'],
    ['a list', '[]'],
    ['nothing', ''],
    ['half a document', bundle([svid]).slice(0, -1)],
    ['a member twice', `{"keys":[],"keys":[${JSON.stringify(svid)}]}`],
    ['a member of a key twice', '{"keys":[{"kty":"EC","use":"x509-svid","use":"jwt-svid"}]}'],
    ['a nest of lists', `{"keys":[],"x":${'['.repeat(5000)}${']'.repeat(5000)}}`],
  ])('with %s is refused', (_, text) => {
    expect(() => readKeySet(text, null)).toThrow(MalformedKeys)
  })

  test('[Trust Domain and Bundle §4.1.3] with an empty list of keys is good, and revokes everything', async () => {
    expect(readKeySet('{"keys":[]}', 'bundle').keys.size).toBe(0)
    const clock = new TestClock()
    const { source } = await openedSource('{"keys":[]}', { clock })
    expect(source.ready()).toBe(true)
    const token = new Issuer({ clock: clock.now }).mint()
    expect(await refusalOf(() => makeIdentify({ sources: [source], clock: clock.now })(bearer(token)))).toMatchObject({
      code: 'identify.rejected',
    })
  })

  test('with keys that are all for other uses revokes everything just so', () => {
    expect(kids(bundle([{ ...svid, use: 'x509-svid' }]))).toEqual([])
  })

  test.each(['0', '1', '9007199254740993', '18446744073709551615'])(
    '[Trust Domain and Bundle §4.1.1] keeps every digit of spiffe_sequence %s',
    (digits) => {
      expect(readKeySet(`{"keys":[],"spiffe_sequence":${digits}}`, null).sequence).toBe(BigInt(digits))
    },
  )

  test.each(['"1"', '1.5', '1e3', 'null', '[1]', 'true'])('with spiffe_sequence %s is refused', (value) => {
    expect(() => readKeySet(`{"keys":[],"spiffe_sequence":${value}}`, null)).toThrow(MalformedKeys)
  })

  test('a spiffe_sequence inside a key is none of the document', () => {
    expect(readKeySet(JSON.stringify({ keys: [{ ...svid, spiffe_sequence: 9 }] }), null).sequence).toBeNull()
  })

  test('[Trust Domain and Bundle §4.1.2] spiffe_refresh_hint is seconds, given as ms', () => {
    expect(readKeySet(bundle([], { spiffe_refresh_hint: 300 }), null).refreshHint).toBe(300_000)
    expect(readKeySet(bundle([]), null).refreshHint).toBeNull()
    for (const hint of ['300', -1, 1.5, null])
      expect(() => readKeySet(bundle([], { spiffe_refresh_hint: hint }), null)).toThrow(MalformedKeys)
  })
})

describe('[Trust Domain and Bundle §4.2; JWT-SVID §6.2] the keys', () => {
  test('[Trust Domain and Bundle §4.2.2] only those with use jwt-svid count', () => {
    const uses = ['x509-svid', 'wit-svid', 'sig', 'enc', 'JWT-SVID', '', undefined, 1]
    expect(kids(bundle([svid, ...uses.map((use, at) => ({ ...other.publicJwk, kid: `k${at}`, use }))]))).toEqual(['one'])
  })

  test('x509-svid entries without kid and with x5c do not disturb', () => {
    expect(kids(bundle([{ ...other.publicJwk, use: 'x509-svid', x5c: ['MIIB'] }, svid]))).toEqual(['one'])
  })

  test('[Trust Domain and Bundle §4.2.1] unknown types, curves and members do not disturb', () => {
    const strange = [
      { kty: 'OKP', crv: 'Ed25519', x: 'AA' },
      { kty: 'AKP', alg: 'ML-DSA-44', pub: 'AA' },
      { kty: 'EC', crv: 'P-1', x: 'AA', y: 'AA' },
      {},
    ]
    const entries = strange.map((jwk, at) => ({ ...jwk, kid: `s${at}`, use: 'jwt-svid' }))
    expect(kids(bundle([...entries, { ...svid, note: { any: 'thing' } }]))).toEqual(['one'])
  })

  test('two keys of one kid refuse the document, even when one of them could not be used', () => {
    expect(() => readKeySet(bundle([svid, { ...other.publicJwk, kid: 'one', use: 'jwt-svid' }]), null)).toThrow(MalformedKeys)
    expect(() => readKeySet(bundle([svid, { kty: 'EC', kid: 'one', use: 'jwt-svid' }]), null)).toThrow(MalformedKeys)
  })

  test('one kid may be used once for each use', () => {
    expect(kids(bundle([svid, { ...other.publicJwk, kid: 'one', use: 'wit-svid' }]))).toEqual(['one'])
  })

  test.each([[undefined], [''], [1], [null], ['k'.repeat(257)]])(
    '[JWT-SVID §6.1] a jwt-svid key with kid %j refuses the document',
    (kid) => {
      expect(() => readKeySet(bundle([{ ...svid, kid }]), null)).toThrow(MalformedKeys)
    },
  )

  test('a kid called __proto__ is a name like any other', () => {
    const text = JSON.stringify({ keys: [{ ...svid, kid: '__proto__' }] })
    expect(kids(text)).toEqual(['__proto__'])
    expect(kids(`{"keys":[${JSON.stringify(svid).replace('{', '{"__proto__":{"d":"x"},')}]}`)).toEqual(['one'])
  })
})

describe('[RFC 7518 §6.2; RFC 7518 §6.3; Countersign: no private key in a bundle] keys that must not be used are left out and named, and the rest counts', () => {
  const weak = signingKey('RS256', 'short', 1024)
  const privateJwk = { ...key.privateKey.export({ format: 'jwk' }) }
  const secp = { ...generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey.export({ format: 'jwk' }) }
  test.each([
    ['symmetric', { kty: 'oct', k: 'AAAA' }, 'symmetric'],
    ['private', privateJwk, 'private'],
    ['RSA of 1024 bits', weak.publicJwk, '2048'],
    ['RSA with e = 1', { ...rsa.publicJwk, e: 'AQ' }, 'exponent'],
    ['RSA with e = 3', { ...rsa.publicJwk, e: 'Aw' }, 'exponent'],
    ['RSA with an even exponent', { ...rsa.publicJwk, e: 'AQAC' }, 'exponent'],
    ['RSA with e = 2^32 + 1', { ...rsa.publicJwk, e: 'AQAAAAE' }, 'exponent'],
    ['RSA without a modulus', { kty: 'RSA', e: 'AQAB' }, 'without n'],
    ['RSA with an empty modulus', { kty: 'RSA', n: '', e: 'AQAB' }, 'without n'],
    ['RSA of 16384 bits', { kty: 'RSA', n: Buffer.alloc(2048, 0xff).toString('base64url'), e: 'AQAB' }, '8192'],
    ['on a curve outside the list', secp, 'curve'],
    ['on another curve than it says', { ...key.publicJwk, crv: 'P-384' }, 'numbers'],
    ['at a point that is not on its curve', { ...key.publicJwk, y: other.publicJwk['y'] }, 'numbers'],
    ['at no point', { ...key.publicJwk, x: 1 }, 'without x'],
    ['for another algorithm than its type has', { ...key.publicJwk, alg: 'RS256' }, 'alg'],
    ['for another curve than its own', { ...key.publicJwk, alg: 'ES384' }, 'alg'],
    ['for an algorithm outside the nine', { ...rsa.publicJwk, alg: 'RSA-OAEP' }, 'alg'],
    ['for signing only', { ...key.publicJwk, key_ops: ['sign'] }, 'key_ops'],
    ['for operations that are no list', { ...key.publicJwk, key_ops: 'verify' }, 'key_ops'],
  ])('%s', (_, jwk, why) => {
    const read = readKeySet(bundle([svid, { ...jwk, kid: 'bad', use: 'jwt-svid' }]), null)
    expect([...read.keys.keys()]).toEqual(['one'])
    expect(read.leftOut).toEqual([expect.stringMatching(new RegExp(`"bad".*${why}`))])
  })

  test('a kid is shown to the operator without control characters', () => {
    expect(readKeySet(bundle([{ kty: 'oct', kid: 'a\u001b[2J\n', use: 'jwt-svid' }]), null).leftOut[0]).toMatch(/^"a\?\[2J\?"/)
  })
})

describe('[RFC 7517 §5] a plain JWKS', () => {
  const plain = { ...key.publicJwk, kid: 'one' }
  test('is what a document without SPIFFE members is; keys for signatures or for anything count', () => {
    const read = readKeySet(
      JSON.stringify({ keys: [plain, { ...other.publicJwk, kid: 'two', use: 'sig' }, { ...other.publicJwk, kid: 'three', use: 'enc' }] }),
      null,
    )
    expect(read).toMatchObject({ format: 'jwks', sequence: null, refreshHint: null })
    expect([...read.keys.keys()]).toEqual(['one', 'two'])
  })

  test('is not what a document with SPIFFE members is', () => {
    expect(readKeySet(JSON.stringify({ keys: [plain], spiffe_sequence: 1 }), null)).toMatchObject({ format: 'bundle', keys: new Map() })
    expect(readKeySet(JSON.stringify({ keys: [plain, { ...other.publicJwk, use: 'x509-svid' }] }), null)).toMatchObject({
      format: 'bundle',
      keys: new Map(),
    })
  })

  test('can be insisted on, and so can a bundle', () => {
    expect(readKeySet(JSON.stringify({ keys: [plain] }), 'bundle').keys.size).toBe(0)
    expect(readKeySet(bundle([plain, svid].slice(0, 1)), 'jwks').keys.size).toBe(1)
    expect(readKeySet(bundle([svid]), 'jwks').keys.size).toBe(0)
  })
})
