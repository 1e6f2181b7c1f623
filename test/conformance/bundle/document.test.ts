import { generateKeyPairSync } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readKeySet } from '../../../src/identify/bundle/bundles.ts'
import type { KeySet } from '../../../src/identify/bundle/bundles.ts'
import { MalformedKeys } from '../../../src/identify/jwt/keys.ts'
import { authorityEntry, Domain } from '../../support/bundle-rig.ts'
import { TestClock } from '../../support/identity-rig.ts'
import type { Jwk } from '../../support/issuer.ts'

const clock = new TestClock()
const acme = new Domain('acme.example', clock)
const other = new Domain('partner.example', clock)
const der = acme.authority.certificate
const entry = authorityEntry(der)
const base64 = Buffer.from(der).toString('base64')
const [jwtKey] = acme.issuer.keys
const jwt = { ...jwtKey?.publicJwk, kid: 'one', use: 'jwt-svid' }

function read(keys: readonly unknown[], extra: Jwk = {}): KeySet {
  return readKeySet(JSON.stringify({ keys, spiffe_sequence: 1, ...extra }), 'bundle')
}

const hex = (set: KeySet): readonly string[] => set.authorities.map((one) => Buffer.from(one).toString('hex'))
const ours = [Buffer.from(der).toString('hex')]

/** Nothing of the entry counts, and the operator learns why. */
function leftOut(keys: readonly unknown[], why: string | RegExp): void {
  const set = read(keys)
  expect(set.authorities).toEqual([])
  expect([...set.keys.keys()]).toEqual([])
  expect(set.leftOut).toEqual([expect.stringMatching(why)])
}

test('[Countersign: key documents are bounded] one of more than 256 entries is refused: reading them all would take too long', () => {
  const entries = (count: number) => Array.from({ length: count }, (_, at) => ({ ...jwt, kid: `key-${at}` }))
  expect(read(entries(256)).keys.size).toBe(256)
  expect(() => read(entries(257))).toThrow(MalformedKeys)
})

test('[Trust Domain and Bundle §4] one document gives JWT keys by kid, authorities, sequence, hint and what was left out', () => {
  const set = read([entry, jwt, authorityEntry(other.authority.certificate)], { spiffe_sequence: 7, spiffe_refresh_hint: 60, note: {} })
  expect(hex(set)).toEqual([...ours, Buffer.from(other.authority.certificate).toString('hex')])
  expect([...set.keys.keys()]).toEqual(['one'])
  expect(set).toMatchObject({ format: 'bundle', sequence: 7n, refreshHint: 60_000, leftOut: [] })
})

describe('[Trust Domain and Bundle §4.1.3; Trust Domain and Bundle §4.2.2] what is unknown is ignored, and the rest counts', () => {
  test.each([
    ['no use', { ...entry, use: undefined }, 'no use'],
    ['a use in another case', { ...entry, use: 'X509-SVID' }, 'a use that is not known'],
    ['a use with a space', { ...entry, use: 'x509-svid ' }, 'a use that is not known'],
    ['the use of a JWKS', { ...jwt, use: 'sig' }, 'a use that is not known'],
    ['null for a use', { ...jwt, use: null }, 'a use that is not known'],
    ['a list of uses', { ...jwt, use: ['jwt-svid'] }, 'a use that is not known'],
    ['a use yet to come', { kty: 'AKP', alg: 'ML-DSA-65', use: 'pq-svid', kid: 'one' }, 'a use that is not known'],
  ])('%s', (_, bad, why) => {
    leftOut([bad], why)
    const set = read([bad, entry, { ...jwt, kid: 'two' }])
    expect([hex(set), [...set.keys.keys()]]).toEqual([ours, ['two']])
  })
})

