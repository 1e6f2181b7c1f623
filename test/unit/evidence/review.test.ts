import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { agentConfig } from '../../../src/config/agent.ts'
import { agentOf } from '../../../src/config/catalogue.ts'
import { AgentUse } from '../../../src/evidence/agent-use.ts'
import { narrowed, proposalFor } from '../../../src/evidence/proposal.ts'
import { registrationOf, yamlOf, type Grant, type Registration } from '../../../src/evidence/registration.ts'
import { reviewHtml } from '../../../src/evidence/review-html.ts'
import { reviewText } from '../../../src/evidence/review-text.ts'
import { reviewOf } from '../../../src/evidence/review.ts'
import { readUse } from '../../../src/evidence/use.ts'
import { overBudget } from '../../../src/task/budget.ts'
import { covers, within } from '../../../src/task/intent.ts'

const id = 'spiffe://acme.test/ns/a/sa/agent'

function registration(grant: Partial<Omit<Grant, 'ttl'>> & { readonly ttl?: string } = {}): Registration {
  const declared = {
    id,
    purpose: 'test',
    owners: { business: 'b@acme.test', security: 's@acme.test', incident: 'i@acme.test' },
    autonomy: 'bounded',
    intent: {
      tools: ['*'],
      resources: ['*'],
      data: ['public', 'internal'],
      egress: ['internal', 'partner'],
      budget: { calls: 100 },
      ttl: '1h',
      ...grant,
    },
  }
  const found = registrationOf(agentOf(agentConfig.parse(declared)))
  if (found === null) throw new Error('it is no registration')
  return found
}

interface Did {
  readonly tool: string
  readonly resource?: string | null | undefined
  readonly data?: readonly string[]
  readonly egress?: string
  readonly spent?: Readonly<Record<string, number>>
  readonly debit?: Readonly<Record<string, number>>
  readonly after?: number
  readonly task?: string
  readonly more?: Readonly<Record<string, unknown>>
  readonly line?: Readonly<Record<string, unknown>>
}

const began = Date.parse('2026-11-01T00:00:00Z')

/** A decision as the ledger has it. */
function decision({
  tool,
  resource = null,
  data = [],
  egress = 'internal',
  spent = {},
  debit = { calls: 1 },
  after = 0,
  task = 't_1',
  more,
  line,
}: Did): string {
  const input = {
    agent: { id },
    task: { id: task, started: began, budget: { spent, debit } },
    delegation: { depth: 0, chain: [] },
    tool: { name: tool, effect: 'read', risk: 'low', data, egress, resource },
  }
  const own = {
    kind: 'decision',
    caller: id,
    agent: id,
    task,
    route: 'r',
    downstream: 'r.test:443',
    tool,
    resource,
    effect: 'allow',
    rules: [],
    ...more,
  }
  const head = { decision_id: 'c_1', timestamp: new Date(began + after).toISOString() }
  return JSON.stringify({ ...head, path: 'countersign/decision', input, ...line, custom: { countersign: own } })
}

function event(name: string, detail: Readonly<Record<string, unknown>>, more: Readonly<Record<string, unknown>> = {}): string {
  const own = { kind: 'event', event: name, by: 'person:ada', caller: id, task: 't_1', detail, ...more }
  return JSON.stringify({ decision_id: 'e_1', timestamp: new Date(began).toISOString(), custom: { countersign: own } })
}

async function* from(lines: readonly (string | null)[]): AsyncGenerator<string | null> {
  yield* lines
}

const read = (lines: readonly (string | null)[], registered: readonly string[] = [id]) =>
  readUse(from(lines), { since: null, registrationOf: (caller) => (registered.includes(caller) ? caller : null), damaged: () => {} })

async function used(lines: readonly string[]): Promise<AgentUse> {
  return (await read(lines)).agents.get(id) ?? new AgentUse(id)
}

const review = async (lines: readonly (string | null)[], registrations: readonly Registration[] = [registration()]) =>
  reviewOf(await read(lines), { now: began + 86_400_000, since: null, registrations, estate: null, only: null })

