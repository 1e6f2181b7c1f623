import { describe, expect, it } from 'vitest'
import type { Answering, Approver } from '../../../src/approve/answering.ts'
import { Approvals, type ApprovalEvent } from '../../../src/approve/approvals.ts'
import { Turns } from '../../../src/task/turns.ts'
import { isParty, makeChainOf } from '../../../src/approve/chain.ts'
import type { Asking } from '../../../src/approve/rows.ts'
import { idSource } from '../../../src/id.ts'
import type { ApprovalRow } from '../../../src/state/approvals.ts'
import { Refusal } from '../../../src/refusal.ts'
import { openSqlite } from '../../../src/state/sqlite.ts'
import type { TaskRow } from '../../../src/state/state.ts'
import { readLine } from '../../../src/task/intent.ts'
import { sketchShown } from '../../support/approvals.ts'
import { agentId, minute, noon, otherId, sketchAgent, sketchIntent, sketchRow } from '../../support/task-rig.ts'

const ada: Approver = { name: 'person:ada', method: 'oidc', groups: ['finance'] }
const ben: Approver = { name: 'person:ben', method: 'oidc', groups: ['group:finance'] }
const eve: Approver = { name: 'person:eve', method: 'oidc', groups: [] }
const yes: Answering = { verdict: 'approve', reason: 'fine' }

function rig(tasks: readonly TaskRow[] = [sketchRow({ intent: { ...sketchIntent(), tools: ['pay.*'] } })]) {
  const time = { now: noon }
  const clock = (): number => time.now
  const state = openSqlite({ path: ':memory:', clock })
  for (const row of tasks) state.openTask(row)
  const told: ApprovalEvent[] = []
  const revoked: string[] = []
  const ledger: { full: boolean; gone: Refusal | null; notLive: string | null } = { full: false, gone: null, notLive: null }
  const approvals = new Approvals({
    turns: new Turns(),
    book: state.approvals,
    clock,
    newId: idSource(clock),
    task: (id) => state.task(id),
    chainOf: makeChainOf((id) => state.ancestors(id)),
    agent: (caller) => (caller === agentId ? sketchAgent({ intent: { ...sketchIntent(), tools: ['pay.*'] } }) : null),
    notLive: () => ledger.notLive,
    revision: () => 'r1',
    event: async (event) => {
      if (ledger.full) throw new Error('full')
      told.push(event)
    },
    revoke: async ({ id }) => void revoked.push(id),
    gone: () => ledger.gone,
    readLine,
    log: { error: () => undefined },
  })
  const asking = (change: Partial<Asking> = {}): Asking => ({
    task: tasks[0] ?? sketchRow(),
    call: 'c_1',
    digest: 'sha256:aa',
    tool: 'pay.refund',
    route: 'pay',
    shown: sketchShown(),
    approvers: ['group:finance'],
    quorum: 1,
    ttl: 15 * minute,
    single: false,
    revision: 'r1',
    ...change,
  })
  return { time, state, told, revoked, ledger, approvals, asking, kinds: () => told.map(({ kind }) => kind) }
}

describe('asking', () => {
  it('is one question however often it is asked at once, and is in the ledger before anybody sees it', async () => {
    const { approvals, asking, told } = rig()
    const seen: ApprovalRow[] = []
    approvals.watch((row) => {
      expect(told.map(({ detail }) => detail['approval'])).toContain(row.id)
      seen.push(row)
    })
    const rows = await Promise.all(Array.from({ length: 10 }, () => approvals.ask(asking())))
    expect(new Set(rows.map(({ id }) => id)).size).toBe(1)
    expect(told).toHaveLength(1)
    expect(seen).toHaveLength(1)
    expect(JSON.stringify(told)).not.toContain('amount')
  })

  it('opens nothing when the ledger cannot be written', async () => {
    const { approvals, asking, ledger } = rig()
    ledger.full = true
    await expect(approvals.ask(asking())).rejects.toThrow('full')
    expect(await approvals.list({})).toEqual([])
  })

  it('is another question to other people, and the one before is given up', async () => {
    const { approvals, asking } = rig()
    const first = await approvals.ask(asking())
    const second = await approvals.ask(asking({ quorum: 2 }))
    expect(second.id).not.toBe(first.id)
    expect(await approvals.read(first.id)).toMatchObject({ state: 'withdrawn', closed: { by: 'countersign' } })
  })

  it('ends with its time, and with its task', async () => {
    const { approvals, asking, time, kinds } = rig()
    const first = await approvals.ask(asking())
    time.now += 15 * minute
    await approvals.sweep()
    expect(await approvals.read(first.id)).toMatchObject({ state: 'expired', closed: { by: 'clock' } })
    time.now = noon
    const second = await approvals.ask(asking())
    await approvals.taskEnded(second.task ?? '', 'completed')
    expect(await approvals.read(second.id)).toMatchObject({ state: 'withdrawn' })
    expect(kinds()).toEqual(['approval.opened', 'approval.expired', 'approval.opened', 'approval.withdrawn'])
  })
})

