import { describe, expect, it } from 'vitest'
import { makeApprove } from '../../../src/approve/approve.ts'
import { makeOblige } from '../../../src/approve/oblige.ts'
import { makeSwap, StaleFacts, type SwapOptions } from '../../../src/approve/swap.ts'
import { Permit } from '../../../src/decide/permit.ts'
import { repeatDigest } from '../../../src/decide/repeat.ts'
import { Refusal } from '../../../src/refusal.ts'
import { ClientGone } from '../../../src/listen/call.ts'
import type { Decision, Reason } from '../../../src/decide/decide.ts'
import type { Obligation } from '../../../src/decide/obligations.ts'
import type { MintAnswer, MintRequest } from '../../../src/state/mint.ts'
import type { Facts } from '../../../src/state/state.ts'
import { sketchDecision } from '../../support/decision.ts'
import { sketchCall, sketchFacts, sketchQuestion, sketchTarget, sketchTool } from '../../support/question.ts'

const mint = (decision: Decision, swap: (decision: Decision) => void) => Permit.mint(decision, swap)
const refusalOf = (attempt: () => unknown): Refusal => {
  try {
    attempt()
  } catch (error) {
    return Refusal.from(error)
  }
  throw new Error('nothing was refused')
}
const reason = (message_agent: string): Reason => ({
  rule: 'a.b',
  severity: 'high',
  controls: [],
  message_agent,
  detail: { secret: 'canary' },
})

/** The smallest state that compares and swaps. */
class Book {
  facts: Facts = sketchFacts()
  answer: MintAnswer | null = null
  readonly requests: MintRequest[] = []

  mint = (request: MintRequest): MintAnswer => {
    this.requests.push(request)
    if (this.answer !== null) return this.answer
    const { task, caller } = this.facts
    if (request.seen.task !== task.version || request.seen.caller !== caller.version)
      return { minted: false, why: 'stale', detail: 'changed' }
    this.facts = { task: { ...task, version: task.version + 1 }, caller: { ...caller, version: caller.version + 1 } }
    return { minted: true }
  }
}

/** Nobody is notified and nothing is lent. */
const oblige = makeOblige({
  knows: () => false,
  notify: () => Promise.reject(new Error('nobody is notified')),
  revokeLeases: () => {
    throw new Error('nothing is lent')
  },
})

const rig = (change: Partial<SwapOptions> = {}) => {
  const book = new Book()
  const swap = makeSwap({ mint: book.mint, stands: () => undefined, repeat: repeatDigest, clock: () => 1_790_000_000_500, ...change })
  return { book, swap, approve: makeApprove({ mint, swap, oblige }) }
}

