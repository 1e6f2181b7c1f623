import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Refusal } from '../../../src/refusal.ts'
import type { GrantRow } from '../../../src/state/grants.ts'
import type { Intent, TaskRow } from '../../../src/state/state.ts'
import { agentRegistry, type Agent } from '../../../src/task/agents.ts'
import { chainOf } from '../../../src/task/chain.ts'
import { watchExpiry } from '../../../src/task/clock.ts'
import type { Offered } from '../../../src/task/delegation.ts'
import { narrow, within, type AskedTask } from '../../../src/task/intent.ts'
import { intersect } from '../../../src/task/intersect.ts'
import {
  agentId,
  minute,
  mintOn,
  noon,
  otherId,
  sketchAgent,
  sketchCaller,
  sketchIntent,
  taskRig,
  type TaskRig,
} from '../../support/task-rig.ts'

const thirdId = 'spiffe://acme.example/ns/support/sa/third-agent'
const agents = [sketchAgent(), sketchAgent({ id: otherId }), sketchAgent({ id: thirdId })]

function open(rig: TaskRig, change: Partial<Intent> = {}, id = agentId): Promise<TaskRow> {
  const agent = rig.registry.find(id) ?? sketchAgent({ id })
  return rig.tasks.open({ caller: sketchCaller(id), agent, intent: sketchIntent(change), ttl: 10 * minute, subject: null, implicit: false })
}

function redeem(rig: TaskRig, { grant, token }: Offered, by = otherId): Promise<TaskRow> {
  return rig.delegation.redeem(
    { caller: sketchCaller(by), agent: rig.registry.find(by) ?? sketchAgent({ id: by }) },
    grant.id,
    token.reveal(),
  )
}

async function handOn(rig: TaskRig, task: TaskRow, to = otherId, asked: Readonly<Record<string, unknown>> = {}): Promise<TaskRow> {
  return redeem(rig, await rig.delegation.offer(task, { to, purpose: 'do a part', ...asked }), to)
}

async function codeOf(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt
    return 'done'
  } catch (error) {
    return error instanceof Refusal ? error.code : String(error)
  }
}