describe('an answer', () => {
  it('that approves is in the ledger before it is true, one that declines after', async () => {
    const { approvals, asking, kinds, told } = rig()
    const states: string[] = []
    approvals.watch(({ state }) => states.push(`${state} after ${kinds().join(' ')}`))
    const { id } = await approvals.ask(asking())
    await approvals.answer(id, ada, { ...yes, reason: 'order 1042 came back' })
    const other = await approvals.ask(asking({ digest: 'sha256:bb' }))
    await approvals.answer(other.id, ada, { verdict: 'decline', reason: 'no' })
    expect(states[1]).toBe('approved after approval.opened approval.answered')
    expect(states[3]).toBe('declined after approval.opened approval.answered approval.approved approval.opened')
    expect(kinds().slice(-2)).toEqual(['approval.answered', 'approval.declined'])
    expect(told[1]).toMatchObject({ by: 'person:ada', detail: { verdict: 'approve', reason: 'order 1042 came back', method: 'oidc' } })
  })

  it('is none when the ledger cannot be written', async () => {
    const { approvals, asking, ledger } = rig()
    const { id } = await approvals.ask(asking())
    ledger.full = true
    await expect(approvals.answer(id, ada, yes)).rejects.toThrow('full')
    expect(await approvals.read(id)).toMatchObject({ state: 'pending', answers: [] })
  })

  it.each([
    ['not-approver', eve, yes],
    ['in-chain', { ...ada, name: `person:${agentId}` }, yes],
    ['in-chain', { ...ada, also: ['User:U1'] }, yes],
    ['reason', ada, { ...yes, reason: ' ' }],
    ['reason', ada, { ...yes, reason: 'two\nlines' }],
    ['reason', ada, { ...yes, reason: 'x'.repeat(501) }],
    ['objective', ada, { ...yes, objective: { tools: ['mail.*'], calls: 1, ttl: minute } }],
    ['objective', ada, { ...yes, objective: { tools: ['*'], calls: 1, ttl: minute } }],
    ['objective', ada, { ...yes, objective: { tools: ['pay.void'], calls: 1, ttl: minute } }],
    ['objective', ada, { ...yes, objective: { tools: ['pay.refund'], calls: 0, ttl: minute } }],
    ['objective', ada, { ...yes, objective: { tools: ['pay.refund'], calls: 1, ttl: 0 } }],
    ['objective', eve, { ...yes, breakGlass: true, objective: { tools: ['pay.refund'], calls: 1, ttl: minute } }],
  ] as const)('is none (%s) of whoever may not give it', async (why, by, answer) => {
    const row = sketchRow({ onBehalfOf: { subject: 'u1', issuer: 'i' }, intent: { ...sketchIntent(), tools: ['pay.*'] } })
    const { approvals, asking, kinds } = rig([row])
    const { id } = await approvals.ask(asking())
    await expect(approvals.answer(id, by, answer)).rejects.toMatchObject({ name: 'ApprovalFault', why })
    expect(kinds()).toEqual(['approval.opened'])
  })

  it('is given once a person, while it is open', async () => {
    const { approvals, asking, time } = rig()
    const { id } = await approvals.ask(asking({ quorum: 2 }))
    await approvals.answer(id, ada, yes)
    await expect(approvals.answer(id, ada, yes)).rejects.toMatchObject({ why: 'answered' })
    expect(await approvals.answer(id, ben, yes)).toMatchObject({ state: 'approved' })
    await expect(approvals.answer(id, { ...eve, groups: ['finance'] }, yes)).rejects.toMatchObject({ why: 'closed' })
    await expect(approvals.answer('a_none', ada, yes)).rejects.toMatchObject({ why: 'unknown' })
    const late = await approvals.ask(asking({ digest: 'sha256:bb' }))
    time.now += 15 * minute
    await expect(approvals.answer(late.id, ada, yes)).rejects.toMatchObject({ why: 'closed' })
    expect(await approvals.read(late.id)).toMatchObject({ state: 'expired' })
  })

  it('outside of who may answer is loud', async () => {
    const { approvals, asking, told } = rig()
    const { id } = await approvals.ask(asking({ quorum: 2 }))
    expect(await approvals.answer(id, eve, { ...yes, breakGlass: true })).toMatchObject({ state: 'approved' })
    expect(told[1]).toMatchObject({ kind: 'approval.break-glass', by: 'person:eve', detail: { approvers: ['group:finance'] } })
    expect(told[2]).toMatchObject({ kind: 'approval.answered', detail: { breakGlass: true } })
  })

  it('of two with objectives grants what both agree to, and the one action when one of them says no more', async () => {
    const { approvals, asking } = rig()
    const wide = { tools: ['pay.*'], calls: 10, ttl: 10 * minute }
    const narrow = { tools: ['pay.refund'], calls: 20, ttl: minute }
    const { id } = await approvals.ask(asking({ quorum: 2 }))
    await approvals.answer(id, ada, { ...yes, objective: wide })
    expect((await approvals.answer(id, ben, { ...yes, objective: narrow })).objective).toEqual({
      tools: ['pay.refund'],
      calls: 10,
      until: noon + minute,
    })
    const second = await approvals.ask(asking({ quorum: 2, digest: 'sha256:bb' }))
    await approvals.answer(second.id, ada, { ...yes, objective: wide })
    expect((await approvals.answer(second.id, ben, yes)).objective).toBeNull()
  })

  it('to what needs an answer of its own is no objective', async () => {
    const { approvals, asking } = rig()
    const { id } = await approvals.ask(asking({ single: true }))
    const objective = { tools: ['pay.refund'], calls: 2, ttl: minute }
    await expect(approvals.answer(id, ada, { ...yes, objective })).rejects.toMatchObject({ why: 'objective' })
  })
})

