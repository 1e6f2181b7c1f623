import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { spliced, spliceJson, type Change } from '../../../src/forward/splice.ts'
import { readJson } from '../../../src/match/json.ts'

const change = (mask: readonly string[], drop: readonly string[] = []): Change => ({ mask, drop })

function splice(text: string, mask: readonly string[], drop: readonly string[] = []): string {
  return Buffer.from(spliceJson(Buffer.from(text), change(mask, drop))).toString('utf8')
}

describe('masking', () => {
  it('puts stars for a string, whatever its length, and null for all else', () => {
    const text = '{"a":"x","b":"much longer","c":12,"d":[1,{"e":2}],"f":true}'
    expect(splice(text, ['/a', '/b', '/c', '/d', '/f'])).toBe('{"a":"***","b":"***","c":null,"d":null,"f":null}')
  })

  it('leaves every other byte as it was written: blanks, order, escapes and numbers', () => {
    const text = ' {\n\t"id" : 12345678901234567890.50e+3, "name":"J\\u00f6rg" , "iban" :\r "DE12" ,"x":"\\/"}\n'
    expect(splice(text, ['/iban'])).toBe(text.replace('"DE12"', '"***"'))
  })

  it('knows a key under every spelling of it', () => {
    expect(splice('{"\\u0069b\\u0061n":"DE12"}', ['/iban'])).toBe('{"\\u0069b\\u0061n":"***"}')
    expect(splice('{"\\\\u0061":1}\n', ['/\\u0061'])).toBe('{"\\\\u0061":null}\n')
    expect(splice('{"schlüssel":1,"🔑":2}', ['/schlüssel', '/🔑'])).toBe('{"schlüssel":null,"🔑":null}')
  })

  it('masks each of two members with the same key', () => {
    expect(splice('{"a":"1","b":0,"\\u0061":"2"}', ['/a'])).toBe('{"a":"***","b":0,"\\u0061":"***"}')
  })

  it('takes a star for every member and item', () => {
    expect(splice('{"people":[{"ssn":"1"},{"ssn":"2","n":3}],"m":{"x":{"ssn":4}}}', ['/people/*/ssn', '/m/*/ssn'])).toBe(
      '{"people":[{"ssn":"***"},{"ssn":"***","n":3}],"m":{"x":{"ssn":null}}}',
    )
  })

  it('takes escaped marks, numbered items and empty names', () => {
    expect(splice('{"a/b":1,"c~d":2,"":3,"l":[4,5]}', ['/a~1b', '/c~0d', '/', '/l/1'])).toBe('{"a/b":null,"c~d":null,"":null,"l":[4,null]}')
  })

  it('masks the whole document at the empty pointer', () => {
    expect(splice(' [1] ', [''])).toBe(' null ')
  })

  it('counts a value inside a masked one no second time', () => {
    expect(spliced(Buffer.from('{"a":{"b":1}}'), change(['/a', '/a/b']))).toMatchObject({ masked: 1, dropped: 0 })
  })
})

describe('dropping', () => {
  const cases: readonly [string, readonly string[], string][] = [
    ['{"a":1,"b":2,"c":3}', ['/a'], '{"b":2,"c":3}'],
    ['{"a":1,"b":2,"c":3}', ['/b'], '{"a":1,"c":3}'],
    ['{"a":1,"b":2,"c":3}', ['/c'], '{"a":1,"b":2}'],
    ['{"a":1,"b":2,"c":3}', ['/a', '/b'], '{"c":3}'],
    ['{"a":1,"b":2,"c":3}', ['/b', '/c'], '{"a":1}'],
    ['{"a":1,"b":2,"c":3}', ['/a', '/c'], '{"b":2}'],
    ['{ "a" : 1 , "b" : 2 }', ['/*'], '{  }'],
    ['[1,2,3,4]', ['/0', '/2'], '[2,4]'],
    ['[[1],[2]]', ['/*/0'], '[[],[]]'],
    ['[ 1 ]', ['/0'], '[  ]'],
    ['{"a":{"b":1,"c":2},"d":{"b":1}}', ['/*/b'], '{"a":{"c":2},"d":{}}'],
    ['{"a":1,"\\u0061":2}', ['/a'], '{}'],
  ]

  it.each(cases)('of %s drops %s with the comma', (text, drop, left) => {
    expect(splice(text, [], drop)).toBe(left)
  })

  it('wins over masking, at the place and around it', () => {
    expect(splice('{"a":{"b":1},"c":2}', ['/a/b', '/c'], ['/a', '/c'])).toBe('{}')
  })

  it('does not reach into what is masked', () => {
    expect(splice('{"a":{"b":1}}', ['/a'], ['/a/b'])).toBe('{"a":null}')
  })
})