describe('a grant', () => {
  it('is redeemed once however many race for it', async () => {
    const rig = taskRig({ agents, openPerCaller: 20_000 })
    const offered = await rig.delegation.offer(await open(rig), { to: otherId, purpose: 'do a part' })
    const race = await Promise.all(Array.from({ length: 10_000 }, () => codeOf(redeem(rig, offered))))
    expect(race.filter((code) => code === 'done')).toHaveLength(1)
    expect(race.filter((code) => code === 'decide.denied')).toHaveLength(9999)
    expect(rig.state.tasks({ caller: otherId })).toHaveLength(1)
    expect(rig.events.filter(({ kind, caller }) => kind === 'task.opened' && caller === otherId)).toHaveLength(1)
  })

  it('is judged with who handed on, and opens nothing that policy refuses', async () => {
    const rig = taskRig({ agents })
    const task = await open(rig)
    const offered = await rig.delegation.offer(task, { to: otherId, purpose: 'do a part', tools: ['mail.send'] })
    rig.verdict = { effect: 'deny', reasons: [{ rule: 'r', message_agent: 'no' }] }
    expect(await codeOf(redeem(rig, offered))).toBe('decide.denied')
    const { tools, resources, data, egress } = task.intent
    expect(rig.questions.at(-1)).toMatchObject({
      action: 'open',
      caller: { id: otherId },
      intent: { tools: ['mail.send'] },
      delegation: { root: `agent:${agentId}`, chain: [{ party: agentId, task: task.id, intent: { tools, resources, data, egress } }] },
    })
    rig.verdict = { effect: 'allow', reasons: [] }
    expect((await redeem(rig, offered)).state).toBe('active') // a refusal spends no grant
  })

  it('that nobody redeems in time ends by itself, once, and is told', async () => {
    const rig = taskRig({ agents })
    const task = await open(rig)
    const late = await rig.delegation.offer(task, { to: otherId, purpose: 'do a part', expires: '1m' })
    const left = await rig.delegation.offer(task, { to: otherId, purpose: 'do a part', expires: '5m' })
    const failed: unknown[] = []
    const expireGrant = (grant: GrantRow): Promise<void> => rig.delegation.expire(grant)
    const expire = (row: TaskRow): Promise<TaskRow> => rig.tasks.expire(row)
    const options = {
      state: rig.state,
      clock: rig.clock,
      every: 3_600_000,
      expire,
      expireGrant,
      failed: (error: unknown) => failed.push(error),
    }
    const watch = watchExpiry(options)
    await watch.sweep()
    rig.now += minute
    await watch.sweep()
    await watch.sweep()
    watch.stop()
    const told = rig.events.filter(({ kind }) => kind === 'grant.expired')
    expect(told).toMatchObject([{ task: task.id, caller: agentId, by: 'clock', detail: { grant: late.grant.id, to: otherId } }])
    expect(rig.state.grants.grant(late.grant.id)?.state).toBe('expired')
    expect(rig.state.grants.open(task.id).map(({ id }) => id)).toEqual([left.grant.id])
    expect(await codeOf(redeem(rig, late))).toBe('decide.denied')
    rig.ledger = 'full'
    rig.now += 4 * minute
    const unwritten = watchExpiry(options)
    await unwritten.sweep()
    unwritten.stop()
    expect(failed).toHaveLength(1)
    expect(rig.state.grants.grant(left.grant.id)?.state).toBe('expired')
  })

  it('whose opening cannot be recorded opens nothing', async () => {
    const rig = taskRig({ agents })
    const offered = await rig.delegation.offer(await open(rig), { to: otherId, purpose: 'do a part' })
    rig.ledger = 'full'
    expect(await codeOf(redeem(rig, offered))).toBe('Error: the ledger is full')
    expect(rig.state.tasks({ caller: otherId })).toMatchObject([{ state: 'revoked' }])
  })

  it('is worth nothing when the task that offered it, or an agent, is not what it was', async () => {
    const rig = taskRig({ agents })
    const [paused, ended] = [await open(rig), await open(rig)]
    const of = (task: TaskRow): Promise<Offered> => rig.delegation.offer(task, { to: otherId, purpose: 'do a part' })
    const [one, two, three] = [await of(paused), await of(ended), await of(await open(rig))]
    await rig.tasks.pause(paused, { kind: 'person', name: 'person:x' }, 'look')
    await rig.tasks.complete(ended, { kind: 'person', name: 'person:x' }, 'done')
    expect(await codeOf(redeem(rig, one))).toBe('task.paused')
    expect(await codeOf(redeem(rig, two))).toBe('decide.denied')
    rig.registry = agentRegistry([sketchAgent({ lifecycle: 'suspended' }), sketchAgent({ id: otherId })])
    expect(await codeOf(redeem(rig, three))).toBe('task.agent-not-live')
    rig.registry = agentRegistry([sketchAgent(), sketchAgent({ id: otherId, lifecycle: 'suspended' })])
    expect(await codeOf(redeem(rig, three))).toBe('task.agent-not-live')
    expect(await codeOf(rig.delegation.offer(await open(rig), { to: otherId, purpose: 'p' }))).toBe('decide.denied')
  })

  it('is neither offered nor redeemed by a workload that is killed, nor for one', async () => {
    const rig = taskRig({ agents })
    const task = await open(rig)
    const offered = await rig.delegation.offer(task, { to: otherId, purpose: 'do a part' })
    rig.stopped.add(otherId)
    expect(await codeOf(rig.delegation.offer(task, { to: otherId, purpose: 'p' }))).toBe('decide.denied')
    rig.stopped.delete(otherId)
    rig.stopped.add(agentId)
    expect(await codeOf(rig.delegation.offer(task, { to: otherId, purpose: 'p' }))).toBe('kill.engaged')
    expect(await codeOf(redeem(rig, offered))).toBe('kill.engaged')
    rig.stopped.clear()
    expect((await redeem(rig, offered)).state).toBe('active')
  })

  it('names one workload, not a pattern, and only so many are open at once', async () => {
    const rig = taskRig({ agents: [sketchAgent(), sketchAgent({ id: 'spiffe://acme.example/ns/support/sa/*' })] })
    const task = await open(rig)
    for (const to of ['spiffe://acme.example/ns/support/sa/*', 'spiffe://acme.example', '', 7, undefined])
      expect(await codeOf(rig.delegation.offer(task, { to, purpose: 'p' })), String(to)).toBe('decide.denied')
    for (let at = 0; at < 64; at++) await rig.delegation.offer(task, { to: otherId, purpose: 'p' })
    expect(await codeOf(rig.delegation.offer(task, { to: otherId, purpose: 'p' }))).toBe('listen.overloaded')
  })
})