describe('[Trust Domain and Bundle §4.2.1] an entry without kty, or of one that is unknown, is ignored', () => {
  test.each([
    ['no kty', { ...entry, kty: undefined }, 'kty'],
    ['an unknown kty of an authority', { ...entry, kty: 'AKP' }, 'kty'],
    ['a kty that is not the key of the certificate', { ...entry, kty: 'RSA' }, 'kty'],
    ['an unknown kty of a JWT key', { ...jwt, kty: 'AKP' }, 'a key type'],
    ['no kty of a JWT key', { ...jwt, kty: undefined }, 'a key type'],
    ['a kty in another case', { ...jwt, kty: 'ec' }, 'a key type'],
    ['null for a kty', { ...jwt, kty: null }, 'a key type'],
  ])('%s', (_, bad, why) => leftOut([bad], why))

  test('also what else is wrong with it: no kid, or one that stands elsewhere', () => {
    expect([...read([jwt, { kty: 'AKP', use: 'jwt-svid' }, { kty: 'AKP', use: 'jwt-svid', kid: 'one' }]).keys.keys()]).toEqual(['one'])
  })
})

test('[Trust Domain and Bundle §4.1.1] a sequence inside an entry is none of the document, and one beyond 2^64 keeps its digits', () => {
  expect(read([{ ...jwt, spiffe_sequence: 9 }], { spiffe_sequence: undefined }).sequence).toBeNull()
  expect(readKeySet('{"keys":[],"spiffe_sequence":36893488147419103233}', 'bundle').sequence).toBe(36893488147419103233n)
})

describe('[X509-SVID §6.2] without x5c, or with an empty one, an authority is ignored', () => {
  test.each([[undefined], [[]], [null], [base64], [{}], [1]])('%j', (x5c) => leftOut([{ ...entry, x5c }], 'without x5c'))
})

test('[X509-SVID §6.2] of several values in x5c the first alone counts, and the operator learns of it', () => {
  const set = read([{ ...entry, x5c: [base64, Buffer.from(other.authority.certificate).toString('base64'), 'rubbish'] }])
  expect(hex(set)).toEqual(ours)
  expect(set.leftOut).toEqual(['key 1: all but the first of 3 certificates in x5c'])
})

test('[X509-SVID §6.2] the authorities of a bundle are the union of its entries: each once', () => {
  expect(hex(read([entry, entry]))).toEqual(ours)
})

test('[X509-SVID §6.1] a kid at an authority is overlooked, even one that a JWT key has', () => {
  const set = read([{ ...entry, kid: 'one' }, jwt, { ...authorityEntry(other.authority.certificate), kid: 'one' }])
  expect(set.authorities).toHaveLength(2)
  expect([...set.keys.keys()]).toEqual(['one'])
})

describe('[RFC 7517 §4.7] x5c is standard base64 of one DER certificate, whose key is the key of the entry', () => {
  const pad = (text: string): string => `${text}=`
  const leaf = acme.svid('/workload').chain[0] ?? new Uint8Array()
  test.each<[string, unknown, RegExp]>([
    ['base64url', Buffer.from(der).toString('base64url'), /base64/],
    ['too much padding', pad(base64), /base64/],
    ['a line break', `${base64.slice(0, 64)}\n${base64.slice(64)}`, /base64/],
    ['white space in front', ` ${base64}`, /base64/],
    ['PEM', `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----`, /base64/],
    ['no text', 1, /text/],
    ['null', null, /text/],
    ['an empty text', '', /text/],
    ['no certificate', Buffer.from('hello').toString('base64'), /certificate/],
    ['half a certificate', Buffer.from(der.subarray(0, 200)).toString('base64'), /certificate/],
    ['two certificates in one', Buffer.concat([der, other.authority.certificate]).toString('base64'), /certificate/],
    ['a zero after the certificate', Buffer.concat([der, Buffer.from([0])]).toString('base64'), /certificate/],
    ['the certificate of a workload', Buffer.from(leaf).toString('base64'), /certificate/],
    ['the certificate of another key', Buffer.from(other.authority.certificate).toString('base64'), /key of its certificate/],
  ])('%s is left out', (_, first, why) => leftOut([{ ...entry, x5c: [first] }], why))

  test('the entry may leave its numbers to the certificate', () => {
    expect(hex(read([{ kty: 'EC', use: 'x509-svid', x5c: [base64] }]))).toEqual(ours)
  })

  test('a curve, or one number, of another key is left out', () => {
    leftOut([{ ...entry, crv: 'P-384' }], 'key of its certificate')
    leftOut([{ ...entry, y: authorityEntry(other.authority.certificate)['y'] }], 'key of its certificate')
    leftOut([{ ...entry, x: 1 }], 'key of its certificate')
    leftOut([{ ...entry, n: 'AQAB' }], 'key of its certificate')
  })
})

