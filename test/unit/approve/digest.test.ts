import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { actionDigest, taskDigest } from '../../../src/approve/digest.ts'
import type { Question } from '../../../src/decide/decide.ts'
import type { JudgedBody } from '../../../src/match/match.ts'
import type { TaskQuestion } from '../../../src/task/question.ts'
import {
  sketchCall,
  sketchCaller,
  sketchQuestion,
  sketchRoute,
  sketchRow,
  sketchTarget,
  sketchAgent,
  sketchTool,
} from '../../support/question.ts'

/** What an approval is bound to. */
interface Bound {
  readonly task: string
  readonly root: string
  readonly caller: string
  readonly route: string
  readonly origin: string
  readonly authority: string
  readonly basePath: string
  readonly ids: readonly string[] | null
  readonly tool: string
  readonly method: string
  readonly target: string
  readonly type: string | null
  readonly coding: string | null
  readonly selected: string | null
  readonly kind: JudgedBody['kind']
  readonly sha256: string | null
}

/** What it is not bound to. */
interface Free {
  readonly id: string
  readonly peer: string
  readonly header: string
  readonly proof: string
  readonly purpose: string
  readonly revision: string
  readonly risk: 'low' | 'high'
  readonly spent: number
}

function questionOf(bound: Bound, free: Free): Question {
  const headers: [string, string][] = [
    ['user-agent', free.header],
    ['traceparent', free.header],
  ]
  if (bound.type !== null) headers.push(['content-type', bound.type])
  if (bound.coding !== null) headers.push(['content-encoding', bound.coding])
  if (bound.selected !== null) headers.push(['x-op', bound.selected])
  const call = { ...sketchCall({ method: bound.method, headers }), id: free.id, peer: free.peer, received: free.spent }
  const { origin, authority, basePath } = bound
  const row = sketchRow({ id: bound.task, revision: free.revision, intent: { ...sketchRow().intent, purpose: free.purpose } })
  return sketchQuestion({
    call: { ...call, address: { ...call.address, target: bound.target } },
    caller: sketchCaller({ id: bound.caller, proof: free.proof }),
    task: { row, agent: sketchAgent() },
    target: sketchTarget({
      route: sketchRoute({
        name: bound.route,
        to: { ...sketchRoute().to, origin, authority, basePath },
        tls: bound.ids && { ids: bound.ids },
        selects: ['x-op'],
      }),
      tool: sketchTool({ name: bound.tool, risk: free.risk }),
      debit: { calls: free.spent },
      body: { kind: bound.kind, parsed: undefined, bytes: null, sha256: bound.sha256, size: free.spent, judged: bound.kind !== 'stream' },
    }),
  })
}

const text = fc.oneof(
  fc.constantFrom('', 'a', 'b', 'a,b', '","', '\\', '"]', '\ud800', 'null'),
  fc.string({ unit: 'binary', maxLength: 8 }),
)
const maybe = fc.option(text)
const bounds: fc.Arbitrary<Bound> = fc.record({
  task: text,
  root: text,
  caller: text,
  route: text,
  origin: text,
  authority: text,
  basePath: text,
  ids: fc.option(fc.array(text, { maxLength: 3 })),
  tool: text,
  method: text,
  target: text,
  type: maybe,
  coding: maybe,
  selected: maybe,
  kind: fc.constantFrom<JudgedBody['kind']>('none', 'json', 'stream'),
  sha256: maybe,
})
const frees: fc.Arbitrary<Free> = fc.record({
  id: text,
  peer: text,
  header: text,
  proof: text,
  purpose: text,
  revision: text,
  risk: fc.constantFrom('low' as const, 'high' as const),
  spent: fc.nat(),
})
const digest = (bound: Bound, free: Free): string => actionDigest(questionOf(bound, free), bound.root)