describe('a withdrawal', () => {
  it('is true at once, revokes what it allowed, and needs a reason', async () => {
    const { approvals, asking, revoked, kinds } = rig()
    const { id } = await approvals.ask(asking())
    await approvals.answer(id, ada, yes)
    await expect(approvals.withdraw(id, eve, '')).rejects.toMatchObject({ why: 'reason' })
    expect(await approvals.withdraw(id, eve, 'wrong order')).toMatchObject({
      state: 'withdrawn',
      closed: { by: 'person:eve', reason: 'wrong order' },
    })
    expect(revoked).toEqual([id])
    expect(kinds().at(-1)).toBe('approval.withdrawn')
    await expect(approvals.withdraw(id, eve, 'again')).rejects.toMatchObject({ why: 'closed' })
    await expect(approvals.withdraw('a_none', eve, 'who')).rejects.toMatchObject({ why: 'unknown' })
  })

  it('revokes although the ledger cannot be written', async () => {
    const { approvals, asking, revoked, ledger } = rig()
    const { id } = await approvals.ask(asking())
    ledger.full = true
    await expect(approvals.withdraw(id, eve, 'wrong order')).rejects.toThrow('full')
    expect(revoked).toEqual([id])
    expect(await approvals.read(id)).toMatchObject({ state: 'withdrawn' })
  })
})

