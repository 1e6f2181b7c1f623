import { describe, expect, test } from 'vitest'
import { findAllowing } from '../../../src/author/allowing.ts'
import type { Candidate } from '../../../src/author/candidate.ts'
import { changed, type Change } from '../../../src/author/change.ts'
import { explain, type Explanation } from '../../../src/author/explain.ts'
import type { JsonRecord } from '../../../src/author/json-path.ts'
import { bodyPlace, readWhole } from '../../../src/author/ledger-inputs.ts'
import { readResult } from '../../../src/decide/result.ts'
import { defaultCandidate, inputWith, storedLine } from '../../support/author-rig.ts'

const candidate = defaultCandidate()
const explained = (input: JsonRecord): Explanation => explain(input, candidate, 'countersign/decision', null)
const mail = {
  name: 'mail.send',
  route: 'mail',
  effect: 'send',
  risk: 'medium',
  data: [],
  egress: 'partner',
  resource: null,
  accepts: ['public', 'internal'],
}

/** `fact` and what it becomes, of the first way. */
function first({ allowing }: Explanation): readonly (readonly [string, unknown])[] {
  return (allowing?.ways[0] ?? []).map(({ fact, to }) => [fact, to])
}

describe('an explanation', () => {
  test('of an allow has no rules and nothing to change', () => {
    expect(explained(inputWith({}))).toMatchObject({ effect: 'allow', rules: [], allowing: null, recorded: null })
  })

  test('names the rules that fired with what they mean and the facts as they were', () => {
    const { effect, rules } = explained(inputWith({ tool: mail }))
    expect(effect).toBe('deny')
    expect(rules).toMatchObject([
      {
        id: 'data.beyond-destination',
        severity: 'critical',
        title: 'What was read goes only where it is accepted',
        remediation: expect.stringContaining('approved'),
        detail: { beyond: ['personal'], egress: 'partner' },
        file: 'countersign/call/data.rego',
      },
    ])
    expect(rules[0]?.facts).toContainEqual({ fact: 'task.sensitivity', value: ['personal'], state: 'there' })
  })

  test('says which fact was missing, and which the record left out', () => {
    const { sensitivity: _, ...task } = Object(inputWith({})['task'])
    const { rules } = explained({ ...inputWith({ tool: mail }), task })
    expect(rules[0]?.facts).toContainEqual({ fact: 'task.sensitivity', value: null, state: 'missing' })
    const line = readWhole(storedLine({ input: { ...inputWith({ tool: mail }), task }, erased: [bodyPlace, '/input/task/sensitivity'] }))
    if (line.type !== 'judged' || line.recorded.input === null) throw new Error('no judged line')
    const left = explain(line.recorded.input, candidate, 'countersign/decision', line.recorded)
    expect(left.rules[0]?.facts).toContainEqual({ fact: 'task.sensitivity', value: null, state: 'hidden' })
    expect(left.recorded).toMatchObject({ id: 'c_1', hidden: [bodyPlace, '/input/task/sensitivity'] })
  })

  test('of a call that no rule explains names every fact that is missing', () => {
    const { risk: _, ...tool } = Object(inputWith({})['tool'])
    const { rules } = explained({ ...inputWith({}), tool })
    expect(rules).toMatchObject([{ id: 'default', facts: [{ fact: 'tool.risk', state: 'missing' }] }])
  })

  test('shows what a person would be asked', () => {
    expect(explained(inputWith({ tool: { effect: 'write', risk: 'high' } }))).toMatchObject({ effect: 'ask', approval: { quorum: 1 } })
  })

  test('of a policy that gives no decision says so and searches nothing', () => {
    const broken: Candidate = {
      ...candidate,
      judge: () => ({ effect: 'deny', rules: ['decide.malformed'], obligations: [], result: null, fault: 'no' }),
    }
    expect(explain(inputWith({}), broken, 'countersign/decision', null)).toMatchObject({ fault: 'no', allowing: null })
  })

  test('of a task looks at the rules of tasks', () => {
    const opening = {
      ...inputWith({}),
      action: 'open',
      agent: {
        ...Object(inputWith({})['agent']),
        ttl: 60_000,
        intent: { tools: ['crm.*'], resources: ['customer:*'], data: ['personal'], egress: ['internal'], budget: {} },
      },
      task: { intent: { purpose: 'p', prompt: null, tools: ['mail.send'], resources: [], data: [], egress: [], budget: {} }, ttl: 60_000 },
    }
    const { rules, allowing } = explain(opening, candidate, 'countersign/task', null)
    expect(rules).toMatchObject([{ id: 'intent.tool', facts: [{ fact: 'agent.intent.tools' }, { fact: 'task.intent.tools' }] }])
    expect(allowing?.ways.flat()).toContainEqual({ fact: 'task.intent.tools', from: ['mail.send'], to: [] })
  })
})

