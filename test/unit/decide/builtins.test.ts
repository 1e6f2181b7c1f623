import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { builtins } from '../../../src/decide/builtins.ts'
import { formatFloat } from '../../../src/decide/float-text.ts'
import { sprintf } from '../../../src/decide/sprintf.ts'
import { compareTerms, printTerm, readTerm, type Term } from '../../../src/decide/term.ts'

const at = (ms: number): { now(): number } => ({ now: () => ms })
const string = (value: string): Term => ({ kind: 'string', value })

const anyTerm: fc.Arbitrary<Term> = fc.letrec<{ term: Term }>((tie) => ({
  term: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.constant<Term>({ kind: 'null' }),
    fc.boolean().map((value): Term => ({ kind: 'boolean', value })),
    fc
      .oneof(fc.maxSafeInteger().map(String), fc.bigInt().map(String), fc.double({ noNaN: true, noDefaultInfinity: true }).map(String))
      .map((digits): Term => ({ kind: 'number', digits })),
    fc.string({ unit: 'binary' }).map(string),
    fc.array(tie('term'), { maxLength: 4 }).map((items): Term => ({ kind: 'array', items })),
    fc.array(tie('term'), { maxLength: 4 }).map((items): Term => ({ kind: 'set', items })),
    fc
      .array(fc.tuple(fc.string({ unit: 'binary' }).map(string), tie('term')), { maxLength: 4 })
      .map((entries): Term => ({ kind: 'object', entries })),
  ),
})).term

describe('the table of builtins', () => {
  it('gives the same nanoseconds of one evaluation, with every digit', () => {
    expect(builtins['time.now_ns']?.(at(1_790_000_000_123))).toBe('1790000000123000000')
  })

  it('holds nothing that reaches out, draws lots, or searches with a backtracking pattern', () => {
    const refused = /^(?:http|net|opa|rand|uuid|io|providers|rego|graphql|crypto\.x509|regex|yaml)\./
    expect(Object.keys(builtins).filter((name) => refused.test(name))).toEqual([])
  })

  it('answers undefined, never throws, whatever it is given', () => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(builtins)), fc.array(anyTerm, { maxLength: 3 }), (name, terms) => {
        const answer = builtins[name]?.(at(1), ...terms)
        if (answer !== undefined) JSON.parse(answer)
      }),
      { numRuns: 500 },
    )
  })
})

describe('terms', () => {
  it('are read back from what is printed', () => {
    fc.assert(
      fc.property(anyTerm, (term) => {
        const ordered = printTerm(term)
        const json = asDumped(term)
        expect(printTerm(readTerm(json))).toBe(ordered)
      }),
    )
  })

  it('are ordered totally', () => {
    fc.assert(
      fc.property(anyTerm, anyTerm, (a, b) => {
        expect(Math.sign(compareTerms(a, b))).toBe(-Math.sign(compareTerms(b, a)) + 0)
        expect(compareTerms(a, a)).toBe(0)
      }),
    )
  })

  it('are ordered by kind, and strings by code point, not by UTF-16 unit', () => {
    const set = readTerm('{[1],{"a":1},"\uffff","\u{1f600}","b",10,9,true,false,null,set(),{1,2}}')
    expect(printTerm(set)).toBe('{null, false, true, 9, 10, "b", "\\uffff", "\u{1f600}", [1], {"a": 1}, set(), {1, 2}}')
  })

  it('are refused when they are none', () => {
    for (const text of ['', '[', '[1', '"a', '{"a":}', '[1 2]', 'nul', '1,2', '{1:2,3']) expect(() => readTerm(text), text).toThrow()
  })
})

describe('sprintf', () => {
  it('never throws, whatever the format and the operands', () => {
    const format = fc.oneof(
      fc.string(),
      fc
        .array(
          fc.constantFrom(
            '%',
            'd',
            's',
            'v',
            'x',
            'q',
            'f',
            'g',
            'e',
            'U',
            'c',
            'T',
            '*',
            '.',
            '[',
            ']',
            '1',
            '9',
            '-',
            '+',
            '#',
            '0',
            ' ',
          ),
        )
        .map((parts) => parts.join('')),
    )
    fc.assert(
      fc.property(format, fc.array(anyTerm, { maxLength: 4 }), (pattern, terms) => {
        expect(typeof sprintf(pattern, terms)).toBe('string')
      }),
      { numRuns: 2000 },
    )
  })

  it('rounds the exact binary value, half to even', () => {
    expect(formatFloat(0.125, 'f', 2)).toBe('0.12')
    expect(formatFloat(0.375, 'f', 2)).toBe('0.38')
    expect(formatFloat(1e23, 'e', 16)).toBe('9.9999999999999992e+22')
    expect(formatFloat(5e-324, 'e', 3)).toBe('4.941e-324')
    expect(formatFloat(-0, 'f', 1)).toBe('-0.0')
  })

  it('has no precision that the shortest form needs', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        for (const form of ['e', 'f', 'g'] as const) expect(Number(formatFloat(value, form, null))).toBe(value)
      }),
    )
  })
})

/** As the engine dumps it: unordered. */
function asDumped(term: Term): string {
  if (term.kind === 'array') return `[${term.items.map(asDumped).join(', ')}]`
  if (term.kind === 'set') return term.items.length === 0 ? 'set()' : `{${term.items.map(asDumped).join(', ')}}`
  if (term.kind === 'object') return `{${term.entries.map(([key, value]) => `${asDumped(key)}:${asDumped(value)}`).join(',')}}`
  if (term.kind === 'string') return JSON.stringify(term.value)
  return printTerm(term)
}
