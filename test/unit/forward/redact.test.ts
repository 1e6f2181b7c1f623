import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { spliceJson } from '../../../src/forward/splice.ts'
import { readJson } from '../../../src/match/json.ts'

const redact = (text: string, ...paths: readonly string[]): string =>
  Buffer.from(spliceJson(Buffer.from(text), { mask: paths, drop: [], anyCase: true })).toString()

describe('redaction', () => {
  it.each<[string, string, readonly string[], string]>([
    ['a string', '{"a":"b"}', ['/a'], '{"a":"***"}'],
    ['an empty string', '{"a":""}', ['/a'], '{"a":"***"}'],
    ['a number, as null', '{"a":-1.50E+2 , "b":1}', ['/a'], '{"a":null , "b":1}'],
    ['a name, as null', '[true,false,null]', ['/0', '/1', '/2'], '[null,null,null]'],
    ['an object whole', '{"a":{"b":["}",{}]},"c":"d"}', ['/a'], '{"a":null,"c":"d"}'],
    ['an array whole', '{"a":[[1],"]"],"c":1}', ['/a'], '{"a":null,"c":1}'],
    ['every member', '{"a":{"x":"1","y":2}}', ['/a/*'], '{"a":{"x":"***","y":null}}'],
    ['every item', '[{"a":"1"},{"b":"2"},{"a":"3"}]', ['/*/a'], '[{"a":"***"},{"b":"2"},{"a":"***"}]'],
    ['where a name and a star both lead', '{"a":{"b":"1","c":"2"}}', ['/a/b', '/*/c'], '{"a":{"b":"***","c":"***"}}'],
    ['a place within another once', '{"a":{"b":"1"}}', ['/a/b', '/a'], '{"a":null}'],
    ['a key with a slash and a tilde', '{"a/b":{"c~d":"1"},"a":1}', ['/a~1b/c~0d'], '{"a/b":{"c~d":"***"},"a":1}'],
    ['a key with ~1 in it, not a slash', '{"~1":"a","/":"b"}', ['/~01'], '{"~1":"***","/":"b"}'],
    ['the empty key', '{"":"a","b":"c"}', ['/'], '{"":"***","b":"c"}'],
    ['a key spelled with escapes', '{"\\u0061mount":"9"}', ['/amount'], '{"\\u0061mount":"***"}'],
    ['a key that V8 would misread', '[{"\\\\u0061":0},{"\\u0061":"x"}]', ['/*/a'], '[{"\\\\u0061":0},{"\\u0061":"***"}]'],
    [
      'a key beyond the basic plane, escaped or not',
      '[{"\\ud83d\\ude00":"a"},{"\u{1f600}":"b"}]',
      ['/*/\u{1f600}'],
      '[{"\\ud83d\\ude00":"***"},{"\u{1f600}":"***"}]',
    ],
    ['a key in other case, which to some readers is the same', '{"SSN":"1","x":2}', ['/ssn'], '{"SSN":"***","x":2}'],
    ['a key with the long s, which folds to s', '{"\u017fsn":"1"}', ['/ssn'], '{"\u017fsn":"***"}'],
    ['a member named like an index', '{"0":"a"}', ['/0'], '{"0":"***"}'],
    ['an item at its own index alone', '["a","b"]', ['/01', '/-', '/1'], '["a","***"]'],
    [
      'a member named like what every object has',
      '{"__proto__":"a","constructor":"b"}',
      ['/__proto__', '/constructor'],
      '{"__proto__":"***","constructor":"***"}',
    ],
    ['a string that holds quotes and braces', '{"a":"\\"}]\\\\","b":"c"}', ['/a'], '{"a":"***","b":"c"}'],
    ['within blanks', ' { "a" :\n[ "b" ,\t1 ] } ', ['/a/*'], ' { "a" :\n[ "***" ,\tnull ] } '],
    ['nothing at a place that is not there', '{"a":[1,"b"]}', ['/b', '/a/x', '/a/0/c'], '{"a":[1,"b"]}'],
    ['nothing of a scalar document', '"a"', ['/a', '/*'], '"a"'],
  ])('makes unreadable %s', (_, text, paths, expected) => {
    expect(redact(text, ...paths)).toBe(expected)
    expect(() => readJson(Buffer.from(expected))).not.toThrow()
  })

  it('goes through a huge array once', () => {
    const items = Array.from({ length: 8192 }, (_, at) => `{"a":"${at}","b":${at}}`)
    const paths = ['/*/a', ...Array.from({ length: 63 }, (_, at) => `/${at}/b`)]
    expect(redact(`[${items.join(',')}]`, ...paths)).toBe(
      `[${items.map((item, at) => item.replace(/"a":"\d+"/, '"a":"***"').replace(/"b":\d+/, at < 63 ? '"b":null' : '$&')).join(',')}]`,
    )
  })
})

