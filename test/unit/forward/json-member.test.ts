import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MemberTaken, withMember } from '../../../src/forward/json-member.ts'
import { SpliceFault } from '../../../src/forward/json-tokens.ts'

const put = (text: string, pointer = '/key', value = 'secret'): string => withMember(Buffer.from(text), pointer, value).toString()

describe('a member that is added', () => {
  test.each([
    ['{}', '/key', '{"key":"secret"}'],
    [' { } ', '/key', ' {"key":"secret" } '],
    ['{"a":1.0}', '/key', '{"key":"secret","a":1.0}'],
    ['{"a": {"b":[{}]} }', '/a/key', '{"a": {"key":"secret","b":[{}]} }'],
    ['{"a/b":{}}', '/a~1b/k~0', '{"a/b":{"k~":"secret"}}'],
    ['{"\\u0061":{}}', '/a/key', '{"\\u0061":{"key":"secret"}}'],
    ['{"b":{"key":1},"a":{}}', '/a/key', '{"b":{"key":1},"a":{"key":"secret"}}'],
  ])('in %s at %s leaves every other byte as it was', (text, pointer, expected) => {
    expect(put(text, pointer)).toBe(expected)
  })

  test('reads back as the document was, and the member', () => {
    const keys = fc.string({ unit: 'grapheme' }).filter((key) => !/^key$/i.test(key) && key !== '__proto__')
    const parts = fc.dictionary(keys, fc.jsonValue(), { noNullPrototype: true })
    fc.assert(
      fc.property(parts, fc.string({ unit: 'binary' }), fc.constantFrom(undefined, 2), (document, value, indent) => {
        // half a surrogate pair is refused, as the strict reader does
        fc.pre(value.isWellFormed() && JSON.stringify(document).isWellFormed() && !/\\ud[89a-f]/i.test(JSON.stringify(document)))
        const text = JSON.stringify(document, null, indent)
        expect(JSON.parse(put(text, '/key', value))).toEqual({ ...JSON.parse(text), key: value })
      }),
    )
  })

  test.each(['{"key":1}', '{"KEY":1}', '{"\\u006bey":null}', '{"a":1,"Key":{}}', '{"\u212aey":1}'])(
    'is refused where one is: %s',
    (text) => {
      expect(() => put(text)).toThrow(MemberTaken)
    },
  )

  test.each<[string, string]>([
    ['[]', '/key'],
    ['"text"', '/key'],
    ['', '/key'],
    ['{', '/key'],
    ['{}{}', '/key'],
    ['{"a":1,}', '/key'],
    ['\ufeff{}', '/key'],
    ['{"a":[{}]}', '/a/key'],
    ['{"a":{}}', '/b/key'],
    ['{"a":{},"a":{}}', '/a/key'],
    ['{"a":{},"A":{}}', '/a/key'],
    ['{"a":"\\ud800"}', '/key'],
    [`${'['.repeat(70)}${']'.repeat(70)}`, '/key'],
    [`{"a":${'{"a":'.repeat(70)}1${'}'.repeat(70)}}`, '/key'],
  ])('cannot go into %s at %s', (text, pointer) => {
    expect(() => put(text, pointer)).toThrow(SpliceFault)
  })

  test('cannot go into what is not UTF-8', () => {
    expect(() => withMember(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), '/key', 'secret')).toThrow(SpliceFault)
  })
})
