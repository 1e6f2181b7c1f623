import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { JsonFault, jsonCaps, readJson } from '../../../src/match/json.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const read = (text: string): unknown => readJson(bytes(text)).value

/** As a plain value, so that it can be compared with what JSON.parse gives. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

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
  it('agrees with JSON.parse on every document it accepts', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), (text) => {
        fc.pre(accepts(text))
        expect(plain(read(text))).toEqual(plain(JSON.parse(text)))
      }),
      { numRuns: 500 },
    )
  })

  it('accepts whatever JSON.stringify writes of sound values', () => {
    const sound = fc.jsonValue({ maxDepth: 5, noUnicodeString: true, stringUnit: 'grapheme' })
    fc.assert(
      fc.property(sound, fc.constantFrom(0, 1, '\t'), (value, space) => {
        const text = JSON.stringify(value, null, space)
        fc.pre(!hasTwinsOrBigNumbers(value))
        expect(plain(read(text))).toEqual(JSON.parse(text))
      }),
      { numRuns: 500 },
    )
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

  it('stays linear on text made of quotes and backslashes', () => {
    const hostile = `"${'\\\\'.repeat(60_000)}${'\\"'.repeat(60_000)}"`
    const started = performance.now()
    expect(accepts(hostile)).toBe(true)
    expect(performance.now() - started).toBeLessThan(1000)
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

function hasTwinsOrBigNumbers(value: unknown): boolean {
  if (typeof value === 'number') return Math.abs(value) > Number.MAX_SAFE_INTEGER
  if (value === null || typeof value !== 'object') return false
  const keys = Object.keys(value)
  if (new Set(keys.map((key) => key.toUpperCase().toLowerCase())).size !== keys.length || keys.some((key) => key.includes('\0')))
    return true
  return Object.values(value).some(hasTwinsOrBigNumbers)
}
