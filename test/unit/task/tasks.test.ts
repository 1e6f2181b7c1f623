import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { Refusal } from '../../../src/refusal.ts'
import { Secret } from '../../../src/secret.ts'
import { makeSeal } from '../../../src/state/seal.ts'
import type { GrantRow } from '../../../src/state/grants.ts'
import type { TaskRow } from '../../../src/state/state.ts'
import { watchExpiry } from '../../../src/task/clock.ts'
import type { Actor } from '../../../src/task/events.ts'
import {
  agentId,
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
import { answerOf, sketchApproval } from '../../support/approvals.ts'

const agent = sketchAgent()
const byAgent: Actor = { kind: 'agent', name: agentId }
const byPerson: Actor = { kind: 'person', name: 'person:oncall' }
const subject = { subject: 'u1', issuer: 'https://login.acme.example', token: new Secret('subject-token') }

function open(rig: TaskRig, change: Partial<Parameters<TaskRig['tasks']['open']>[0]> = {}): Promise<TaskRow> {
  return rig.tasks.open({
    caller: sketchCaller(),
    agent,
    intent: sketchIntent(),
    ttl: 10 * minute,
    subject: null,
    implicit: false,
    ...change,
  })
}

async function codeOf(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt
    return 'done'
  } catch (error) {
    return error instanceof Refusal ? error.code : String(error)
  }
}

describe('a task that was opened under an approval', () => {
  const opening = {
    caller: sketchCaller(),
    agent: sketchAgent(),
    intent: sketchIntent(),
    ttl: minute,
    subject: null,
    implicit: false,
  } as const

  it('is no task when the approval is taken back while its opening is written', async () => {
    const rig = taskRig()
    rig.verdict = { effect: 'ask', reasons: [] }
    rig.askPeople = async (_question, _verdict, asker) => {
      rig.state.approvals.open(sketchApproval({ matter: 'task-open', task: null, state: 'approved', granted: noon }))
      const used = rig.state.approvals.spend('a_1', noon, asker.opens)
      if (used === null) throw new Error('not used')
      rig.state.approvals.close('a_1', 'withdrawn', { at: noon, by: 'person:ben', reason: 'no' })
      return used
    }
    expect(await codeOf(rig.tasks.open(opening))).toBe('approve.declined')
    expect(rig.state.tasks({ state: 'active' })).toEqual([])
    expect(rig.events.map(({ kind, by }) => [kind, by])).toEqual([
      ['task.opened', agentId],
      ['task.revoked', 'person:ben'],
    ])
  })

  it('says in the ledger who let it be opened', async () => {
    const rig = taskRig()
    rig.verdict = { effect: 'ask', reasons: [] }
    rig.askPeople = async () => sketchApproval({ answers: [answerOf({ by: 'person:ada', breakGlass: true })] })
    await rig.tasks.open(opening)
    expect(rig.events[0]?.detail).toMatchObject({ approval: 'a_1', approved_by: ['person:ada'], break_glass: true })
  })

  it('is not asked about for an agent that is not live', async () => {
    const rig = taskRig()
    rig.verdict = { effect: 'ask', reasons: [] }
    rig.askPeople = async () => Promise.reject(new Error('somebody was asked'))
    expect(await codeOf(rig.tasks.open({ ...opening, agent: sketchAgent({ lifecycle: 'suspended' }) }))).toBe('task.agent-not-live')
  })
})