describe('a proposal', () => {
  const word = fc.constantFrom('a', 'a.b', 'a.c', 'b', 'b.x', 'k:1', 'k:2', 'k:3', 'k:4', 'k:x/1', 'k:x/2', 'm:1', '*', 'k:*', '')
  const pattern = fc.oneof(
    word.filter((text) => !text.includes('*') && text !== ''),
    word.map((text) => `${text.replaceAll('*', '')}*`),
  )
  const grant: fc.Arbitrary<Grant> = fc.record({
    tools: fc.uniqueArray(pattern, { maxLength: 4 }),
    resources: fc.uniqueArray(pattern, { maxLength: 4 }),
    data: fc.uniqueArray(fc.constantFrom('public', 'internal', 'personal'), { maxLength: 3 }),
    egress: fc.uniqueArray(fc.constantFrom('internal', 'partner', 'public'), { maxLength: 3 }),
    budget: fc.dictionary(fc.constantFrom('calls', 'bytes_out', 'EUR', 'constructor'), fc.integer({ min: 0, max: 50 }), { maxKeys: 3 }),
    ttl: fc.integer({ min: 1, max: 7_200_000 }),
  })
  const did: fc.Arbitrary<Did> = fc.record({
    tool: word.filter((text) => text !== ''),
    resource: fc.option<string>(word.filter((text) => text !== '')),
    data: fc.uniqueArray(fc.constantFrom('public', 'internal', 'personal'), { maxLength: 2 }),
    egress: fc.constantFrom('internal', 'partner', 'public'),
    spent: fc.dictionary(fc.constantFrom('calls', 'bytes_out', 'EUR'), fc.integer({ min: 0, max: 50 }), { maxKeys: 2 }),
    debit: fc.dictionary(fc.constantFrom('calls', 'EUR'), fc.integer({ min: 0, max: 5 }), { maxKeys: 2 }),
    after: fc.integer({ min: 0, max: 7_200_000 }),
  })

  test('is never wider than what is registered, and still allows all that was used within it', async () => {
    await fc.assert(
      fc.asyncProperty(grant, fc.array(did, { minLength: 1, maxLength: 12 }), async (present, calls) => {
        const use = await used(calls.map(decision))
        const proposed = narrowed(present, use)
        const intent = (one: Grant) => ({ ...one, purpose: 'test', prompt: null })
        expect(within(intent(proposed), intent(present))).toBe(true)
        expect(proposed.ttl).toBeLessThanOrEqual(present.ttl)
        for (const { tool, resource, data = [], egress = '', spent = {}, debit = {}, after = 0 } of calls) {
          expect(covers('tools', proposed.tools, tool)).toBe(covers('tools', present.tools, tool))
          if (typeof resource === 'string')
            expect(covers('resources', proposed.resources, resource)).toBe(covers('resources', present.resources, resource))
          for (const name of data) expect(proposed.data.includes(name)).toBe(present.data.includes(name))
          expect(proposed.egress.includes(egress)).toBe(present.egress.includes(egress))
          if (overBudget(present.budget, spent, debit) === null) expect(overBudget(proposed.budget, spent, debit)).toBeNull()
          if (after <= present.ttl) expect(after).toBeLessThanOrEqual(proposed.ttl)
        }
      }),
      { numRuns: 500 },
    )
  })

  test('keeps every other member of the registration, and is a registration itself', async () => {
    const present = {
      ...registration(),
      labels: { team: 'a' },
      opensFor: ['spiffe://acme.test/ns/b/*'],
      environment: 'production',
      validUntil: began,
    }
    const proposal = proposalFor(present, await used([decision({ tool: 'a', data: ['internal'] })]))
    const again = registrationOf(agentOf(agentConfig.parse(parse(proposal?.yaml ?? '')[0])))
    expect(again).toEqual({ ...present, grant: proposal?.registration.grant })
    expect(again?.grant).toMatchObject({ tools: ['a'], resources: [], data: ['public', 'internal'], egress: ['internal'] })
  })

  test('is none where nothing was used, and none where nothing would be narrower', async () => {
    expect(proposalFor(registration(), new AgentUse(id))).toBeNull()
    const tight = registration({ tools: ['a'], resources: [], data: ['public'], egress: ['internal'], budget: { calls: 1 }, ttl: '1m' })
    expect(proposalFor(tight, await used([decision({ tool: 'a' })]))).toBeNull()
  })

  test('leaves alone what the record hides, and says so', async () => {
    const lines = [decision({ tool: 'a', resource: null, line: { masked: ['/input/tool/resource'], input: { tool: {} } } })]
    expect(narrowed(registration().grant, await used(lines))).toEqual({ ...registration().grant, tools: ['a'], ttl: 60_000 })
    expect((await review(lines)).agents[0]?.warnings.join()).toContain('masked in the record: what 1 of the calls used')
  })

  test('counts what others did by what was handed on to them, so that hand-offs still work', async () => {
    const child = 'spiffe://acme.test/ns/a/sa/child'
    const input = {
      task: { started: began },
      delegation: { chain: [{ party: id }] },
      tool: { name: 'deep', data: ['internal'], egress: 'partner', resource: 'k:1' },
    }
    const line = JSON.parse(decision({ tool: 'deep', resource: 'k:1', more: { agent: child, caller: child } }))
    const use = await read([decision({ tool: 'a' }), JSON.stringify({ ...line, input })])
    const one = use.agents.get(id)
    expect(one).toMatchObject({ calls: 1, handed: 1 })
    expect(narrowed(registration().grant, one ?? new AgentUse(id))).toMatchObject({
      tools: ['a', 'deep'],
      resources: ['k:1'],
      egress: ['internal', 'partner'],
      ttl: 3_600_000,
    })
    expect(use.agents.get(child)).toMatchObject({ calls: 1, handed: 0 })
  })
})

