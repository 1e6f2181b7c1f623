import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { readCatalogue } from '../../../src/author/catalogue.ts'
import { draftFiles } from '../../../src/author/draft.ts'
import { learn, type Learned } from '../../../src/author/learn.ts'
import { narrowest } from '../../../src/author/narrowest.ts'
import { inputWith, linesOfTexts, storedLine } from '../../support/author-rig.ts'

function from(texts: readonly string[], includeDenied = false, tasks: readonly string[] = ['t_1']): Promise<Learned> {
  return learn(linesOfTexts(texts), { tasks: new Set(tasks), includeDenied, damaged: () => undefined })
}

const budget = (spent: number, debit: number): unknown => ({
  ...Object(inputWith({})['task']),
  budget: { limit: { calls: 200 }, spent: { calls: spent, eur: 10.5 }, debit: { calls: debit } },
})

const seen = [
  storedLine({ input: inputWith({ task: budget(3, 1), sequence: { last: [] } }) }),
  storedLine({ input: inputWith({ tool: { resource: 'customer:43' }, task: budget(7, 2) }), own: { downstream: 'other.acme.example' } }),
  storedLine({
    input: inputWith({ tool: { name: 'mail.send', route: 'mail', resource: null, data: [], egress: 'partner' }, context: { now: 61_000 } }),
  }),
  storedLine({ input: inputWith({ tool: { name: 'refused.tool' } }), effect: 'deny', rules: ['a.rule'] }),
  storedLine({
    input: inputWith({ tool: { name: 'watched.tool' } }),
    effect: 'deny',
    kind: 'decision',
    rules: ['b.rule'],
    own: { observed: 'deny', code: undefined },
  }),
  storedLine({ own: { task: 't_2' } }),
  storedLine({ masked: ['/input/tool/resource'] }),
]

describe('what is learned', () => {
  test('is what the named tasks did, and how much of it', async () => {
    const { agents, missing } = await from(seen, false, ['t_1', 't_9'])
    expect(missing).toEqual(['t_9'])
    expect(agents).toMatchObject([
      {
        id: 'spiffe://acme.example/agent',
        name: 'agent',
        tasks: ['t_1'],
        spent: { calls: 9, eur: 10.5 },
        life: 61_000,
        hosts: ['crm.acme.example', 'other.acme.example'],
        tools: [
          {
            name: 'crm.customer.read',
            calls: 2,
            resources: ['customer:42', 'customer:43'],
            data: ['personal'],
            bare: false,
            after: ['', 'crm.order.read'],
          },
          { name: 'mail.send', calls: 1, resources: [], data: [], egress: ['partner'], routes: ['mail'], bare: true },
        ],
      },
    ])
  })

  test('is nothing that was refused, observed or masked: that is listed', async () => {
    const { agents, not_learned: not } = await from(seen)
    expect(agents[0]?.tools.map(({ name }) => name)).not.toContain('refused.tool')
    expect(not).toContainEqual({ why: 'refused.tool: refused as decide.denied by a.rule', calls: 1 })
    expect(not).toContainEqual({ why: 'watched.tool: let through in observe mode only by b.rule', calls: 1 })
    expect(not).toContainEqual({ why: 'part of the call is masked in the record', calls: 1 })
    const all = await from(seen, true)
    expect(all.agents[0]?.tools.map(({ name }) => name)).toEqual(['crm.customer.read', 'mail.send', 'refused.tool', 'watched.tool'])
  })

  test('keeps two agents of one short name apart', async () => {
    const other = storedLine({ input: inputWith({ agent: { id: 'spiffe://other.example/agent' } }) })
    const { agents } = await from([storedLine(), other])
    expect(agents.map(({ name }) => name)).toEqual(['agent', 'agent-2'])
  })
})

describe('resources', () => {
  test('become a pattern from three of a kind on, no wider than what they share', () => {
    expect(narrowest(['customer:1', 'customer:2'])).toEqual(['customer:1', 'customer:2'])
    expect(narrowest(['customer:1', 'customer:2', 'customer:3', 'order:7'])).toEqual(['customer:*', 'order:7'])
    expect(narrowest(['repo:acme/a', 'repo:acme/b', 'repo:acme/c'])).toEqual(['repo:acme/*'])
    expect(narrowest(['a', 'b', 'c'])).toEqual(['a', 'b', 'c'])
  })

  test('are all covered by their patterns, and a kind covers no other', () => {
    const resource = fc
      .tuple(fc.constantFrom('a', 'b', 'ab'), fc.string({ maxLength: 4 }))
      .map(([kind, id]) => `${kind}:${id.replaceAll('*', '')}`)
    fc.assert(
      fc.property(fc.uniqueArray(resource, { maxLength: 12 }), (resources) => {
        const patterns = narrowest(resources)
        const covered = (text: string): boolean =>
          patterns.some((one) => (one.endsWith('*') ? text.startsWith(one.slice(0, -1)) : one === text))
        expect(resources.every(covered)).toBe(true)
        expect(patterns.every((one) => one.includes(':'))).toBe(true)
      }),
    )
  })
})

describe('a draft', () => {
  test('has a registration no wider than what was used, with head-room', async () => {
    const { agents } = await from(seen)
    const files = draftFiles(agents[0]!, { headRoom: 1.2, sequence: false })
    expect(parse(files.get('agents/agent.yaml') ?? '')).toMatchObject([
      {
        id: 'spiffe://acme.example/agent',
        autonomy: 'bounded',
        intent: {
          tools: ['crm.customer.read', 'mail.send'],
          resources: ['customer:42', 'customer:43'],
          data: ['personal', 'public'],
          egress: ['internal', 'partner'],
          budget: { calls: 11, eur: 12.6 },
          ttl: '2m',
        },
      },
    ])
  })

  test('has annotated rules, tests and cases', async () => {
    const { agents } = await from(seen)
    const files = draftFiles(agents[0]!, { headRoom: 1.2, sequence: true })
    expect([...files.keys()]).toEqual([
      'agents/agent.yaml',
      'countersign/call/learned_agent.rego',
      'countersign/call/learned_agent_test.rego',
      'cases/agent.json',
    ])
    const { rules, problems } = readCatalogue(new Map([['a.rego', files.get('countersign/call/learned_agent.rego') ?? '']]))
    expect(problems).toEqual([])
    expect(rules.map(({ id, effect }) => `${id} ${effect}`)).toEqual([
      'learned.agent.data deny',
      'learned.agent.destination deny',
      'learned.agent.resource deny',
      'learned.agent.sequence ask',
      'learned.agent.tool deny',
    ])
    expect(JSON.parse(files.get('cases/agent.json') ?? '')).toHaveLength(2)
  })

  test('quotes what came from outside', async () => {
    const odd = 'a"} x := true #\n{{`'
    const { agents } = await from([
      storedLine({ input: inputWith({ tool: { name: odd, resource: odd } }), own: { downstream: 'a\nx: 1' } }),
    ])
    const files = draftFiles(agents[0]!, { headRoom: 1, sequence: true })
    for (const [path, text] of files) if (path.endsWith('.rego')) expect(text).not.toMatch(/^(?!\t|#).*x := true/m)
    expect(parse(files.get('agents/agent.yaml') ?? '')).toMatchObject([{ intent: { tools: [odd] } }])
  })
})
