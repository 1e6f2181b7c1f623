import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  jwtBundlesResponse,
  jwtSvidRequest,
  jwtSvidResponse,
  validateJwtSvidRequest,
  validateJwtSvidResponse,
} from '../../../../src/identify/workload-api/jwt-messages.ts'
import { emptyMessage } from '../../../../src/identify/workload-api/map-field.ts'
import type { Codec } from '../../../../src/identify/workload-api/map-field.ts'
import { encodeStruct, readStruct } from '../../../../src/identify/workload-api/struct.ts'
import type { Json, JsonObject } from '../../../../src/identify/workload-api/struct.ts'
import { MalformedMessage, WireWriter, WireReader } from '../../../../src/protobuf.ts'
import { witBundlesResponse, witSvidRequest, witSvidResponse } from '../../../../src/identify/workload-api/wit-messages.ts'
import { x509BundlesResponse, x509SvidResponse } from '../../../../src/identify/workload-api/x509-messages.ts'
import { oracleBytes, oracleRead, oracleStruct } from '../../../support/workloadapi-proto.ts'

// unpaired surrogates are no text that UTF-8 could carry
const text = fc.string({ unit: 'grapheme', maxLength: 40 })
const bytes = fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.from(each))
const key = text.filter((name) => name !== '__proto__')
const byteMap = fc.uniqueArray(fc.tuple(key, bytes), { selector: ([name]) => name, maxLength: 5 }).map((entries) => new Map(entries))
const textMap = fc.uniqueArray(fc.tuple(key, text), { selector: ([name]) => name, maxLength: 5 }).map((entries) => new Map(entries))
const list = <Item>(item: fc.Arbitrary<Item>): fc.Arbitrary<Item[]> => fc.array(item, { maxLength: 4 })

/** Each message: its codec, its name, what it can hold, and the same in the names of the wire. */
function messages() {
  const entry = <Message>(name: string, codec: Codec<Message>, arbitrary: fc.Arbitrary<Message>, plain: (message: Message) => object) => ({
    name,
    codec: codec as Codec<unknown>,
    arbitrary: arbitrary as fc.Arbitrary<unknown>,
    plain: plain as (message: unknown) => object,
  })
  const claims = fc.jsonValue({ maxDepth: 3 }).map((value) => bare({ value, sub: 'x' }) as JsonObject)
  return [
    entry(
      'X509SVIDResponse',
      x509SvidResponse,
      fc.record({
        svids: list(fc.record({ spiffeId: text, x509Svid: bytes, x509SvidKey: bytes, bundle: bytes, hint: text })),
        crl: list(bytes),
        federatedBundles: byteMap,
      }),
      ({ svids, crl, federatedBundles }) => ({
        svids: svids.map((svid) => ({
          spiffe_id: svid.spiffeId,
          x509_svid: svid.x509Svid,
          x509_svid_key: svid.x509SvidKey,
          bundle: svid.bundle,
          hint: svid.hint,
        })),
        crl,
        federated_bundles: Object.fromEntries(federatedBundles),
      }),
    ),
    entry('X509BundlesResponse', x509BundlesResponse, fc.record({ crl: list(bytes), bundles: byteMap }), ({ crl, bundles }) => ({
      crl,
      bundles: Object.fromEntries(bundles),
    })),
    entry('JWTSVIDRequest', jwtSvidRequest, fc.record({ audience: list(text), spiffeId: text }), ({ audience, spiffeId }) => ({
      audience,
      spiffe_id: spiffeId,
    })),
    entry(
      'JWTSVIDResponse',
      jwtSvidResponse,
      fc.record({ svids: list(fc.record({ spiffeId: text, svid: text, hint: text })) }),
      ({ svids }) => ({ svids: svids.map(({ spiffeId, svid, hint }) => ({ spiffe_id: spiffeId, svid, hint })) }),
    ),
    entry('JWTBundlesResponse', jwtBundlesResponse, fc.record({ bundles: byteMap }), ({ bundles }) => ({
      bundles: Object.fromEntries(bundles),
    })),
    entry('ValidateJWTSVIDRequest', validateJwtSvidRequest, fc.record({ audience: text, svid: text }), (message) => message),
    entry(
      'ValidateJWTSVIDResponse',
      validateJwtSvidResponse,
      fc.record({ spiffeId: text, claims: fc.option(claims) }),
      ({ spiffeId, claims: object }) => ({ spiffe_id: spiffeId, claims: object === null ? null : oracleStruct(object) }),
    ),
    entry('WITSVIDRequest', witSvidRequest, fc.record({ spiffeId: text }), ({ spiffeId }) => ({ spiffe_id: spiffeId })),
    entry(
      'WITSVIDResponse',
      witSvidResponse,
      fc.record({ svids: list(fc.record({ spiffeId: text, witSvid: text, witSvidKey: text, hint: text })) }),
      ({ svids }) => ({
        svids: svids.map((svid) => ({ spiffe_id: svid.spiffeId, wit_svid: svid.witSvid, wit_svid_key: svid.witSvidKey, hint: svid.hint })),
      }),
    ),
    entry('WITBundlesResponse', witBundlesResponse, fc.record({ bundles: textMap }), ({ bundles }) => ({
      bundles: Object.fromEntries(bundles),
    })),
  ]
}