describe('an approval that nobody need answer by the time that it is written', () => {
  it('is closed, and whoever asked hears why: it waits for no time to pass', async () => {
    const { approvals, asking, ledger, kinds } = rig()
    ledger.gone = new Refusal('kill.engaged')
    await expect(approvals.ask(asking())).rejects.toMatchObject({ code: 'kill.engaged' })
    expect(approvals.pending(agentId)).toBe(0)
    expect(await approvals.list({})).toMatchObject([{ state: 'withdrawn', closed: { by: 'countersign' } }])
    expect(kinds()).toEqual(['approval.opened', 'approval.withdrawn'])
    ledger.gone = null
    expect((await approvals.ask(asking())).state).toBe('pending')
  })

  it('is no objective either', async () => {
    const { approvals, ledger } = rig()
    ledger.gone = new Refusal('task.ended')
    const objective = { tools: ['pay.refund'], calls: 2, ttl: minute }
    await expect(approvals.grant({ task: sketchRow().id }, objective, ada, 'returns')).rejects.toMatchObject({ code: 'task.ended' })
    expect(await approvals.list({ states: ['approved'] })).toEqual([])
  })
})

describe('a grant ahead', () => {
  it('to a workload is for whoever is registered and live, by nobody else than another person', async () => {
    const { approvals, kinds, ledger } = rig()
    const objective = { tools: ['pay.*'], calls: 2, ttl: minute }
    const row = await approvals.grant({ agent: agentId }, objective, { ...ada, also: ['ada@acme.example'] }, 'returns')
    expect(row).toMatchObject({ task: null, caller: agentId, grantedBy: ['person:ada', 'ada@acme.example'], expires: noon + minute })
    for (const agent of ['spiffe://acme.example/nobody', `${agentId}*`])
      await expect(approvals.grant({ agent }, objective, ada, 'returns')).rejects.toMatchObject({ why: 'unknown' })
    await expect(approvals.grant({ agent: agentId }, { ...objective, tools: ['mail.*'] }, ada, 'returns')).rejects.toMatchObject({
      why: 'objective',
    })
    await expect(approvals.grant({ agent: agentId }, objective, { ...ada, also: [agentId] }, 'x')).rejects.toMatchObject({
      why: 'in-chain',
    })
    ledger.notLive = 'suspended'
    await expect(approvals.grant({ agent: agentId }, objective, ada, 'returns')).rejects.toMatchObject({ why: 'unknown' })
    expect(kinds()).toEqual(['approval.granted'])
  })

  const objective = { tools: ['pay.refund'], calls: 2, ttl: 60 * minute }

  it('lives no longer than its task and covers no tool that the task has not', async () => {
    const { approvals, kinds } = rig()
    const { id } = sketchRow()
    expect(await approvals.grant({ task: id }, objective, ada, 'returns')).toMatchObject({
      state: 'approved',
      expires: sketchRow().limit,
      digest: '',
    })
    await expect(approvals.grant({ task: id }, { ...objective, tools: ['mail.*'] }, ada, 'returns')).rejects.toMatchObject({
      why: 'objective',
    })
    await expect(approvals.grant({ task: id }, objective, { ...ada, also: [agentId] }, 'returns')).rejects.toMatchObject({
      why: 'in-chain',
    })
    await expect(approvals.grant({ task: 't_none' }, objective, ada, 'returns')).rejects.toMatchObject({ why: 'unknown' })
    await expect(approvals.grant({ task: id }, objective, ada, '')).rejects.toMatchObject({ why: 'reason' })
    expect(kinds()).toEqual(['approval.granted'])
  })
})

describe('the requesting chain', () => {
  it('is everyone from the root to the task at hand', () => {
    const root = sketchRow({ id: 't_root', onBehalfOf: { subject: 'Ada@acme.example', issuer: 'i' } })
    const child = sketchRow({ id: 't_child', parent: 't_root', caller: otherId })
    const chainOf = makeChainOf((id) => (id === 't_child' ? [root] : []))
    expect(chainOf(child).parties).toEqual(['user:Ada@acme.example', `agent:${agentId}`, `agent:${otherId}`])
    expect(chainOf(root).root).toBe('user:Ada@acme.example')
    expect(isParty(chainOf(child).parties, ['person:ada@ACME.example'])).toBe(true)
    expect(isParty(chainOf(child).parties, ['person:ben'])).toBe(false)
    for (const name of [`person:agent:${agentId}`, ' person: ada@acme.example ', 'person:user:ada@acme.example', 'ａｄａ@acme.example'])
      expect(isParty(chainOf(child).parties, [name]), name).toBe(true)
  })
})