describe('opening a task', () => {
  it('binds it to its caller and says in the ledger for whom and for what', async () => {
    const rig = taskRig()
    const row = await open(rig, { subject })
    expect(rig.state.task(row.id)).toEqual(row)
    expect(row).toMatchObject({ caller: agentId, state: 'active', expires: noon + 10 * minute, root: 'user:u1', session: 'sha256:00' })
    expect(rig.events).toMatchObject([
      { kind: 'task.opened', task: row.id, caller: agentId, by: agentId, detail: { root: 'user:u1', tools: ['crm.*', 'mail.send'] } },
    ])
    expect(JSON.stringify(rig.events)).not.toContain('subject-token')
  })

  it('is refused to an agent that is not live, before policy is asked', async () => {
    const rig = taskRig()
    expect(await codeOf(open(rig, { agent: sketchAgent({ owners: null }) }))).toBe('task.agent-not-live')
    expect(rig.questions).toEqual([])
  })

  it('is bounded per caller', async () => {
    const rig = taskRig({ openPerCaller: 2 })
    const first = await open(rig)
    await open(rig)
    expect(await codeOf(open(rig))).toBe('listen.overloaded')
    expect(await codeOf(open(rig, { caller: sketchCaller(otherId) }))).toBe('done')
    await rig.tasks.complete(first, byAgent, 'done')
    expect(await codeOf(open(rig))).toBe('done')
  })

  it('is bounded per caller, also when many are opened at once', async () => {
    const rig = taskRig({ openPerCaller: 2 })
    const codes = await Promise.all([1, 2, 3, 4].map(() => codeOf(open(rig))))
    expect(codes.toSorted()).toEqual(['done', 'done', 'listen.overloaded', 'listen.overloaded'])
    expect(rig.state.activeTasks(agentId)).toHaveLength(2)
  })

  it('keeps a subject token sealed, and erases it when the task ends', async () => {
    const rig = taskRig({ seal: makeSeal(randomBytes(32)) })
    const row = await open(rig, { subject })
    expect(row.subjectToken).not.toContain('subject-token')
    expect(rig.tasks.subjectToken(row)?.reveal()).toBe('subject-token')
    const after = await rig.tasks.complete(row, byAgent, 'done')
    expect(after.subjectToken).toBeNull()
    expect(rig.tasks.subjectToken(after)).toBeNull()
  })

  it('without a seal keeps a subject token in memory only', async () => {
    const rig = taskRig()
    const row = await open(rig, { subject })
    expect(row.subjectToken).toBeNull()
    expect(rig.tasks.subjectToken(row)?.reveal()).toBe('subject-token')
    await rig.tasks.complete(row, byAgent, 'done')
    expect(rig.tasks.subjectToken(row)).toBeNull()
  })
})

describe('an agent', () => {
  it('resumes its own pause, judged again, in its present session', async () => {
    const rig = taskRig()
    const row = await rig.tasks.pause(await open(rig), byAgent, 'waiting for mail')
    const resumed = await rig.tasks.resume(row, { caller: { ...sketchCaller(), proof: 'sha256:11' }, agent: agent })
    expect(resumed).toMatchObject({ state: 'active', paused: null, session: 'sha256:11' })
    expect(rig.questions.map(({ action, id }) => [action, id])).toEqual([
      ['open', undefined],
      ['resume', row.id],
    ])
    expect(rig.events.map(({ kind }) => kind)).toEqual(['task.opened', 'task.paused', 'task.resumed'])
  })

  it('that asks twice at once is resumed once, and both times told that it runs', async () => {
    const rig = taskRig()
    const row = await rig.tasks.pause(await open(rig), byAgent, 'waiting for mail')
    const both = await Promise.all([1, 2].map(() => rig.tasks.resume(row, { caller: sketchCaller(), agent: agent })))
    expect(both.map(({ state }) => state)).toEqual(['active', 'active'])
    expect(rig.events.map(({ kind }) => kind)).toEqual(['task.opened', 'task.paused', 'task.resumed'])
  })

  it('stays paused when policy says no, or when it is no longer live', async () => {
    const rig = taskRig()
    const row = await rig.tasks.pause(await open(rig), byAgent, 'waiting')
    rig.verdict = { effect: 'ask', reasons: [] }
    expect(await codeOf(rig.tasks.resume(row, { caller: sketchCaller(), agent: agent }))).toBe('approve.required')
    rig.verdict = { effect: 'allow', reasons: [] }
    expect(await codeOf(rig.tasks.resume(row, { caller: sketchCaller(), agent: sketchAgent({ lifecycle: 'suspended' }) }))).toBe(
      'task.agent-not-live',
    )
    expect(rig.state.task(row.id)?.state).toBe('paused')
  })

  it.each(['person', 'rule'] as const)('neither resumes nor ends a task that a %s paused', async (kind) => {
    const rig = taskRig()
    const row = await rig.tasks.pause(await open(rig), { kind, name: `${kind}:x` }, 'look into it')
    expect(await codeOf(rig.tasks.resume(row, { caller: sketchCaller(), agent: agent }))).toBe('task.paused')
    expect(await codeOf(rig.tasks.complete(row, byAgent, 'done'))).toBe('task.paused')
    expect(rig.state.task(row.id)?.state).toBe('paused')
    expect(rig.events.map(({ kind: event }) => event)).toEqual(['task.opened', 'task.paused'])
    expect((await rig.tasks.resumeByPerson(row, 'person:oncall')).state).toBe('active')
  })

  it('cannot turn a pause by a person into one of its own', async () => {
    const rig = taskRig()
    const row = await open(rig)
    await rig.tasks.pause(row, byPerson, 'look into it')
    expect(await codeOf(rig.tasks.pause(row, byAgent, 'mine'))).toBe('task.paused')
    expect(rig.state.task(row.id)?.paused?.by).toBe('person')
  })

  it('cannot lift a pause that a person took over from it', async () => {
    const rig = taskRig()
    const row = await rig.tasks.pause(await open(rig), byAgent, 'waiting')
    const taken = await rig.tasks.pause(row, byPerson, 'look into it')
    for (const seen of [row, taken])
      expect(await codeOf(rig.tasks.resume(seen, { caller: sketchCaller(), agent: agent }))).toBe('task.paused')
    expect(rig.state.task(row.id)?.paused?.by).toBe('person')
  })

  it('cannot resume what ended or ran out while it was paused', async () => {
    const rig = taskRig()
    const row = await rig.tasks.pause(await open(rig), byAgent, 'waiting')
    rig.now = row.expires
    expect(await codeOf(rig.tasks.resume(row, { caller: sketchCaller(), agent: agent }))).toBe('task.ended')
    expect(await codeOf(rig.tasks.resumeByPerson(row, 'person:oncall'))).toBe('task.ended')
  })
})

