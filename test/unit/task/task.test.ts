import { describe, expect, it } from 'vitest'
import type { Call } from '../../../src/listen/call.ts'
import { Refusal } from '../../../src/refusal.ts'
import { agentRegistry } from '../../../src/task/agents.ts'
import { makeTask, type Task } from '../../../src/task/task.ts'
import { sketchCall } from '../../support/question.ts'
import {
  agentId,
  mintOn,
  minute,
  noon,
  otherId,
  sketchAgent,
  sketchCaller,
  sketchIntent,
  sketchRow,
  taskRig,
  type TaskRig,
} from '../../support/task-rig.ts'

const known = sketchRow().id
const implicit = sketchAgent({ implicit: { max: 60 * minute } })

function callFor(task: string | null): Call {
  const call = sketchCall()
  return { ...call, address: { ...call.address, task } }
}

function stageOf(rig: TaskRig): (task: string | null, caller?: string) => Task | Promise<Task> {
  const stage = makeTask({ state: rig.state, agents: () => rig.registry, tasks: rig.tasks, clock: rig.clock })
  return (task, caller = agentId) => stage(callFor(task), sketchCaller(caller))
}

async function refusalOf(attempt: () => unknown): Promise<Refusal> {
  try {
    await attempt()
  } catch (error) {
    if (error instanceof Refusal) return error
    throw error
  }
  throw new Error('nothing was refused')
}

describe('a call that names its task', () => {
  it('gets it in the same tick', () => {
    const rig = taskRig()
    const row = sketchRow()
    rig.state.openTask(row)
    expect(stageOf(rig)(known)).toEqual({ row, agent: rig.registry.agents[0] })
  })

  it('is told the same of a foreign task as of one that never was', async () => {
    const rig = taskRig({ agents: [sketchAgent(), sketchAgent({ id: otherId })] })
    rig.state.openTask(sketchRow())
    const foreign = await refusalOf(() => stageOf(rig)(known, otherId))
    rig.state.endTask(known, 'completed', { at: noon, cause: 'done', by: agentId })
    const ended = await refusalOf(() => stageOf(rig)(known, otherId))
    const never = await refusalOf(() => stageOf(rig)('t_01JDAAAAAAAAAAAAAAAAAAAAAA', otherId))
    for (const refusal of [foreign, ended]) {
      expect([refusal.code, refusal.reasons, refusal.detail]).toEqual([never.code, never.reasons, never.detail])
    }
    expect(never.code).toBe('task.unknown')
  })

  it('is refused when the task ended or is paused', async () => {
    const rig = taskRig()
    rig.state.openTask(sketchRow())
    rig.state.pauseTask(known, { by: 'person', at: noon, reason: 'secret plan' })
    const paused = await refusalOf(() => stageOf(rig)(known))
    expect([paused.code, paused.reasons]).toEqual(['task.paused', []])
    rig.state.endTask(known, 'revoked', { at: noon, cause: 'secret plan', by: 'person:x' })
    const ended = await refusalOf(() => stageOf(rig)(known))
    expect([ended.code, ended.reasons]).toEqual(['task.ended', ['the task was revoked']])
  })

  it('ends it when its time has passed, once, though two calls come together', async () => {
    const rig = taskRig()
    rig.state.openTask(sketchRow())
    rig.now = noon + 30 * minute
    const stage = stageOf(rig)
    const both = await Promise.all([refusalOf(() => stage(known)), refusalOf(() => stage(known))])
    expect(both.map(({ code }) => code)).toEqual(['task.ended', 'task.ended'])
    expect(rig.ended).toEqual([`${known} expired`])
    expect(rig.events.map(({ kind, by }) => [kind, by])).toEqual([['task.expired', 'clock']])
  })

  it('is refused early when its calls are spent', async () => {
    const rig = taskRig()
    const row = sketchRow({ intent: sketchIntent({ budget: { calls: 1 } }) })
    rig.state.openTask(row)
    rig.state.mint(mintOn(rig.state, row, noon))
    expect((await refusalOf(() => stageOf(rig)(known))).code).toBe('task.budget')
  })

  it('finds the task revoked once its agent is registered for less', async () => {
    const rig = taskRig()
    rig.state.openTask(sketchRow())
    const stage = stageOf(rig)
    expect(await stage(known)).toMatchObject({ row: { id: known } })
    rig.registry = agentRegistry([sketchAgent({ intent: sketchIntent({ tools: ['crm.order.read'] }) })])
    expect((await refusalOf(() => stage(known))).code).toBe('task.ended')
    expect(rig.ended).toEqual([`${known} revoked`])
    expect(rig.events.map(({ by }) => by)).toEqual(['rule:task.within-agent'])
  })
})