/** JSON as the decoder gives it: objects without a prototype, and no negative zero lost on the way. */
function bare(value: unknown): Json {
  if (Array.isArray(value)) return value.map(bare)
  if (typeof value !== 'object' || value === null) return value as Json
  const object = Object.create(null) as Record<string, Json>
  for (const [name, each] of Object.entries(value)) object[name] = bare(each)
  return object
}

describe.each(messages())('$name', ({ name, codec, arbitrary, plain }) => {
  test('is read as protobufjs wrote it', () => {
    fc.assert(
      fc.property(arbitrary, (message) => {
        expect(codec.decode(oracleBytes(name, plain(message)))).toEqual(message)
      }),
    )
  })

  test('is written so that protobufjs reads it', () => {
    fc.assert(
      fc.property(arbitrary, (message) => {
        expect(oracleRead(name, codec.encode(message))).toEqual(oracleRead(name, oracleBytes(name, plain(message))))
      }),
    )
  })

  test('comes through both directions whole', () => {
    fc.assert(
      fc.property(arbitrary, (message) => {
        expect(codec.decode(codec.encode(message))).toEqual(message)
      }),
    )
  })

  test('is refused at every length but its own, or says less', () => {
    fc.assert(
      fc.property(arbitrary, fc.nat(), (message, cut) => {
        const whole = codec.encode(message)
        const part = whole.subarray(0, whole.length === 0 ? 0 : cut % whole.length)
        try {
          codec.decode(part)
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedMessage)
        }
      }),
    )
  })

  test('passes over fields it does not know, of every wire type', () => {
    const unknown = Buffer.concat([
      Buffer.from([0xf8, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]), // 31: varint of 64 bits
      Buffer.from([0xf9, 0x01, 1, 2, 3, 4, 5, 6, 7, 8]), // 31: 64 bits
      Buffer.from([0xfa, 0x01, 3, 1, 2, 3]), // 31: bytes
      Buffer.from([0xfd, 0x01, 1, 2, 3, 4]), // 31: 32 bits
    ])
    fc.assert(
      fc.property(arbitrary, (message) => {
        expect(codec.decode(Buffer.concat([unknown, codec.encode(message), unknown]))).toEqual(message)
      }),
      { numRuns: 20 },
    )
  })

  test('of any bytes at all is read or refused as malformed, and nothing else happens', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (any) => {
        try {
          codec.decode(any)
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedMessage)
        }
      }),
      { numRuns: 500 },
    )
  })

  test('with its first field of another wire type is refused', () => {
    expect(() => codec.decode(Buffer.from([0x08, 0x01]))).toThrow('wrong wire type')
  })
})

describe('a message without fields', () => {
  test('is no bytes, and passes over those of later versions', () => {
    expect(emptyMessage.encode({})).toHaveLength(0)
    expect(emptyMessage.decode(Buffer.from([0x0a, 1, 0x41]))).toEqual({})
  })
})

describe('bytes that break the wire format are refused', () => {
  test.each([
    ['a field with the number 0', [0x02, 0x00]],
    ['a group', [0x0b, 0x0c]],
    ['the end of a group', [0xfc, 0x01]],
    ['wire type 6', [0xfe, 0x01]],
    ['a length past the end', [0x0a, 0x05, 0x41]],
    ['a length of 32 bits past the end', [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]],
    ['a length of more than 32 bits', [0x0a, 0xff, 0xff, 0xff, 0xff, 0x1f]],
    ['a length of six bytes', [0x0a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00]],
    ['a tag of more than 32 bits', [0x80, 0x80, 0x80, 0x80, 0x10]],
    ['a number that never ends', [0xf8, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]],
    ['a number of more than 64 bits', [0xf8, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]],
    ['a cut number', [0xf8, 0x01, 0x80]],
    ['a tag alone', [0x0a]],
    ['text that is not UTF-8', [0x0a, 0x01, 0xff]],
    ['an overlong spelling in text', [0x0a, 0x02, 0xc0, 0x80]],
    ['half a surrogate pair in text', [0x0a, 0x03, 0xed, 0xa0, 0x80]],
  ])('%s', (_, given) => {
    expect(() => jwtSvidRequest.decode(Buffer.from(given))).toThrow(MalformedMessage)
  })
})

