import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { member, parseStrictJson } from '../../../src/identify/strict-json.ts'

describe('strict JSON', () => {
  test('reads every object as JSON.parse does, as long as no name needs an escape', () => {
    const name = fc.string({ unit: 'binary' }).filter((text) => !JSON.stringify(text).includes('\\'))
    const value = fc.letrec((tie) => ({
      any: fc.oneof(fc.jsonValue({ maxDepth: 0 }), fc.array(tie('any')), fc.dictionary(name, tie('any'))),
    })).any
    fc.assert(
      fc.property(fc.dictionary(name, value), fc.nat(4), (object, indent) => {
        const text = JSON.stringify(object, null, indent)
        expect(parseStrictJson(text)).toEqual(JSON.parse(text))
      }),
    )
  })

  test('refuses a member named twice wherever it stands and however it is spelled', () => {
    const name = fc.string({ unit: 'binary', minLength: 1 })
    const wrap = fc.constantFrom<(inner: string) => string>(
      (inner) => inner,
      (inner) => `{"a":${inner}}`,
      (inner) => `{"a":[1,{"b":"},{"},${inner}]}`,
      (inner) => `{"a":{"a":{}},"b":${inner},"c":{"x":1}}`,
    )
    fc.assert(
      fc.property(name, fc.jsonValue({ maxDepth: 2 }), wrap, fc.boolean(), (text, value, around, escaped) => {
        const plain = JSON.stringify(text)
        const second = escaped ? `"${escapeAll(text)}"` : plain
        const twice = around(`{${plain}:${JSON.stringify(value)}, ${second} : null}`)
        expect(() => JSON.parse(twice) as unknown).not.toThrow()
        expect(() => parseStrictJson(twice)).toThrow(SyntaxError)
      }),
    )
  })

  test.each([
    ['one name in several objects', '{"a":{"x":1},"b":{"x":1},"x":[{"x":1},{"x":1}]}'],
    ['names that differ in case', '{"a":1,"A":2}'],
    ['a value like a name', '{"a":"b","b":"a","c":["a","a"]}'],
    ['quotes and brackets in texts', String.raw`{"a":"{\"a\":1,\"a\":1}","c":"]}","b":"\\"}`],
    ['names of the prototype', '{"__proto__":1,"constructor":2,"toString":3,"hasOwnProperty":4}'],
    ['an empty name', '{"":{"":1}}'],
  ])('takes %s', (_, text) => {
    expect(parseStrictJson(text)).toEqual(JSON.parse(text))
  })

  test('refuses a name spelled with escapes: nodejs/node#63785 can hand out the text of another name for it', () => {
    expect(() => parseStrictJson(String.raw`{"\\u0061":1}`)).toThrow(SyntaxError)
    expect(() => parseStrictJson(String.raw`{"s\u0075b":"spiffe://acme.example/admin"}`)).toThrow(SyntaxError)
    expect(() => parseStrictJson(String.raw`{"a":[{"\n":1}]}`)).toThrow(SyntaxError)
  })

  test.each(['1e400', '-1e400', '1E+400', '0.1e999', `1${'0'.repeat(309)}`])(
    'refuses %s at any depth: JavaScript would read Infinity',
    (number) => {
      expect(() => parseStrictJson(`{"a":${number}}`)).toThrow('a number too large to hold')
      expect(() => parseStrictJson(`{"a":[{"b":"1e400"},${number} ]}`)).toThrow('a number too large to hold')
    },
  )

  test.each(['1e308', '-1.7e+308', '1e-400', '0', '-0', '12345678901234567890'])('takes %s', (number) => {
    expect(parseStrictJson(`{"a":[${number},-1],"b":${number}}`)).toEqual({ a: [Number(number), -1], b: Number(number) })
  })

  test.each(['', ' ', 'null', '1', '"x"', '[]', '{', '{}x', '{"a":1,}', '{a:1}', "{'a':1}", '{"a":01}', '{"a":"\t"}', '\ufeff{}', '{}\0'])(
    'refuses %j',
    (text) => {
      expect(() => parseStrictJson(text)).toThrow(SyntaxError)
    },
  )

  test.each([
    ['a byte that starts nothing', [0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]],
    ['an overlong slash', [0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x3a, 0x31, 0x7d]],
    ['a surrogate', [0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x3a, 0x31, 0x7d]],
    ['a byte order mark', [0xef, 0xbb, 0xbf, 0x7b, 0x7d]],
    ['UTF-16', [0x7b, 0, 0x7d, 0]],
  ])('refuses bytes with %s', (_, bytes) => {
    expect(() => parseStrictJson(Uint8Array.from(bytes))).toThrow(SyntaxError)
  })

  test('takes 64 levels and refuses 65', () => {
    const nest = (levels: number): string => `${'{"a":'.repeat(levels - 1)}{}${'}'.repeat(levels - 1)}`
    expect(() => parseStrictJson(nest(64))).not.toThrow()
    expect(() => parseStrictJson(nest(65))).toThrow(SyntaxError)
  })

  test('throws nothing but SyntaxError', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: fc.constantFrom(...Array.from('{}[]":,\\u0a1')) })), (text) => {
        try {
          parseStrictJson(text)
        } catch (error) {
          if (!(error instanceof SyntaxError)) throw error
        }
      }),
      { numRuns: 2000 },
    )
  })
})

describe('members', () => {
  test('are own ones alone', () => {
    const object = parseStrictJson('{"__proto__":{"sub":"x"},"a":1}')
    expect(member(object, 'sub')).toBeUndefined()
    expect(member(object, 'toString')).toBeUndefined()
    expect(member(object, 'a')).toBe(1)
    expect(member(object, '__proto__')).toEqual({ sub: 'x' })
  })
})

describe('whole numbers that shall be exact', () => {
  const exact = (text: string): unknown => member(parseStrictJson(text, 'n'), 'n')

  test('keep every digit', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n }), (number) => {
        expect(parseStrictJson(`{"n":${number},"x":{"n":1},"m":1}`, 'n')).toEqual({ n: number, x: { n: 1n }, m: 1 })
      }),
    )
  })

  test('are absent when absent, also when only nested or inherited', () => {
    expect(exact('{"a":{"n":1}}')).toBeUndefined()
    expect(exact('{"__proto__":{"n":1}}')).toBeUndefined()
  })

  test.each(['"1"', '1.0', '1e2', 'null', '{}', `1${'0'.repeat(40)}`])('are not made of %s', (value) => {
    expect(exact(`{"n":${value}}`)).toEqual(JSON.parse(value))
  })
})

function escapeAll(text: string): string {
  return Array.from({ length: text.length }, (_, at) => `\\u${text.charCodeAt(at).toString(16).padStart(4, '0')}`).join('')
}
