import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { linesOf } from '../../../src/evidence/call-lines.ts'
import { factsOf, joined, parseLine, type Facts } from '../../../src/evidence/facts.ts'
import { FilterFault, fits, parseFilter, queryOf, wordsOf, type Filter, type FilterWords } from '../../../src/evidence/filter.ts'
import { Judge } from '../../../src/evidence/judge.ts'

const now = Date.parse('2026-11-22T10:20:00Z')
const caller = 'spiffe://acme.example/ns/support/sa/refund-agent'

function facts(own: Record<string, unknown>, event: Record<string, unknown> = {}): Facts {
  const line = parseLine(JSON.stringify({ timestamp: '2026-11-22T10:14:00.000000Z', ...event, custom: { countersign: own } }))
  if (line === null) throw new Error('not a line')
  return factsOf(line)
}

const is = (words: FilterWords, own: Record<string, unknown>, event: Record<string, unknown> = {}): boolean =>
  fits(parseFilter(words, now), facts(own, event))

describe('a filter', () => {
  const refusal = {
    kind: 'refusal',
    caller,
    agent: 'spiffe://acme.example/ns/support/*',
    task: 't_1',
    route: 'crm',
    tool: 'crm.read',
    rules: ['a.b', 'c.d'],
    code: 'decide.denied',
  }

  test('asks for the decision by one word or several', () => {
    const ask = { ...refusal, code: 'approve.required' }
    const defer = { ...refusal, code: 'approve.deferred' }
    expect(is({ decision: 'deny' }, refusal)).toBe(true)
    expect(is({ decision: 'allow' }, refusal)).toBe(false)
    expect(is({ decision: 'ask, deny' }, ask)).toBe(true)
    expect(is({ decision: 'deny' }, ask)).toBe(false)
    expect(is({ decision: 'defer' }, defer)).toBe(true)
    expect(is({ decision: 'allow' }, { kind: 'decision' })).toBe(true)
    expect(is({ decision: 'deny' }, { kind: 'outcome', code: 'task.ended' })).toBe(true)
    // a call that was held has no refusal: the event says that a person was asked
    expect(is({ decision: 'ask' }, { kind: 'event', event: 'approval.opened' })).toBe(true)
    expect(is({ decision: 'allow' }, { kind: 'checkpoint' })).toBe(false)
  })

  test.each<[FilterWords, boolean]>([
    [{ agent: caller }, true],
    [{ agent: 'spiffe://acme.example/*' }, true],
    [{ agent: 'refund-agent' }, true],
    [{ agent: 'refund*' }, true],
    [{ agent: 'agent' }, false],
    [{ agent: 'spiffe://acme.example/ns/support/*,nobody' }, true],
    [{ task: 't_1' }, true],
    [{ task: 't_' }, false],
    [{ route: 'crm', tool: 'crm.*' }, true],
    [{ route: 'crm', tool: 'mail.*' }, false],
    [{ rule: 'c.d' }, true],
    [{ rule: 'c' }, false],
    [{ code: 'decide.*' }, true],
    [{ kind: 'refusal' }, true],
    [{ kind: 'event,checkpoint' }, false],
    [{ since: '10m' }, true],
    [{ since: '5m' }, false],
    [{ until: '2026-11-22T10:14:00Z' }, false],
    [{ since: '2026-11-22', until: '2026-11-22 10:15' }, true],
    [{}, true],
    [{ not: 'true' }, true],
    [{ not: 'true', task: 't_1' }, false],
    [{ not: 'true', task: 't_1', tool: 'mail.*' }, true],
    [{ not: 'true', task: 't_2', since: '5m' }, false],
  ])('%j fits the refusal: %s', (words, expected) => {
    expect(is(words, refusal)).toBe(expected)
  })

  test('finds an event by its name, its caller or who did it, and what it is about', () => {
    const event = { kind: 'event', event: 'lease.revoked', by: caller, task: 't_1', detail: { tool: 'crm.read' } }
    for (const words of [{ kind: 'event' }, { kind: 'lease.*' }, { agent: 'refund-agent' }, { tool: 'crm.read' }])
      expect(is(words, event)).toBe(true)
    expect(is({ agent: 'person:ada' }, { ...event, by: 'person:ada' })).toBe(false)
  })

  test('sees a call with both its lines: the rules that judged it, and how it ended', () => {
    const [decision, outcome] = [
      facts({ kind: 'decision', rules: ['a.b'] }),
      facts({ kind: 'outcome', code: 'task.ended', answer: { rules: ['e.f'] } }),
    ]
    const call = joined(decision, outcome)
    const of = (words: FilterWords): boolean => fits(parseFilter(words, now), call)
    expect([
      of({ rule: 'a.b', decision: 'deny' }),
      of({ rule: 'e.f' }),
      of({ decision: 'allow' }),
      of({ not: 'true', decision: 'deny' }),
    ]).toEqual([true, true, false, false])
  })

  test.each<[FilterWords, string]>([
    [{ decision: 'step_up' }, 'decision'],
    [{ kind: 'decisions' }, 'kind'],
    [{ since: 'yesterday' }, 'since'],
    [{ since: '22.11.2026' }, 'since'],
    [{ until: '2026-13-99' }, 'until'],
    [{ not: 'maybe' }, 'not'],
    [{ tool: 'x'.repeat(5000) }, 'tool'],
    [{ tool: Array.from({ length: 40 }, (_, at) => `t${at}`).join(',') }, 'tool'],
  ])('%j is refused with the name of what is wrong', (words, name) => {
    expect(() => parseFilter(words, now)).toThrow(FilterFault)
    expect(() => parseFilter(words, now)).toThrow(expect.objectContaining({ filter: name }))
  })

  test('is written into a query and read from it again', () => {
    const words = { decision: 'deny,ask', agent: 'spiffe://acme.example/ns/*', since: '10m', not: 'true' }
    expect(wordsOf(new URLSearchParams(queryOf(words)))).toEqual(words)
    expect(wordsOf(new URLSearchParams('decision=deny&decision=ask&decision=&tool=&before=7'))).toEqual({ decision: 'deny,ask' })
  })
})