describe('what is handed on', () => {
  it('may come back to an agent of its chain, or stay with the same, each time narrower, and is bounded by its depth', async () => {
    const rig = taskRig({ agents })
    rig.depth = 3
    const root = await open(rig)
    const self = await handOn(rig, root, agentId, { tools: ['crm.*'] })
    const child = await handOn(rig, self, otherId, { resources: ['order:*'] })
    const back = await handOn(rig, child, agentId)
    expect(back).toMatchObject({ caller: agentId, depth: 3, parent: child.id, intent: { tools: ['crm.*'], resources: ['order:*'] } })
    expect(chainOf(back)).toEqual([`agent:${agentId}`, agentId, agentId, otherId, agentId])
    expect(rig.state.ancestors(back.id).map(({ id }) => id)).toEqual([child.id, self.id, root.id])
    expect(await codeOf(rig.delegation.offer(back, { to: otherId, purpose: 'p' }))).toBe('decide.denied')
  })

  it('outlives nothing it came from', async () => {
    const rig = taskRig({ agents })
    const task = await open(rig)
    const offered = await rig.delegation.offer(task, { to: otherId, purpose: 'p' })
    rig.now = noon + 4 * minute
    const child = await redeem(rig, offered)
    expect(child.expires).toBe(task.expires)
    expect(child.limit).toBe(task.expires)
  })

  it('is what its receiver is registered for, and nothing when that is none of it', async () => {
    const narrower = sketchAgent({
      id: otherId,
      intent: sketchIntent({ tools: ['crm.order.read', 'erp.*'], budget: { calls: 3 } }),
      ttl: minute,
    })
    const rig = taskRig({ agents: [sketchAgent(), narrower, sketchAgent({ id: thirdId, intent: sketchIntent({ tools: ['erp.*'] }) })] })
    const task = await open(rig)
    const child = await handOn(rig, task)
    expect(child.intent).toMatchObject({ tools: ['crm.order.read'], budget: { calls: 3 } })
    expect(child.expires).toBe(noon + minute)
    expect(await codeOf(handOn(rig, task, thirdId))).toBe('decide.denied')
  })

  it('acts for whom its root acts for', async () => {
    const rig = taskRig({ agents })
    const { Secret } = await import('../../../src/secret.ts')
    const subject = { subject: 'u1', issuer: 'https://login.acme.example', token: new Secret('subject-token') }
    const caller = sketchCaller()
    const task = await rig.tasks.open({ caller, agent: sketchAgent(), intent: sketchIntent(), ttl: minute, subject, implicit: false })
    const child = await handOn(rig, task)
    expect(child).toMatchObject({ root: 'user:u1', onBehalfOf: { subject: 'u1' } })
    expect(rig.tasks.subjectToken(child)?.reveal()).toBe('subject-token')
    await rig.tasks.revoke(task, { kind: 'person', name: 'person:x' }, 'done')
    expect(rig.tasks.subjectToken(child)).toBeNull()
  })
})