describe('what cannot be spliced', () => {
  const bad: readonly [string, string][] = [
    ['nothing', ''],
    ['blanks', ' '],
    ['a byte order mark', '\ufeff{}'],
    ['two documents', '{}{}'],
    ['text after the end', '{} x'],
    ['a comma too many', '{"a":1,}'],
    ['a comma too many in a list', '[1,]'],
    ['a comma too few', '[1 2]'],
    ['no end', '{"a":[1'],
    ['no colon', '{"a" 1}'],
    ['a key without quotes', '{a:1}'],
    ['single quotes', "{'a':1}"],
    ['a comment', '{/**/"a":1}'],
    ['a leading zero', '[01]'],
    ['a plus', '[+1]'],
    ['half a fraction', '[1.]'],
    ['half an exponent', '[1e]'],
    ['a bare minus', '[-]'],
    ['NaN', '[NaN]'],
    ['a word that goes on', '[nullx]'],
    ['half a word', '[tru]'],
    ['a control octet in a string', '["\u0001"]'],
    ['a line break in a string', '["\n"]'],
    ['an unknown escape', '["\\x41"]'],
    ['half a unit', '["\\u00"]'],
    ['half a surrogate pair', '["\\ud800"]'],
    ['a pair in the wrong order', '["\\udc00\\ud800"]'],
    ['a high surrogate with an escape after it', '["\\ud800\\n"]'],
    ['a form feed for a blank', '[\f1]'],
    ['no-break space for a blank', '[\u00a01]'],
    ['more levels than policy reads', '['.repeat(65) + ']'.repeat(65)],
  ]

  it.each(bad)('refuses %s', (_, text) => {
    expect(() => splice(text, ['/a'])).toThrow(expect.objectContaining({ name: 'SpliceFault' }))
  })

  it('refuses bytes that are no UTF-8', () => {
    for (const bytes of [Buffer.from('"\xff"', 'latin1'), Buffer.from('{"a":1}', 'utf16le'), Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])])
      expect(() => spliceJson(bytes, change(['/a']))).toThrow(expect.objectContaining({ name: 'SpliceFault' }))
  })

  it('refuses what is no pointer, and dropping all of it', () => {
    for (const pointer of ['a', '/~', '/~2', 'a/b']) expect(() => splice('{}', [pointer])).toThrow('not a JSON pointer')
    expect(() => splice('{}', [], [''])).toThrow('cannot be dropped')
  })

  it('never repeats the document in what it throws', () => {
    expect(() => splice('{"canary-7f31', [])).toThrow(expect.not.objectContaining({ message: expect.stringContaining('canary') }))
  })
})

describe('for every document', () => {
  const name = fc.constantFrom('a', 'b', 'c', 'é', '0', '1', '~', '/', '')
  const { value: json } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.oneof(fc.string({ unit: 'grapheme' }), fc.integer(), fc.boolean(), fc.constant(null)),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(name, tie('value'), { maxKeys: 4 }),
    ),
  }))
  const segment = fc.oneof(
    fc.constant('*'),
    name.map((key) => key.replaceAll('~', '~0').replaceAll('/', '~1')),
  )
  const pointer = fc.array(segment, { minLength: 1, maxLength: 3 }).map((parts) => `/${parts.join('/')}`)
  const pointers = fc.array(pointer, { maxLength: 3 })
  const indent = fc.constantFrom(0, 1, '\t')

  it('says what a plain reader would say of the changed value, and changes nothing the second time', () => {
    fc.assert(
      fc.property(json, pointers, pointers, indent, (value, mask, drop, blanks) => {
        const text = JSON.stringify(value, null, blanks)
        const once = splice(text, mask, drop)
        expect(JSON.parse(once)).toEqual(changed(value, [], mask, drop))
        if (drop.every((path) => !/\/\d/.test(path))) expect(splice(once, mask, drop)).toBe(once)
      }),
      { numRuns: 2000 },
    )
  })

  it('gives the very bytes back where there is nothing to change', () => {
    fc.assert(
      fc.property(json, indent, (value, blanks) => {
        const bytes = Buffer.from(JSON.stringify(value, null, blanks))
        expect(spliceJson(bytes, change(['/nowhere/at/all']))).toBe(bytes)
      }),
    )
  })

  it('takes no text that the parser refuses, and none that it alone takes', () => {
    const pieces = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"',
      '"a"',
      '1',
      '-',
      '0',
      '.',
      'e',
      'null',
      'tru',
      ' ',
      '\\u0061',
      '\\',
      '\ud800',
    )
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 8 }), (parts) => {
        const bytes = Buffer.from(parts.join(''))
        expect(takes(() => spliceJson(bytes, change(['/a'])))).toBe(takes(() => JSON.parse(bytes.toString('utf8'))))
        if (takes(() => readJson(bytes))) spliceJson(bytes, change(['/a']))
      }),
      { numRuns: 5000 },
    )
  })
})

function takes(reading: () => unknown): boolean {
  try {
    reading()
    return true
  } catch {
    return false
  }
}

/** What the change means, on values. */
function changed(value: unknown, at: readonly string[], mask: readonly string[], drop: readonly string[]): unknown {
  if (mask.some((pointer) => leads(pointer, at))) return typeof value === 'string' ? '***' : null
  if (value === null || typeof value !== 'object') return value
  const kept = Object.entries(value).filter(([key]) => !drop.some((pointer) => leads(pointer, [...at, key])))
  const inner = kept.map(([key, each]): [string, unknown] => [key, changed(each, [...at, key], mask, drop)])
  return Array.isArray(value) ? inner.map(([, each]) => each) : Object.fromEntries(inner)
}

function leads(pointer: string, at: readonly string[]): boolean {
  const segments = pointer.slice(1).split('/')
  return (
    segments.length === at.length &&
    segments.every((segment, index) => segment === '*' || segment.replaceAll('~1', '/').replaceAll('~0', '~') === at[index])
  )
}
