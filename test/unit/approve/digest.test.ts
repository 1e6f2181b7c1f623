import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { actionDigest } from '../../../src/approve/digest.ts'
import type { Question } from '../../../src/decide/decide.ts'
import type { JudgedBody } from '../../../src/match/match.ts'
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