describe('what one of a tree reads', () => {
  const knows = (rig: TaskRig, id: string): string[] => Object.keys(rig.state.facts('t_none', id).caller.sensitivity)

  it('all of them know, also those of another tree that one of them works on', async () => {
    const rig = taskRig({ agents })
    const [task, elsewhere] = [await open(rig), await open(rig, {}, otherId)]
    const child = await handOn(rig, task)
    await handOn(rig, elsewhere, thirdId)
    rig.raised.length = 0
    const answer = rig.state.mint(mintOn(rig.state, child, noon, { data: ['personal', 'public'] }))
    expect(answer).toEqual({ minted: true, raised: [agentId, thirdId].map((caller) => ({ caller, more: true })) })
    expect([agentId, otherId, thirdId].map((id) => knows(rig, id))).toEqual([['personal'], ['personal'], ['personal']])
    expect(rig.state.facts(task.id, agentId).task.sensitivity).toEqual(['personal'])
    expect(rig.state.mint(mintOn(rig.state, child, noon, { data: ['personal'] }))).toEqual({ minted: true })
  })

  it('was read before is known to who it is handed to, and stays after its task has ended', async () => {
    const rig = taskRig({ agents })
    const task = await open(rig)
    rig.state.mint(mintOn(rig.state, task, noon, { data: ['personal'] }))
    rig.now = noon + minute
    const child = await handOn(rig, task)
    expect(rig.state.facts(child.id, otherId)).toMatchObject({
      task: { sensitivity: ['personal'] },
      caller: { sensitivity: { personal: noon } },
    })
    expect(rig.raised).toEqual([otherId])
    await rig.tasks.complete(child, { kind: 'agent', name: otherId }, 'done')
    expect(knows(rig, otherId)).toEqual(['personal'])
    rig.state.raise(child.id, otherId, ['secret']) // an answer that came after its end
    expect(knows(rig, agentId)).toEqual(['personal', 'secret'])
  })

  it('makes a decision of the other stale', async () => {
    const rig = taskRig({ agents })
    const task = await open(rig)
    const child = await handOn(rig, task)
    const held = mintOn(rig.state, task, noon)
    rig.state.mint(mintOn(rig.state, child, noon, { data: ['personal'], debit: {} }))
    expect(rig.state.mint(held)).toMatchObject({ minted: false, why: 'stale' })
  })
})

describe('what a task does happens to what it handed on', () => {
  it('also after a restart, when a file says that its parent has ended', async () => {
    const rig = taskRig({ agents })
    const task = await open(rig)
    const child = await handOn(rig, await handOn(rig, task), thirdId)
    rig.now = task.expires
    expect(rig.state.overdueTasks(rig.now)).toHaveLength(3)
    await rig.tasks.expire(task)
    expect(rig.state.task(child.id)).toMatchObject({ state: 'expired', ended: { by: 'clock', cause: `its parent ${task.id} was expired` } })
    expect(rig.ended).toHaveLength(3)
    expect(rig.state.overdueTasks(rig.now)).toEqual([])
  })

  it('a pause of its own stays when the pause of its parent is lifted, and is not lifted under one', async () => {
    const rig = taskRig({ agents })
    const person = { kind: 'person', name: 'person:x' } as const
    const task = await open(rig)
    const child = await handOn(rig, task)
    await rig.tasks.pause(child, { kind: 'agent', name: otherId }, 'waiting')
    await rig.tasks.pause(task, person, 'look')
    const own = rig.state.task(child.id) ?? child
    expect(await codeOf(rig.tasks.resume(own, { caller: sketchCaller(otherId), agent: sketchAgent({ id: otherId }) }))).toBe('task.paused')
    await rig.tasks.resumeByPerson(task, 'person:x')
    expect(rig.state.task(child.id)?.paused).toMatchObject({ by: 'agent', reason: 'waiting' })
    await rig.tasks.resume(own, { caller: sketchCaller(otherId), agent: sketchAgent({ id: otherId }) })
    await rig.tasks.pause(task, person, 'look')
    expect(await codeOf(rig.tasks.resumeByPerson(child, 'person:x'))).toBe('task.paused')
    await rig.tasks.pause(rig.state.task(child.id) ?? child, person, 'this one too')
    await rig.tasks.resumeByPerson(task, 'person:x')
    expect(rig.state.task(child.id)?.paused).toMatchObject({ by: 'person', reason: 'this one too' })
  })
})