// Documents as an agent may write them: odd keys, escapes, blanks, numbers that no double prints the same.
const key = fc.constantFrom('a', 'b', 'c', 'a/b', '~', '', '0', '*', 'é', '\u{1f600}', '__proto__')
const written = fc.oneof(
  fc.constantFrom(
    '1',
    '-0',
    '1.50',
    '1E2',
    '0.10',
    '123456789012345',
    'true',
    'false',
    'null',
    '"x"',
    '""',
    '"\\u0041\\""',
    '"}]"',
    '"\\\\"',
  ),
  fc.string({ unit: 'grapheme' }).map((text) => JSON.stringify(text)),
)
const blank = fc.constantFrom('', '', ' ', '\n\t')

interface Written {
  readonly text: string
}

const { document } = fc.letrec<{ document: Written; array: Written; object: Written }>((tie) => ({
  document: fc.oneof(
    { maxDepth: 4 },
    written.map((text) => ({ text })),
    tie('array'),
    tie('object'),
  ),
  array: fc.tuple(fc.array(tie('document'), { maxLength: 4 }), blank).map(([items, gap]) => ({
    text: `[${gap}${items.map(({ text }) => text).join(`${gap},`)}${gap}]`,
  })),
  object: fc
    .tuple(fc.uniqueArray(fc.tuple(key, tie('document'), fc.boolean()), { maxLength: 4, selector: ([name]) => name }), blank)
    .map(([members, gap]) => ({
      text: `{${members.map(([name, value, escaped]) => `${gap}${escaped ? escape(name) : JSON.stringify(name)}${gap}:${value.text}`).join(',')}${gap}}`,
    })),
}))

/** A key with every unit escaped. */
function escape(name: string): string {
  return `"${Array.from({ length: name.length }, (_, at) => `\\u${name.charCodeAt(at).toString(16).padStart(4, '0')}`).join('')}"`
}

const segment = fc.constantFrom('a', 'b', 'c', 'a~1b', '~0', '', '0', '1', '*', 'é', '\u{1f600}', '__proto__')
const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => `/${segments.join('/')}`)

/** The same said of parsed values, the simple way. */
function simply(value: unknown, paths: readonly (readonly string[])[]): unknown {
  if (paths.some((left) => left.length === 0)) return typeof value === 'string' ? '***' : null
  if (value === null || typeof value !== 'object') return value
  const inner = (name: string, member: unknown): unknown =>
    simply(
      member,
      paths.filter(([first]) => first === '*' || first === name).map((left) => left.slice(1)),
    )
  if (Array.isArray(value)) return value.map((item, at) => inner(String(at), item))
  const changed: Record<string, unknown> = Object.create(null)
  for (const name of Object.keys(value)) changed[name] = inner(name, (value as Record<string, unknown>)[name])
  return changed
}

it('gives a document that reads as the original does but at the paths, and is the same everywhere else to the byte', () => {
  fc.assert(
    fc.property(document, fc.array(path, { maxLength: 4 }), ({ text }, paths) => {
      const made = redact(text, ...paths)
      const segments = paths.map((each) =>
        each
          .slice(1)
          .split('/')
          .map((part) => (part === '*' ? part : part.replaceAll('~1', '/').replaceAll('~0', '~'))),
      )
      expect(readJson(Buffer.from(made)).value).toEqual(simply(readJson(Buffer.from(text)).value, segments))
      // what is left of the original stands in it, in order
      let from = 0
      for (const piece of made.split(/"\*\*\*"|null/)) {
        const at = text.indexOf(piece, from)
        expect(at).toBeGreaterThanOrEqual(from)
        from = at + piece.length
      }
      if (paths.length === 0) expect(made).toBe(text)
    }),
    { numRuns: 2000 },
  )
})