describe('approve', () => {
  it('counts what policy refuses, once and before the refusal, and never what it allows', () => {
    const counted: Decision[] = []
    const { book, swap } = rig()
    const approve = makeApprove({ mint, swap, oblige, refused: (decision) => counted.push(decision) })
    const denied = sketchDecision(undefined, { effect: 'deny', reasons: [reason('no')] })
    const asked = sketchDecision(undefined, { effect: 'ask', reasons: [reason('who')] })
    expect(refusalOf(() => approve(denied)).code).toBe('decide.denied')
    expect(refusalOf(() => approve(asked)).code).toBe('approve.required')
    void approve(sketchDecision())
    expect(counted).toEqual([denied, asked])
    expect(book.requests).toHaveLength(1)
  })

  it('mints from an allow in the same tick', () => {
    const decision = sketchDecision()
    const permit = rig().approve(decision)
    if (permit instanceof Promise) throw new Error('it took time')
    expect(() => Permit.check(permit)).not.toThrow()
    expect(permit.decision).toBe(decision)
  })

  it('refuses a denial with what the agent may read, each sentence once, and no more', () => {
    const refusal = refusalOf(() =>
      rig().approve(sketchDecision(undefined, { effect: 'deny', reasons: [reason('no'), reason('no'), reason('not this')] })),
    )
    expect(refusal).toMatchObject({ code: 'decide.denied', reasons: ['no', 'not this'], retry: 'never' })
    expect(JSON.stringify([refusal.message, refusal.reasons, refusal.detail])).not.toMatch(/canary|a\.b/)
  })

  it('refuses a question until a person has answered', () => {
    expect(
      refusalOf(() => rig().approve(sketchDecision(undefined, { effect: 'ask', reasons: [reason('a person must see this')] }))),
    ).toMatchObject({
      code: 'approve.required',
      reasons: ['a person must see this'],
      retry: 'after-approval',
    })
  })

  it('refuses a deferral where nothing can be waited for', () => {
    expect(refusalOf(() => rig().approve(sketchDecision(undefined, { effect: 'defer' }))).code).toBe('approve.deferred')
  })

  it('lets only one of two calls judged on the same facts through, and judges the other again', async () => {
    const { book, swap } = rig()
    const [one, two] = [sketchDecision(undefined, { facts: book.facts }), sketchDecision(undefined, { facts: book.facts })]
    const strict = makeApprove({ mint, swap, oblige })
    await strict(one)
    expect(refusalOf(() => strict(two))).toMatchObject({ code: 'decide.unavailable', retry: 'later' })
    const kind = makeApprove({
      mint,
      swap,
      oblige,
      rejudge: () => sketchDecision(undefined, { facts: book.facts, labels: { judged: 'again' } }),
    })
    expect((await kind(two)).decision.labels).toEqual({ judged: 'again' })
    expect(book.facts.task.version).toBe(3)
  })

  it('obeys what policy says the second time', () => {
    const { book, swap } = rig()
    const seen = sketchDecision(undefined, { facts: sketchFacts({ version: 0 }) })
    const approve = makeApprove({
      mint,
      oblige,
      swap,
      rejudge: () => sketchDecision(undefined, { facts: book.facts, effect: 'deny', reasons: [reason('no longer')] }),
    })
    const told: Decision[] = []
    const refusal = refusalOf(() => approve(seen, { rejudged: (decision) => told.push(decision) }))
    expect(refusal).toMatchObject({ code: 'decide.denied', reasons: ['no longer'] })
    expect(book.facts.task.version).toBe(1)
    expect(told.map(({ effect }) => effect)).toEqual(['deny'])
  })

  it('judges again five times and no more', () => {
    let judged = 0
    const approve = makeApprove({
      mint,
      oblige,
      swap: () => {
        throw new StaleFacts()
      },
      rejudge: () => (judged++, sketchDecision()),
    })
    expect(refusalOf(() => approve(sketchDecision()))).toMatchObject({ code: 'decide.unavailable', retry: 'later' })
    expect(judged).toBe(5)
  })

  it('passes on what is no stale fact', () => {
    const approve = makeApprove({
      mint,
      oblige,
      swap: () => {
        throw new Refusal('task.budget')
      },
      rejudge: () => sketchDecision(),
    })
    expect(refusalOf(() => approve(sketchDecision())).code).toBe('task.budget')
  })
})