describe('what would have made it an allow', () => {
  const refusals: Readonly<
    Record<string, readonly [changes: Readonly<Record<string, unknown>>, way: readonly (readonly [string, unknown])[]]>
  > = {
    'a tool that was not declared': [
      { tool: { name: 'never.declared' } },
      [['task.intent.tools', ['crm.*', 'mail.send', 'never.declared']]],
    ],
    'a resource that was not declared': [
      { tool: { resource: 'account:1' } },
      [['task.intent.resources', ['customer:*', 'order:7', 'account:1']]],
    ],
    'a class that was not declared': [{ tool: { data: ['secret'] } }, [['task.intent.data', ['internal', 'personal', 'secret']]]],
    'a destination that was not declared': [
      { tool: { egress: 'public', accepts: ['personal'] } },
      [['task.intent.egress', ['internal', 'partner', 'public']]],
    ],
    'a destination that may not receive what was read': [{ tool: mail }, [['task.sensitivity', []]]],
    'a task that expired': [{ task: { ...Object(inputWith({})['task']), expires: 500 } }, [['task.expires', 61_000]]],
    'a suspended agent': [{ agent: { lifecycle: 'suspended' } }, [['agent.lifecycle', 'live']]],
    'an agent without owners': [
      { agent: { owners: null } },
      [['agent.owners', { business: 'someone', security: 'someone', incident: 'someone' }]],
    ],
    'a spent budget': [
      { task: { ...Object(inputWith({})['task']), budget: { limit: { calls: 3 }, spent: { calls: 3 }, debit: { calls: 1 } } } },
      [['task.budget', { limit: { calls: 4 }, spent: { calls: 3 }, debit: { calls: 1 } }]],
    ],
    'a call repeated too often': [{ sequence: { repeats: 25 } }, [['sequence.repeats', 9]]],
    'a caller that proved no key': [{ tool: { bound: true } }, [['caller.confirmed', 'mtls']]],
    'a person who has to answer': [{ tool: { risk: 'high', effect: 'write' } }, [['tool.risk', 'medium']]],
  }

  test.each(Object.entries(refusals))('is found for %s', (_, [changes, way]) => {
    expect(first(explained(inputWith(changes)))).toEqual(way)
  })

  test('is a set of changes when one is not enough, and no larger than needed', () => {
    const found = explained(
      inputWith({ tool: { name: 'never.declared', risk: 'high', effect: 'delete' }, agent: { lifecycle: 'suspended' } }),
    )
    expect(found.allowing?.ways[0]?.map(({ fact }) => fact).toSorted()).toEqual(['agent.lifecycle', 'task.intent.tools', 'tool.risk'])
    expect(found.allowing?.complete).toBe(true)
  })

  test('allows when it is judged, every way of it', () => {
    for (const [changes] of Object.values(refusals)) {
      const input = inputWith(changes)
      const { allowing } = explained(input)
      expect(allowing?.ways.length).toBeGreaterThan(0)
      for (const way of allowing?.ways ?? [])
        expect(candidate.judge('countersign/decision', JSON.stringify(changed(input, way))).effect, JSON.stringify(way)).toBe('allow')
    }
  })

  test('is said to be not found when it is not, and within the bounds', () => {
    const input = { ...inputWith({}), v: 2 }
    const base = candidate.judge('countersign/decision', JSON.stringify(input))
    const found = findAllowing(input, base, candidate, 'countersign/decision', { mostTried: 50, mostMs: 1000 })
    expect(found).toMatchObject({ ways: [], complete: false, tried: 50 })
  })

  test('of a number is the nearest that allows', () => {
    const judge: Candidate['judge'] = (_, text) => {
      const amount: number = JSON.parse(text).request.body.parsed.amount
      const reason = {
        rule: 'acme.amount',
        severity: 'high',
        effect: 'deny',
        observable: true,
        controls: [],
        message_agent: 'no',
        detail: {},
      } as const
      const reasons = amount > 100 ? [reason] : []
      const effect = amount > 100 ? 'deny' : 'allow'
      const result = readResult({ v: 1, effect, reasons, obligations: [], labels: {} })
      return { effect, rules: reasons.map(({ rule }) => rule), obligations: [], fault: null, result }
    }
    const rule = {
      id: 'acme.amount',
      title: '',
      description: '',
      severity: 'high',
      effect: 'deny',
      observable: true,
      facts: ['request.body.parsed'],
      frameworks: {},
      message: '',
      remediation: '',
      setting: '',
      level: '',
      file: '',
      package: 'countersign.call',
      body: '',
    }
    const acme: Candidate = { ...candidate, judge, catalogue: { rules: [rule], helpers: new Map(), problems: [], readsBody: true } }
    const input = inputWith({ request: { body: { kind: 'json', sha256: 'a', size: 1, judged: true, parsed: { amount: 180, text: 'x' } } } })
    const ways = explain(input, acme, 'countersign/decision', null).allowing?.ways ?? []
    expect(ways).toEqual([[{ fact: 'request.body.parsed.amount', from: 180, to: 100 } satisfies Change]])
  })
})
