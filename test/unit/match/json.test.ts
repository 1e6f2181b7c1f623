import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { JsonFault } from '../../../src/match/json-fault.ts'
import { jsonCaps, readJson } from '../../../src/match/json.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const read = (text: string): unknown => readJson(bytes(text)).value

const accepts = (text: string): boolean => {
  try {
    readJson(bytes(text))
    return true
  } catch (error) {
    expect(error).toBeInstanceOf(JsonFault)
    return false
  }
}

describe('the strict JSON reader', () => {
  it('agrees with JSON.parse on every document it accepts, unless a key is escaped, where JSON.parse errs', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), (text) => {
        fc.pre(!text.includes('\\') && accepts(text))
        expect(read(text)).toEqual(JSON.parse(text))
      }),
      { numRuns: 500 },
    )
  })

  it('reads back every sound value that JSON.stringify writes, whatever keys were read before', () => {
    const key = fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 6 }),
      fc.array(fc.constantFrom('"', '\\', 'u0061', '\n', 'a', 'é'), { maxLength: 4 }).map((units) => units.join('')),
    )
    // JSON.stringify writes no minus zero, and whole numbers from 2^53 to 10^21 as the integers that are refused
    const double = fc
      .double({ noNaN: true, noDefaultInfinity: true })
      .filter((value) => !Object.is(value, -0) && !/^-?\d{16,}$/.test(String(value)))
    const { sound } = fc.letrec<{ sound: unknown }>((tie) => ({
      sound: fc.oneof(
        { maxDepth: 4 },
        fc.oneof(fc.string({ unit: 'grapheme' }), double, fc.integer(), fc.boolean(), fc.constant(null)),
        fc.array(tie('sound'), { maxLength: 4 }),
        fc.dictionary(key, tie('sound'), { maxKeys: 5, noNullPrototype: true }),
      ),
    }))
    fc.assert(
      fc.property(sound, fc.constantFrom(0, 1, '\t'), (value, space) => {
        fc.pre(!hasTwins(value))
        expect(read(JSON.stringify(value, null, space))).toEqual(value)
      }),
      { numRuns: 2000 },
    )
  })

  it('is not misled about an escaped key by keys it read before', () => {
    for (const before of ['{"\\\\u0061":1}', '{"amount":1,"\\\\u0061":1}', '{"amount":1,"\\\\":1}']) read(before)
    expect(read('{"\\u0061mount":1000}')).toEqual({ amount: 1000 })
    expect(read('{"amount":1,"\\"":2}')).toEqual({ amount: 1, '"': 2 })
    expect(read(' [ { "amount" : 1 , "\\n" : [ -1.5e3 , true , null , "\\\\" , { } ] } , 7 ] ')).toEqual([
      { amount: 1, '\n': [-1500, true, null, '\\', {}] },
      7,
    ])
    expect(accepts('{"amount":1,"\\u0061mount":1000}')).toBe(false)
  })

  it('never accepts what JSON.parse refuses, whatever the text', () => {
    const near = fc
      .array(fc.constantFrom(...Array.from('{}[]":,\\ \n0123456789-+.eEtrufalsn\u0000\u00e9\ufeff')), { maxLength: 24 })
      .map((units) => units.join(''))
    fc.assert(
      fc.property(near, (text) => {
        if (!accepts(text)) return
        expect(() => JSON.parse(text)).not.toThrow()
      }),
      { numRuns: 5000 },
    )
  })

  it('never accepts two equal keys, however they are spelled and wherever they stand', () => {
    const key = fc.string({ maxLength: 6 }).filter((text) => !text.includes('\0'))
    const spelled = (text: string, escape: readonly boolean[]): string =>
      `"${Array.from({ length: text.length }, (_, at) =>
        escape[at] || !/[a-zA-Z0-9]/.test(text.charAt(at)) ? `\\u${text.charCodeAt(at).toString(16).padStart(4, '0')}` : text.charAt(at),
      ).join('')}"`
    fc.assert(
      fc.property(
        key,
        fc.array(fc.boolean()),
        fc.json({ maxDepth: 2 }),
        fc.json({ maxDepth: 2 }),
        fc.nat(3),
        (name, escape, one, two, deep) => {
          const object = `{${spelled(name, escape)}:${one},"other key":{},${spelled(name, [])}:${two}}`
          expect(accepts(`${'[{"a":'.repeat(deep)}${object}${'}]'.repeat(deep)}`)).toBe(false)
        },
      ),
      { numRuns: 1000 },
    )
  })

  it('never accepts bytes that are not UTF-8', () => {
    const invalid = fc.constantFrom(
      [0x80],
      [0xc0, 0xaf],
      [0xc3],
      [0xe2, 0x82],
      [0xed, 0xa0, 0x80],
      [0xf4, 0x90, 0x80, 0x80],
      [0xff],
      [0xfe],
    )
    fc.assert(
      fc.property(fc.string(), invalid, (before, sequence) => {
        const text = Buffer.concat([
          Buffer.from('"'),
          Buffer.from(before.replace(/["\\]/g, ''), 'utf8'),
          Buffer.from(sequence),
          Buffer.from('"'),
        ])
        expect(() => readJson(text)).toThrow(JsonFault)
      }),
    )
  })

  it('gives objects without a prototype, so that every key is a key', () => {
    const value = read('{"__proto__":{"admin":true},"constructor":1,"toString":2}') as Record<string, unknown>
    expect(Object.getPrototypeOf(value)).toBeNull()
    expect(Object.keys(value)).toEqual(['__proto__', 'constructor', 'toString'])
    expect(Object.getPrototypeOf(value['__proto__'])).toBeNull()
    expect(({} as Record<string, unknown>)['admin']).toBeUndefined()
    expect(JSON.stringify(value)).toBe('{"__proto__":{"admin":true},"constructor":1,"toString":2}')
  })

  it('refuses nesting before anything recurses', () => {
    const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
    expect(accepts(nested(jsonCaps.depth))).toBe(true)
    expect(accepts(nested(jsonCaps.depth + 1))).toBe(false)
    expect(accepts('{"a":'.repeat(100_000))).toBe(false)
    expect(accepts(`${nested(64).slice(0, 64)}"]]]["${nested(64).slice(64)}`)).toBe(true)
  })

  it('marks a sound document past a cap instead of judging it', () => {
    const caps = { depth: 8, members: 2, items: 3, string: 4 }
    const beyond = (text: string): string | null => readJson(bytes(text), caps).beyond
    expect(beyond('{"a":[1,2,3],"b":"four"}')).toBeNull()
    expect(beyond('{"a":1,"b":2,"c":3}')).toBe('members')
    expect(beyond('[[1,2,3,4]]')).toBe('items')
    expect(beyond('["fiver"]')).toBe('string')
    expect(beyond('{"fiver":1}')).toBe('string')
    expect(() => readJson(bytes('{"fiver":1,"fiver":1}'), caps)).toThrow(JsonFault)
  })

  it.each([
    ['quotes and backslashes', `"${'\\\\'.repeat(60_000)}${'\\"'.repeat(60_000)}"`],
    ['colons before an escape', `"n"${':'.repeat(2_000_000)}"\\n"`],
    ['colons after an escape', `"\\n"${':'.repeat(250_000)}`],
    ['colons in a string after an escape', `["\\n","${':'.repeat(250_000)}"]`],
    ['escaped keys', `{${Array.from({ length: 20_000 }, (_, at) => `"\\n${at}":0`).join(',')}}`],
    ['quotes', '"'.repeat(250_000)],
  ])('stays linear on a text of %s', (_case, hostile) => {
    const started = performance.now()
    accepts(hostile)
    expect(performance.now() - started).toBeLessThan(2000)
  })

  it('repeats nothing of the document in its message', () => {
    for (const text of [
      '{"secret-canary":1,"secret-canary":2}',
      'secret-canary',
      '"secret-canary',
      '{"a":secret-canary}',
      '1234567890123456789012345678901',
    ]) {
      expect(() => read(text)).toThrow(/^[a-zA-Z0-9^ -]+$/)
      expect(() => read(text)).not.toThrow(/canary|12345/)
    }
  })
})

function hasTwins(value: unknown): boolean {
  if (value === null || typeof value !== 'object') return false
  const keys = Object.keys(value)
  return new Set(keys.map((key) => key.toUpperCase().toLowerCase())).size !== keys.length || Object.values(value).some(hasTwins)
}