describe('ending a task', () => {
  it('happens once: what comes second is told that it ended', async () => {
    const rig = taskRig()
    const row = await open(rig)
    const codes = await Promise.all([rig.tasks.complete(row, byAgent, 'done'), rig.tasks.revoke(row, byPerson, 'stop')].map(codeOf))
    expect(codes).toEqual(['done', 'task.ended'])
    expect(rig.ended).toEqual([`${row.id} completed`])
    expect(await codeOf(rig.tasks.pause(row, byPerson, 'late'))).toBe('task.ended')
  })

  it('has what is open of it judged again when it is paused, also when the ledger is full', async () => {
    const rig = taskRig()
    const row = await open(rig)
    rig.ledger = 'full'
    expect(await codeOf(rig.tasks.pause(row, byPerson, 'look'))).toContain('the ledger is full')
    expect(rig.paused).toEqual([`${row.id} paused`])
  })

  it('ends it and takes its leases back also when the ledger is full', async () => {
    const rig = taskRig()
    const row = await open(rig)
    rig.ledger = 'full'
    expect(await codeOf(rig.tasks.revoke(row, byPerson, 'stop'))).toContain('the ledger is full')
    expect(rig.state.task(row.id)?.state).toBe('revoked')
    expect(rig.ended).toEqual([`${row.id} revoked`])
  })

  it('never resumes a task whose resumption the ledger does not hold', async () => {
    const rig = taskRig()
    const row = await rig.tasks.pause(await open(rig), byAgent, 'waiting')
    rig.ledger = 'full'
    expect(await codeOf(rig.tasks.resume(row, { caller: sketchCaller(), agent: agent }))).toContain('the ledger is full')
    expect(rig.state.task(row.id)?.state).toBe('paused')
  })

  it('a pause needs a reason that is safe to show', async () => {
    const rig = taskRig()
    const row = await open(rig)
    for (const reason of ['', '\u001b[31m', 'a\nb', 'x'.repeat(501)])
      expect(await codeOf(rig.tasks.pause(row, byAgent, reason))).toBe('match.body')
  })
})

describe('the expiry sweep', () => {
  it('ends every overdue task, paused ones too, and leaves the others', async () => {
    const rig = taskRig()
    const late = await open(rig, { ttl: minute })
    const paused = await rig.tasks.pause(await open(rig, { ttl: minute }), byPerson, 'look')
    const young = await open(rig)
    const failures: unknown[] = []
    const watch = watchExpiry({
      state: rig.state,
      clock: rig.clock,
      every: 3_600_000,
      expire: (row) => rig.tasks.expire(row),
      expireGrant: (grant) => rig.delegation.expire(grant),
      failed: (error) => failures.push(error),
    })
    await watch.sweep()
    expect(rig.ended).toEqual([])
    rig.now = noon + minute
    await Promise.all([watch.sweep(), watch.sweep()])
    watch.stop()
    expect(rig.ended).toEqual([`${late.id} expired`, `${paused.id} expired`])
    expect(rig.state.task(young.id)?.state).toBe('active')
    expect(failures).toEqual([])
  })

  it('tells what failed and goes on with the next', async () => {
    const rig = taskRig()
    rig.state.openTask(sketchRow({ id: 't_a' }))
    rig.state.openTask(sketchRow({ id: 't_b' }))
    rig.now = noon + 30 * minute
    const failures: string[] = []
    const expire = async (row: TaskRow): Promise<void> => {
      if (row.id === 't_a') throw new Error('no')
      await rig.tasks.expire(row)
    }
    const expireGrant = (grant: GrantRow): Promise<void> => rig.delegation.expire(grant)
    const failed = (_: unknown, task: string): number => failures.push(task)
    const watch = watchExpiry({ state: rig.state, clock: rig.clock, every: 3_600_000, expire, expireGrant, failed })
    await watch.sweep()
    watch.stop()
    expect(failures).toEqual(['t_a'])
    expect(rig.state.overdueTasks(rig.now).map(({ id }) => id)).toEqual(['t_a'])
  })
})
