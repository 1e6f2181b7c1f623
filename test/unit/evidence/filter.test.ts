import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { factsOf, joined, parseLine, type Facts } from '../../../src/evidence/facts.ts'
import { FilterFault, fits, parseFilter, queryOf, wordsOf, type FilterWords } from '../../../src/evidence/filter.ts'
import { Prefilter } from '../../../src/evidence/prefilter.ts'

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

describe('looking at the bytes first', () => {
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

  test('refuses no line that the filter wants, however it is spelled', () => {
    const sample = fc.record({ own, stamp, words, odd: fc.infiniteStream(fc.nat({ max: 12 })), plain: fc.boolean(), twice: fc.boolean() })
    let wanted = 0
    fc.assert(
      fc.property(sample, ({ own: said, stamp: timestamp, words: asked, odd, plain, twice }) => {
        const filter = parseFilter(asked, now)
        const head = `{"decision_id":"c_01JD00000000000000000000A7","timestamp":"${timestamp}",`
        const text = `${head}${twice ? '"timestamp":"2026-11-22T10:10:00.000000Z",' : ''}"custom":{"countersign":${JSON.stringify(said)}}}`
        const stream = odd[Symbol.iterator]()
        const bytes = Buffer.from(plain ? text : spelled(text, () => Number(stream.next().value)))
        const line = parseLine(bytes.toString())
        if (line === null || !fits(filter, factsOf(line))) return
        wanted++
        expect(new Prefilter(filter).rejects(bytes)).toBe(false)
      }),
      { numRuns: 2000 },
    )
    expect(wanted).toBeGreaterThan(100)
  })

  test('refuses no call that the filter wants with both its lines', () => {
    let wanted = 0
    fc.assert(
      fc.property(own, own, words, (first, last, asked) => {
        const filter = parseFilter(asked, now)
        const timestamp = '2026-11-22T10:10:00.000000Z'
        const lines = [first, last].map((said) => JSON.stringify({ decision_id: 'c_1', timestamp, custom: { countersign: said } }))
        const both = lines.map((text) => parseLine(text)).flatMap((line) => (line === null ? [] : [factsOf(line)]))
        if (!fits(filter, joined(both[0]!, both[1]!))) return
        wanted++
        const prefilter = new Prefilter(filter)
        expect(lines.reduce((mask, text) => mask | prefilter.mask(Buffer.from(text)), 0)).toBe(prefilter.all)
      }),
      { numRuns: 2000 },
    )
    expect(wanted).toBeGreaterThan(100)
  })

  test('refuses most of what is not wanted', () => {
    const prefilter = new Prefilter(parseFilter({ tool: 'mail.send', since: '10m' }, now))
    const line = (tool: string, timestamp: string): Buffer =>
      Buffer.from(
        `{"decision_id":"c_01JD00000000000000000000A7","timestamp":"${timestamp}","custom":{"countersign":{"kind":"decision","tool":"${tool}"}}}`,
      )
    expect(prefilter.rejects(line('crm.read', '2026-11-22T10:15:00.000000Z'))).toBe(true)
    expect(prefilter.rejects(line('mail.send', '2026-11-22T09:15:00.000000Z'))).toBe(true)
    expect(prefilter.rejects(line('mail.send', '2026-11-22T10:15:00.000000Z'))).toBe(false)
  })
})