test('[Countersign: no private key in a bundle] an authority that comes with its private key is left out', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  leftOut([{ ...entry, d: privateKey.export({ format: 'jwk' })['d'] }], 'private')
})

describe('[WIT-SVID §6.1] WIT keys are known by their use, need a kid that no other entry has, and verify nothing here', () => {
  const wit = { ...other.issuer.keys[0]?.publicJwk, use: 'wit-svid' }
  test.each([
    ['a good one', { ...wit, kid: 'w' }, []],
    ['one without kid', wit, ['key 2: a WIT key without kid']],
    ['one with the kid of a JWT key', { ...wit, kid: 'one' }, ['"one": a WIT key with the kid of another key']],
  ])('%s', (_, key, said) => {
    const set = read([jwt, key])
    expect([...set.keys.keys()]).toEqual(['one'])
    expect(set.leftOut).toEqual(said)
  })

  test('two of one kid', () => {
    expect(
      read([
        { ...wit, kid: 'w' },
        { ...wit, kid: 'w' },
      ]).leftOut,
    ).toEqual(['"w": a WIT key with the kid of another key'])
  })
})

describe('[Countersign: one reading of a document] what two readers could see differently is refused', () => {
  const text = JSON.stringify({ keys: [entry] })
  test.each([
    ['keys twice', text.replace('{', '{"keys":[],')],
    ['use twice', text.replace('"use":', '"use":"jwt-svid","use":')],
    ['x5c twice', text.replace('"x5c":', '"x5c":[],"x5c":')],
    ['spiffe_sequence twice', text.replace('{', '{"spiffe_sequence":1,"spiffe_sequence":2,')],
    ['a name spelled with escapes', text.replace('"use"', String.raw`"\u0075se"`)],
    ['a byte order mark', `\ufeff${text}`],
    ['a second document after it', `${text}${text}`],
  ])('%s', (_, document) => {
    expect(() => readKeySet(document, 'bundle')).toThrow(MalformedKeys)
  })

  test('a member called __proto__ is a member like any other', () => {
    expect(readKeySet(text.replace('{', '{"__proto__":{"keys":[]},'), 'bundle').authorities).toHaveLength(1)
    expect(readKeySet(`{"__proto__":{"keys":[],"spiffe_sequence":4}, "keys":[]}`, 'bundle').sequence).toBeNull()
    leftOut([JSON.parse('{"__proto__":{"use":"x509-svid"}}')], 'no use')
  })

  test('any text is read or refused with the one error', () => {
    const json = fc.oneof(
      fc.json(),
      fc.json().map((value) => `{"keys":[${value}]}`),
      fc.json().map((x5c) => JSON.stringify({ keys: [{ ...entry, x5c: [x5c] }] })),
    )
    fc.assert(
      fc.property(json, (document) => {
        try {
          readKeySet(document, 'bundle')
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedKeys)
        }
      }),
    )
  })

  test('any bytes in x5c are an authority whole or left out', () => {
    fc.assert(
      fc.property(fc.nat(der.length - 1), fc.nat(255), (at, byte) => {
        const changed = Buffer.from(der)
        changed[at] = byte
        const set = read([{ ...entry, x5c: [changed.toString('base64')] }])
        expect(set.authorities.length + set.leftOut.length).toBe(1)
      }),
    )
  })
})