describe('judging a line by its end', () => {
  const word = fc.oneof(
    fc.constantFrom(
      'crm.read',
      'crm',
      'a/b',
      caller,
      'refund-agent',
      'ü',
      'a"b',
      'a\\b',
      'a\nb',
      '😀',
      '\ufffd',
      '\ud83d',
      'decide.denied',
      'approve.required',
    ),
    fc.string({ unit: 'binary', maxLength: 4 }),
  )
  const kind = fc.constantFrom('decision', 'outcome', 'refusal', 'event', 'checkpoint', 'other')
  const own = fc.record(
    {
      kind,
      event: fc.constantFrom('lease.revoked', 'approval.opened', 'defer.opened'),
      caller: word,
      agent: word,
      by: word,
      task: word,
      task_named: word,
      route: word,
      tool: word,
      code: fc.constantFrom('decide.denied', 'approve.required', 'approve.deferred', ''),
      rules: fc.array(word, { maxLength: 2 }),
      answer: fc.record({ rules: fc.array(word, { maxLength: 2 }) }),
      detail: fc.record({ tool: word, route: word }, { requiredKeys: [] }),
    },
    { requiredKeys: ['kind'] },
  )
  const stamp = fc.constantFrom('2026-11-22T10:00:00.000000Z', '2026-11-22T10:10:00.000000Z', '2026-11-22T10:15:00Z', 'never')
  const pattern = fc.tuple(word, fc.boolean()).map(([text, rest]) => text.replaceAll(',', '') + (rest ? '*' : ''))
  const words = fc.record(
    {
      decision: fc.constantFrom('allow', 'deny', 'ask', 'defer', 'ask,deny'),
      agent: pattern,
      task: pattern,
      route: pattern,
      tool: fc.array(pattern, { maxLength: 3 }).map((list) => list.join(',')),
      rule: pattern,
      code: fc.constantFrom('decide.denied', 'decide.*', 'approve.*'),
      kind: fc.constantFrom('decision', 'outcome,refusal', 'lease.*', 'event'),
      since: fc.constantFrom('2026-11-22T10:05:00Z', '10m'),
      until: fc.constantFrom('2026-11-22T10:12:00Z'),
      not: fc.constantFrom('true', 'false'),
    },
    { requiredKeys: [] },
  )
  /** JSON as somebody else may spell it: any character as an escape, blanks between tokens, members twice. */
  const spelled = (text: string, odd: () => number): string => {
    let inside = false
    let out = ''
    for (let at = 0; at < text.length; at++) {
      const unit = text.charAt(at)
      if (inside && unit === '\\') out += unit + text.charAt(++at)
      else if (unit === '"') {
        inside = !inside
        out += unit
      } else if (inside && odd() === 1) out += unit === '/' ? '\\/' : `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
      else out += inside || odd() !== 2 ? unit : `${unit} `
    }
    return out
  }

  const stored = (said: object, timestamp: string, middle = ''): string =>
    `{"decision_id":"c_01JD00000000000000000000A7","timestamp":"${timestamp}",${middle}"custom":{"countersign":${JSON.stringify(said)}}}`
  const wanted = (filter: Filter, texts: readonly string[]): boolean => {
    const both = texts.map((text) => parseLine(text)).flatMap((line) => (line === null ? [] : [factsOf(line)]))
    const all = both.length < 2 ? both[0] : both.reduce((first, last) => joined(first, last))
    return both.length === texts.length && all !== undefined && fits(filter, all)
  }

  test('wants what the filter wants of the whole line and nothing else, however it is spelled, and of a line that is damaged nothing', () => {
    // what a line may have before its last member, and what may be behind it
    const forged = ',"custom":{"countersign":{"kind":"refusal","tool":"crm.read","task":"crm.read"}}'
    const middle = fc.constantFrom(
      '',
      '"timestamp":"2026-11-22T10:10:00.000000Z",',
      `"input":{"a":1${forged}},`,
      `"input":{"a":1${forged},`,
      '"a":",',
    )
    const behind = fc.constantFrom('', '', forged, ',"custom":5', ', "custom":{"countersign":{"kind":"event"}}', ',"cust\\u006fm":1')
    const odd = fc.infiniteStream(fc.nat({ max: 12 }))
    const nested = fc.record({ kind, detail: fc.constant(JSON.parse(`{"a":1${forged}}`)) })
    let count = 0
    fc.assert(
      fc.property(
        fc.oneof(own, nested),
        stamp,
        words,
        middle,
        behind,
        odd,
        fc.boolean(),
        (said, at, asked, before, after, stream, plain) => {
          const filter = parseFilter(asked, now)
          const text = `${stored(said, at, before).slice(0, -1)}${after}}`
          const each = stream[Symbol.iterator]()
          const bytes = Buffer.from(plain ? text : spelled(text, () => Number(each.next().value)))
          const does = wanted(filter, [bytes.toString()])
          if (does) count++
          expect(new Judge(filter).wants(bytes)).toBe(does)
        },
      ),
      { numRuns: 3000 },
    )
    expect(count).toBeGreaterThan(100)
  })

  test('wants of calls those that the filter wants with both their lines, or with one', () => {
    let count = 0
    fc.assert(
      fc.property(own, own, stamp, stamp, words, (first, last, began, ended, asked) => {
        const filter = parseFilter(asked, now)
        const texts = [stored({ ...first, kind: 'decision' }, began), stored({ ...last, kind: 'outcome' }, ended)]
        const lines = linesOf(filter, true)
        const given = texts.flatMap((text, at) => lines.push(at + 1, Buffer.from(text)).map(({ bytes }) => bytes.toString()))
        // a decision that fits is given with whatever comes of it, before anybody knows
        const does = wanted(filter, texts.slice(0, 1)) || wanted(filter, texts)
        if (does) count++
        expect(given).toEqual(does ? texts : [])
      }),
      { numRuns: 2000 },
    )
    expect(count).toBeGreaterThan(100)
  })
})