describe('the digest of a call', () => {
  it('is another as soon as anything is another that an answer is bound to', () => {
    fc.assert(
      fc.property(bounds, fc.nat(), bounds, frees, frees, (bound, at, other, free, later) => {
        const members = Object.keys(bound) as (keyof Bound)[]
        const member = members[at % members.length] ?? 'task'
        const changed = { ...bound, [member]: other[member] }
        const same = JSON.stringify(changed) === JSON.stringify(bound)
        expect(digest(changed, later) === digest(bound, free)).toBe(same)
      }),
      { numRuns: 2000 },
    )
  })

  it('is the same whatever else changes, the policy revision among it', () => {
    fc.assert(
      fc.property(bounds, frees, frees, (bound, free, later) => {
        expect(digest(bound, later)).toBe(digest(bound, free))
      }),
    )
  })

  it('tells what stands in one place from what stands in the next', () => {
    fc.assert(
      fc.property(bounds, bounds, frees, (one, two, free) => {
        if (JSON.stringify(one) !== JSON.stringify(two)) expect(digest(one, free)).not.toBe(digest(two, free))
      }),
    )
  })

  it('is sha256 in hex', () => {
    expect(actionDigest(sketchQuestion(), 'agent:a')).toMatch(/^sha256:[0-9a-f]{64}$/)
  })
})

describe('the digest of a task', () => {
  interface Asked {
    readonly action: 'open' | 'resume'
    readonly cause: 'session' | 'idle' | null
    readonly by: string
    readonly caller: string
    readonly agent: string
    readonly opener: string | null
    readonly root: string
    readonly party: string | null
    readonly person: string | null
    readonly purpose: string
    readonly tools: readonly string[]
    readonly resources: readonly string[]
    readonly data: readonly string[]
    readonly budget: Readonly<Record<string, number>>
    readonly prompt: string | null
    readonly task: string | null
    readonly session: string | null
    readonly grant: string | null
    /** Bound where a task is opened without a grant. */
    readonly ttl: number
  }
  const texts = fc.constantFrom('', 'a', 'b', 'a","b', '["a"]')
  const lists = fc.array(texts, { maxLength: 2 })
  const asked: fc.Arbitrary<Asked> = fc.record({
    action: fc.constantFrom('open', 'resume'),
    cause: fc.constantFrom('session', 'idle', null),
    by: texts,
    caller: texts,
    agent: texts,
    opener: fc.option(texts),
    root: texts,
    party: fc.option(texts),
    person: fc.option(texts),
    purpose: texts,
    tools: lists,
    resources: lists,
    data: lists,
    budget: fc.dictionary(texts, fc.nat(2), { maxKeys: 2, noNullPrototype: true }),
    prompt: fc.option(texts),
    task: fc.option(texts),
    session: fc.option(texts),
    grant: fc.option(texts),
    ttl: fc.nat(2),
  })
  const free = fc.record({ opens: fc.option(texts), proof: texts, expires: fc.nat() })

  function digestOf(
    { action, cause, by, caller, agent, opener, root, party, person, purpose, tools, resources, data, budget, prompt, ttl, ...of }: Asked,
    { opens, proof, expires }: { readonly opens: string | null; readonly proof: string; readonly expires: number },
  ): string {
    const question: TaskQuestion = {
      action,
      ...(cause !== null && { cause }),
      caller: { ...sketchCaller(), id: caller, proof, expires },
      agent: { ...sketchAgent(), id: agent },
      ...(opener !== null && { opener: { kind: 'self', name: opener } }),
      delegation: { root, chain: party === null ? [] : [{ party, task: null, issuer: null, intent: null }] },
      intent: { purpose, tools, resources, data, egress: [], budget, prompt },
      ttl,
    }
    return taskDigest(question, {
      by,
      call: null,
      task: of.task === null ? null : sketchRow({ id: of.task, expires }),
      opens,
      ...(of.session !== null && { session: of.session }),
      ...(of.grant !== null && { grant: of.grant }),
      onBehalfOf: person === null ? null : { subject: person, issuer: 'i' },
    })
  }

  const boundOf = (one: Asked): string => {
    const budget = Object.entries(one.budget).toSorted(([a], [b]) => (a < b ? -1 : 1))
    return JSON.stringify({ ...one, budget, ttl: one.action === 'open' && one.grant === null ? one.ttl : null })
  }

  it('of a task is another as soon as anything of what is asked is another', () => {
    const pairs = fc.tuple(asked, asked, fc.constantFrom(...(['all', 'none', 'ttl', 'tools', 'by', 'grant', 'session'] as const)))
    fc.assert(
      fc.property(pairs, free, free, ([one, other, changed], here, there) => {
        const next = changed === 'all' ? other : changed === 'none' ? one : { ...one, [changed]: other[changed] }
        expect(digestOf(one, here) === digestOf(next, there)).toBe(boundOf(one) === boundOf(next))
      }),
    )
  })
})