describe('an agent that is not live', () => {
  it.each([
    ['nobody registered', 'no agent is registered', [sketchAgent({ id: otherId })]],
    ['nobody owns', 'no owners', [sketchAgent({ owners: null })]],
    ['is suspended', 'suspended', [sketchAgent({ lifecycle: 'suspended' as const })]],
  ])('because it %s gets no task, and only the operator learns why', async (_, detail, agents) => {
    const rig = taskRig({ agents })
    rig.state.openTask(sketchRow())
    const refusal = await refusalOf(() => stageOf(rig)(known))
    expect(refusal.code).toBe('task.agent-not-live')
    expect(refusal.detail).toContain(detail)
    expect(refusal.reasons).toEqual([])
  })
})

describe('a call that names no task', () => {
  it('is refused when its agent has no implicit one', async () => {
    expect((await refusalOf(() => stageOf(taskRig())(null))).code).toBe('task.missing')
  })

  it('opens the implicit one, once for calls that come together, and says so in the ledger', async () => {
    const rig = taskRig({ agents: [implicit] })
    const stage = stageOf(rig)
    const [one, two] = await Promise.all([stage(null), stage(null)])
    expect(one.row).toMatchObject({ implicit: true, state: 'active', caller: agentId, intent: implicit.intent })
    expect(two.row.id).toBe(one.row.id)
    expect(rig.events).toMatchObject([{ kind: 'task.opened', task: one.row.id, by: agentId, detail: { implicit: true } }])
    expect(rig.questions).toMatchObject([{ action: 'open', intent: implicit.intent }])
    expect(stage(null)).toMatchObject({ row: { id: one.row.id } })
  })

  it('is refused when policy does not open one', async () => {
    const rig = taskRig({ agents: [implicit] })
    rig.verdict = { effect: 'deny', reasons: [{ rule: 'task.x', message_agent: 'not today' }] }
    const refusal = await refusalOf(() => stageOf(rig)(null))
    expect([refusal.code, refusal.reasons, refusal.detail]).toEqual(['decide.denied', ['not today'], 'task.x'])
    expect(rig.state.tasks({})).toEqual([])
  })

  it('opens nothing that the ledger does not hold', async () => {
    const rig = taskRig({ agents: [implicit] })
    rig.ledger = 'full'
    await expect((async () => stageOf(rig)(null))()).rejects.toThrow('the ledger is full')
    expect(rig.state.tasks({})).toEqual([])
    rig.ledger = 'writable'
    expect(await stageOf(rig)(null)).toMatchObject({ row: { implicit: true } })
  })

  it('slides the implicit task up to its hard maximum, at most once a second, and gets a new one after', async () => {
    const rig = taskRig({ agents: [implicit] })
    const stage = stageOf(rig)
    const { row } = await stage(null)
    rig.now += 999
    await stage(null)
    expect(rig.state.task(row.id)?.expires).toBe(noon + 30 * minute)
    rig.now = noon + 20 * minute
    await stage(null)
    expect(rig.state.task(row.id)?.expires).toBe(noon + 50 * minute)
    rig.now = noon + 45 * minute
    await stage(null)
    expect(rig.state.task(row.id)?.expires).toBe(noon + 60 * minute)
    rig.now = noon + 60 * minute
    const next = await stage(null)
    expect(next.row.id).not.toBe(row.id)
    expect(rig.ended).toEqual([`${row.id} expired`])
  })

  it('must name the explicit task that is open, also when it is paused', async () => {
    const rig = taskRig({ agents: [implicit] })
    const stage = stageOf(rig)
    await stage(null)
    rig.state.openTask(sketchRow())
    expect((await refusalOf(() => stage(null))).code).toBe('task.missing')
    rig.state.pauseTask(known, { by: 'person', at: noon, reason: 'look' })
    expect((await refusalOf(() => stage(null))).code).toBe('task.missing')
    rig.state.endTask(known, 'completed', { at: noon, cause: 'done', by: agentId })
    expect(await stage(null)).toMatchObject({ row: { implicit: true } })
  })

  it('cannot shake off a pause of its implicit task', async () => {
    const rig = taskRig({ agents: [implicit] })
    const stage = stageOf(rig)
    const { row } = await stage(null)
    rig.state.pauseTask(row.id, { by: 'rule', at: noon, reason: 'odd' })
    expect((await refusalOf(() => stage(null))).code).toBe('task.paused')
    expect(rig.events.filter(({ kind }) => kind === 'task.opened')).toHaveLength(1)
  })

  it('is not given the task of another caller of the same pattern', async () => {
    const rig = taskRig({ agents: [sketchAgent({ id: 'spiffe://acme.example/ns/support/sa/*', implicit: { max: 60 * minute } })] })
    const stage = stageOf(rig)
    const [mine, theirs] = [await stage(null), await stage(null, otherId)]
    expect(mine.row.id).not.toBe(theirs.row.id)
    expect(theirs.row.caller).toBe(otherId)
  })
})
