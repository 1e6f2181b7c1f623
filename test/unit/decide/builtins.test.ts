import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BuiltinLimit } from '../../../src/decide/builtins/builtin.ts'
import { whyRefused } from '../../../src/decide/builtins/refused.ts'
import { builtins } from '../../../src/decide/builtins/table.ts'
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

  it('holds nothing that is refused', () => {
    expect(Object.keys(builtins).filter((name) => whyRefused(name) !== null)).toEqual([])
    for (const name of ['http.send', 'io.jwt.verify_rs256', 'crypto.x509.parse_certificates', 'cast_set', 'uuid.rfc4122'])
      expect(whyRefused(name), name).toBeTypeOf('string')
    expect(whyRefused('acme.unheard')).toBeNull()
  })

  it('answers what the engine can read, or undefined, or that it is too much, whatever it is given', () => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(builtins)), fc.array(anyTerm, { maxLength: 4 }), (name, terms) => {
        const answer = attempt(name, ...terms)
        if (answer !== undefined) readTerm(answer)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('the bounds of builtins', () => {
  const number = (digits: number | string): Term => ({ kind: 'number', digits: String(digits) })
  const array = (...items: Term[]): Term => ({ kind: 'array', items })
  const object = (entries: Readonly<Record<string, Term>>): Term => ({
    kind: 'object',
    entries: Object.entries(entries).map(([key, value]) => [string(key), value]),
  })
  const refuses = (name: string, ...terms: Term[]): void => {
    const started = performance.now()
    expect(() => builtins[name]?.(at(1), ...terms), name).toThrow(BuiltinLimit)
    expect(performance.now() - started, name).toBeLessThan(1000)
  }

  it('end an evaluation instead of giving another answer than the language has', () => {
    refuses('hex.decode', string('ff'))
    refuses('urlquery.decode', string('%ff'))
    refuses('uri.parse', string('/%ff'))
    refuses('time.format', array(number(0), string('Europe/Berlin'), string('MST')))
    refuses('io.jwt.decode', string('eyJjdHkiOjF9.e30.AA'))
    refuses('net.cidr_merge', array(string('255.0.0.0/8'), string('::1:0:0:0/96')))
  })

  it('hold ranges of addresses and numbers to 65,536', () => {
    expect(builtins['net.cidr_expand']?.(at(1), string('10.0.0.0/16'))?.split(',')).toHaveLength(65_536)
    refuses('net.cidr_expand', string('10.0.0.0/15'))
    refuses('net.cidr_expand', string('::/0'))
    expect(builtins['numbers.range_step']?.(at(1), number(1), number(65_536), number(1))?.split(',')).toHaveLength(65_536)
    refuses('numbers.range_step', number(1), number(65_537), number(1))
    refuses('numbers.range_step', number('1e300'), number(0), number(1))
    refuses('numbers.range_step', number('1e999999999'), number(0), number(1))
  })

  it('hold pairs of networks to 65,536', () => {
    const networks = array(...Array.from({ length: 257 }, () => string('10.0.0.0/8')))
    refuses('net.cidr_contains_matches', networks, networks)
  })

  it('hold paths through a graph, of which there may be more than anybody can count', () => {
    const layers = Array.from({ length: 40 }, (_, layer) =>
      ['a', 'b'].map((side) => [`${side}${layer}`, array(string(`a${layer + 1}`), string(`b${layer + 1}`))] as const),
    )
    refuses('graph.reachable_paths', object(Object.fromEntries(layers.flat())), array(string('a0')))
    const line = Array.from({ length: 5000 }, (_, node) => [`n${node}`, array(string(`n${node + 1}`))] as const)
    refuses('graph.reachable_paths', object(Object.fromEntries(line)), array(string('n0')))
  })

  it('hold a patch that doubles the document with every operation', () => {
    const [double, other] = ['x', 'y'].map((name) => object({ op: string('copy'), from: string(''), path: string(`/${name}`) }))
    if (double === undefined || other === undefined) throw new Error('no operation')
    refuses('json.patch', object({ x: number(1), y: number(2) }), array(...Array.from({ length: 64 }, () => [double, other]).flat()))
  })

  it('hold a format that pads again and again', () => {
    refuses('sprintf', string('%1000000d'.repeat(20_000)), array(...Array.from({ length: 20_000 }, () => number(1))))
  })

  it('hold the digits of a quantity', () => {
    refuses('units.parse', string('1e2000'))
    refuses('units.parse_bytes', string(`${'9'.repeat(1001)}k`))
  })

  it('do not let many texts and many affixes multiply', () => {
    const texts = array(...Array.from({ length: 20_000 }, (_, index) => string(`text ${index}`)))
    const affixes = array(...Array.from({ length: 20_000 }, (_, index) => string(`affix ${index}`)))
    const started = process.threadCpuUsage()
    expect(builtins['strings.any_prefix_match']?.(at(1), texts, affixes)).toBe('false')
    const repeated = array(...Array.from({ length: 20_000 }, () => number(1)))
    const missing = array(...Array.from({ length: 10_000 }, () => number(1)), number(2))
    expect(builtins['object.subset']?.(at(1), repeated, missing)).toBe('false')
    expect(process.threadCpuUsage(started).user / 1000).toBeLessThan(1000)
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

/** Undefined where the builtin says that it is too much. */
function attempt(name: string, ...terms: readonly Term[]): string | undefined {
  try {
    return builtins[name]?.(at(1), ...terms)
  } catch (error) {
    if (error instanceof BuiltinLimit) return undefined
    throw error
  }
}

/** As the engine dumps it: unordered. */
function asDumped(term: Term): string {
  if (term.kind === 'array') return `[${term.items.map(asDumped).join(', ')}]`
  if (term.kind === 'set') return term.items.length === 0 ? 'set()' : `{${term.items.map(asDumped).join(', ')}}`
  if (term.kind === 'object') return `{${term.entries.map(([key, value]) => `${asDumped(key)}:${asDumped(value)}`).join(',')}}`
  if (term.kind === 'string') return JSON.stringify(term.value)
  return printTerm(term)
}