describe('the swap', () => {
  it('asks the state for exactly what the call does, by the clock of the mint', () => {
    const { book, swap } = rig()
    const question = sketchQuestion({
      target: sketchTarget({ tool: sketchTool({ effect: 'write', data: ['personal'], egress: 'partner' }), debit: { calls: 1, eur: 12 } }),
    })
    swap(sketchDecision(question))
    expect(book.requests).toEqual([
      {
        task: question.task.row.id,
        caller: question.task.row.caller,
        seen: { task: 1, caller: 1 },
        now: 1_790_000_000_500,
        step: { tool: 'crm.customer.read', effect: 'write', egress: 'partner', at: 1_790_000_000_500 },
        host: 'crm.acme.example',
        resource: 'customer:42',
        repeat: repeatDigest(question),
        data: ['personal'],
        debit: { calls: 1, eur: 12 },
      },
    ])
  })

  it.each(['task.unknown', 'task.ended', 'task.paused', 'task.budget'] as const)(
    'refuses with %s when that is what became of the task',
    (why) => {
      const { book, swap } = rig()
      book.answer = { minted: false, why, detail: 'since 12:00' }
      expect(refusalOf(() => swap(sketchDecision()))).toMatchObject({ code: why, detail: 'since 12:00', reasons: [] })
    },
  )

  it('looks at the agent again, before anything is spent', () => {
    const asked: unknown[] = []
    const { book, swap } = rig({
      stands: ({ task }, now) => {
        asked.push(task.agent.id, now)
        throw new Refusal('task.agent-not-live', { detail: 'suspended' })
      },
    })
    expect(refusalOf(() => swap(sketchDecision()))).toMatchObject({ code: 'task.agent-not-live', detail: 'suspended' })
    expect(asked).toEqual(['spiffe://acme.example/ns/support/sa/refund-agent', 1_790_000_000_500])
    expect(book.requests).toEqual([])
  })

  it('spends nothing for a call that was cut or that nobody waits for', () => {
    const cut = (why: unknown) => sketchDecision(sketchQuestion({ call: sketchCall({ signal: AbortSignal.abort(why) }) }))
    const { book, swap } = rig()
    expect(refusalOf(() => swap(cut(new Refusal('task.ended')))).code).toBe('task.ended')
    expect(refusalOf(() => swap(cut(new ClientGone()))).code).toBe('listen.malformed')
    expect(book.requests).toEqual([])
  })

  it('registers the call as open work once it is minted, and not otherwise', () => {
    const opened: Decision[] = []
    const { book, swap } = rig({ open: (decision) => void opened.push(decision) })
    const decision = sketchDecision()
    swap(decision)
    expect(opened).toEqual([decision])
    expect(() => swap(decision)).toThrow(StaleFacts)
    book.answer = { minted: false, why: 'task.ended', detail: '' }
    expect(() => swap(decision)).toThrow(Refusal)
    expect(opened).toHaveLength(1)
  })
})

describe('what policy obliges the mint to', () => {
  const asked = (obligations: readonly Obligation[], target = sketchTarget()) => {
    const read: (readonly string[])[] = []
    const { book, swap } = rig({ open: (_decision, reads) => void read.push(reads) })
    swap(sketchDecision(sketchQuestion({ target }), { facts: book.facts, obligations }))
    // open work is judged again on what the state was told, whoever said so
    expect(read).toEqual([book.requests[0]?.data])
    return book.requests[0]
  }

  it('is nothing where there are no obligations: the request is what the tool says', () => {
    const target = sketchTarget()
    const request = asked([], target)
    expect(request?.data).toBe(target.tool.reads)
    expect(request?.debit).toBe(target.debit)
    expect(request).not.toHaveProperty('limits')
  })

  it('adds to what the tool debits and to what it reads', () => {
    const request = asked(
      [
        { id: 'a', type: 'debit_budget', properties: { meter: 'eur', amount: 2 } },
        { id: 'b', type: 'debit_budget', properties: { meter: 'calls', amount: 3 } },
        { id: 'c', type: 'raise_sensitivity', properties: { classes: ['health'] } },
      ],
      sketchTarget({ tool: sketchTool({ data: ['personal'] }), debit: { calls: 1 } }),
    )
    expect({ ...request?.debit }).toEqual({ calls: 4, eur: 2 })
    expect(request?.data).toEqual(['personal', 'health'])
  })

  it('says when a call that was limited may come again, in whole seconds', () => {
    const { book, swap } = rig()
    const properties = { key: 'k', scope: 'all', calls: 1, per: 1000 } as const
    const limited = sketchDecision(undefined, { facts: book.facts, obligations: [{ id: 'r', type: 'rate_limit', properties }] })
    for (const [wait, after] of [
      [1, '1'],
      [1001, '2'],
    ] as const) {
      book.answer = { minted: false, why: 'decide.rate-limited', detail: 'all "k"', wait }
      expect(refusalOf(() => swap(limited))).toMatchObject({
        code: 'decide.rate-limited',
        retry: 'later',
        headers: { 'Retry-After': after },
      })
    }
    expect(book.requests[0]?.limits).toEqual([properties])
  })
})