describe('any chain of narrowings', () => {
  const names = ['a', 'a.b', 'a.bc', 'a.b.c', 'b', 'c.d'] as const
  const pattern = fc.oneof(fc.constantFrom(...names), fc.constantFrom('*', 'a*', 'a.*', 'a.b*', 'b*', 'c.*'))
  const patterns = fc.uniqueArray(pattern, { maxLength: 4 })
  const budget = fc.dictionary(fc.constantFrom('calls', 'eur', 'bytes_out'), fc.nat(10))
  const scope = {
    tools: patterns,
    resources: patterns,
    data: fc.subarray(['internal', 'personal', 'secret']),
    egress: fc.subarray(['internal', 'partner']),
    budget,
  }
  const agent = fc.record({ ...scope, ttl: fc.integer({ min: 1, max: 100 }) })
  const asked = fc.record({ ...scope, ttl: fc.integer({ min: 1, max: 100 }) }, { requiredKeys: [] })

  const registered = ({ ttl, ...intent }: { readonly ttl: number } & Omit<Intent, 'purpose' | 'prompt'>): Agent =>
    sketchAgent({ intent: { purpose: 'p', prompt: null, ...intent }, ttl })

  /** What a list of patterns lets through, held against every name there is. */
  const reach = (list: readonly string[]): string[] =>
    names.filter((name) => list.some((one) => one === name || (one.endsWith('*') && name.startsWith(one.slice(0, -1)))))

  function expectWithin(inner: AskedTask, outer: AskedTask): void {
    expect(within(inner.intent, outer.intent)).toBe(true)
    expect(inner.ttl).toBeLessThanOrEqual(outer.ttl)
    for (const list of ['tools', 'resources'] as const)
      expect(reach(outer.intent[list])).toEqual(expect.arrayContaining(reach(inner.intent[list])))
    for (const meter of ['calls', 'eur', 'bytes_out']) {
      const unbounded = meter === 'eur' ? 0 : Number.POSITIVE_INFINITY
      const spendable = ({ intent }: AskedTask): number => intent.budget[meter] ?? unbounded
      expect(spendable(inner)).toBeLessThanOrEqual(spendable(outer))
    }
  }

  it('never widens anything, whatever is asked and whoever receives it', () => {
    fc.assert(
      fc.property(agent, fc.array(fc.tuple(asked, agent), { maxLength: 6 }), (first, steps) => {
        let held: AskedTask = registered(first)
        for (const [wanted, receiver] of steps) {
          const narrowed = narrow({ purpose: 'p', ...wanted }, held, 'this task')
          if ('reasons' in narrowed) continue
          expectWithin(narrowed.asked, held)
          const agreed = intersect(narrowed.asked, registered(receiver), held.ttl)
          expectWithin(agreed, held)
          expectWithin(agreed, registered(receiver))
          for (const list of ['tools', 'resources'] as const) {
            const both = reach(narrowed.asked.intent[list]).filter((name) => reach(receiver[list]).includes(name))
            expect(reach(agreed.intent[list])).toEqual(both)
          }
          held = agreed
        }
      }),
      { numRuns: 2000 },
    )
  })
})