describe('a review', () => {
  const nasty = '<script>alert(1)</script>\u202e\u001b[2J"\'&`{}'

  test('shows hostile texts as texts, in HTML and on a terminal', async () => {
    const lines = [
      decision({ tool: nasty, resource: `k:${nasty}`, data: [nasty], more: { downstream: nasty, caller: id } }),
      event('approval.opened', { approval: nasty, tool: nasty }),
      event('approval.answered', { approval: nasty, verdict: 'decline' }, { by: nasty }),
      event('agent.suspended', { agent: id }, { by: nasty }),
      event('task.opened', { agent: nasty }, { caller: nasty }),
    ]
    const found = await review(lines, [{ ...registration(), purpose: nasty }])
    const page = reviewHtml(found)
    expect(page).not.toContain('<script')
    expect(page.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Bidi_Control}]/u)
    expect(page).toContain('⟨U+202E⟩')
    expect(reviewText(found).replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u)
  })

  test('reads on behind lines that are damaged, too long or of no ledger, and counts them', async () => {
    const found = await review(['{', null, '[]', '{"custom":{"countersign":{"kind":"event"}}}', decision({ tool: 'a' })])
    expect(found).toMatchObject({ lines: 1, calls: 1, damaged: 4 })
    expect(found.warnings.join()).toContain('4 lines could not be read')
  })

  test('takes nothing that an input says of itself for what the ledger says', async () => {
    const forged = { custom: { countersign: { kind: 'decision', caller: id, agent: 'spiffe://acme.test/forged', tool: 'forged' } } }
    const found = await read([
      decision({ tool: 'a', line: { input: { caller: { claims: forged }, tool: { name: 'a' } } } }),
      event('notification', forged),
      decision({ tool: 'b', more: { detail: JSON.stringify(forged) } }),
    ])
    expect([...found.agents.keys()]).toEqual([id])
    expect([...(found.agents.get(id)?.tools.keys() ?? [])]).toEqual(['a', 'b'])
  })

  test('lists what was used beyond the registration, and refusals of strangers nowhere', async () => {
    const refusal = JSON.stringify({
      decision_id: 'c_2',
      timestamp: new Date(began).toISOString(),
      custom: { countersign: { kind: 'refusal', caller: 'spiffe://x.test/y', code: 'identify.rejected' } },
    })
    const found = await review([decision({ tool: 'a', egress: 'public', data: ['secret'], more: { observed: 'deny' } }), refusal])
    expect(found.agents.map(({ agent }) => agent)).toEqual([id])
    expect(found.agents[0]?.used.outside).toEqual(['data: secret', 'egress: public'])
    expect(found.agents[0]?.warnings.join()).toContain('observe mode')
  })

  test('names owners that are missing and approvals that have lapsed', async () => {
    const present = {
      ...registration(),
      owners: null,
      approvedUntil: began,
      approved: { model: 'm-1' },
      validUntil: began + 10 * 86_400_000,
    }
    const found = await review([decision({ tool: 'a' })], [present])
    expect(found.agents[0]?.lapsed.map(({ of, lapsed }) => [of, lapsed])).toEqual([
      ['owners', true],
      ['registration', false],
      ['approval', true],
    ])
  })

  test('of the same record is the same text, member for member', async () => {
    const lines = [decision({ tool: 'b' }), decision({ tool: 'a', after: 1000 })]
    expect(JSON.stringify(await review(lines))).toBe(JSON.stringify(await review(lines)))
    expect(yamlOf(registration())).toContain('ttl: 1h')
  })
})