test('a value that runs past the end of the message it stands in is refused, even where more bytes follow', () => {
  const inside = [0x0a, 0x02, 0x0a, 0x03]
  expect(() => jwtSvidResponse.decode(Buffer.from([...inside, 0x12, 0x01, 0x41, 0x12, 0x00]))).toThrow('past the end')
  expect(() => jwtSvidResponse.decode(Buffer.from([0x0a, 0x01, 0x0a, 0x00]))).toThrow('ends within')
  expect(() => readStruct(new WireReader(Buffer.from([0x0a, 0x04, 0x0a, 0x00, 0x12, 0x02, 0x20, 0x01])))).toThrow('past the end')
})

describe('what stands more than once', () => {
  test('of a text the last counts', () => {
    expect(validateJwtSvidRequest.decode(Buffer.from([0x0a, 1, 0x41, 0x0a, 1, 0x42]))).toEqual({ audience: 'B', svid: '' })
  })

  test('of a key of a map the last counts', () => {
    const entry = (value: number): number[] => [0x0a, 6, 0x0a, 1, 0x41, 0x12, 1, value]
    expect(jwtBundlesResponse.decode(Buffer.from([...entry(1), ...entry(2)])).bundles).toEqual(new Map([['A', Buffer.from([2])]]))
  })

  test('an entry of a map without key or value has empty ones', () => {
    expect(jwtBundlesResponse.decode(Buffer.from([0x0a, 0])).bundles).toEqual(new Map([['', Buffer.alloc(0)]]))
    expect(witBundlesResponse.decode(Buffer.from([0x0a, 0])).bundles).toEqual(new Map([['', '']]))
  })

  test('of a message that may stand once two are refused', () => {
    expect(() => validateJwtSvidResponse.decode(Buffer.from([0x12, 0, 0x12, 0]))).toThrow('stands twice')
  })

  test('the text of a key starts with its byte order mark when it has one', () => {
    expect(witSvidRequest.decode(Buffer.from([0x0a, 4, 0xef, 0xbb, 0xbf, 0x41])).spiffeId).toBe('\ufeffA')
  })
})

describe('google.protobuf.Struct', () => {
  test('gives a member called __proto__ as a member, and nothing has a prototype to poison', () => {
    // written by hand: an object literal could not say it
    const member = Buffer.concat([Buffer.from([0x0a, 9]), Buffer.from('__proto__'), Buffer.from([0x12, 2, 0x20, 1])])
    const claims = readStruct(new WireReader(Buffer.concat([Buffer.from([0x0a, member.length]), member])))
    expect(Object.keys(claims)).toEqual(['__proto__'])
    expect(Object.getPrototypeOf(claims)).toBeNull()
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
    expect(readStruct(new WireReader(encodeStruct(claims)))).toEqual(claims)
  })

  test.each([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN])('refuses the number %s, which no JSON has', (number) => {
    expect(() => readStruct(new WireReader(oracleBytes('Struct', oracleStruct({ exp: number }))))).toThrow('not finite')
  })

  test('is taken 64 objects deep and no deeper', () => {
    const nest = (depth: number): JsonObject => (depth === 1 ? {} : { a: nest(depth - 1) })
    expect(readStruct(new WireReader(encodeStruct(nest(64))))).toEqual(bare(nest(64)))
    expect(() => readStruct(new WireReader(encodeStruct(nest(65))))).toThrow('nested too deep')
    let deep: Buffer = Buffer.alloc(0)
    for (let level = 0; level < 3000; level++) {
      const value = new WireWriter().present(5, deep).finish()
      deep = new WireWriter().present(1, new WireWriter().string(1, 'a').present(2, value).finish()).finish()
    }
    expect(() => readStruct(new WireReader(deep))).toThrow('nested too deep')
  })

  test('refuses a value without a kind, a member without a value and a null that is not 0', () => {
    expect(() => readStruct(new WireReader(Buffer.from([0x0a, 5, 0x0a, 1, 0x41, 0x12, 0])))).toThrow('no kind')
    expect(() => readStruct(new WireReader(Buffer.from([0x0a, 3, 0x0a, 1, 0x41])))).toThrow('no value')
    expect(() => readStruct(new WireReader(Buffer.from([0x0a, 7, 0x0a, 1, 0x41, 0x12, 2, 0x08, 1])))).toThrow('not 0')
  })

  test('of a oneof that is set twice the last counts', () => {
    expect(readStruct(new WireReader(Buffer.from([0x0a, 9, 0x0a, 1, 0x41, 0x12, 4, 0x20, 1, 0x20, 0])))).toEqual({ A: false })
  })
})
