import { describe, expect, it } from 'vitest'
import type { Caller } from '../../../src/identify/identify.ts'
import { Refusal } from '../../../src/refusal.ts'
import type { TaskRow } from '../../../src/state/state.ts'
import { makeDue, type GoOnRules } from '../../../src/task/going-on.ts'
import { sessionOf, Sessions, type SessionRule } from '../../../src/task/session.ts'
import { named } from '../../../src/task/question.ts'
import { agentId, minute, noon, sketchAgent, sketchCaller, sketchIntent, taskRig, mintOn, type TaskRig } from '../../support/task-rig.ts'

const agent = sketchAgent()
const proofs: GoOnRules = { session: { by: 'proof', claims: [] }, idle: 5 * minute, policy: true }
const one = sketchCaller()
const two: Caller = { ...one, proof: 'sha256:11' }

function open(rig: TaskRig): Promise<TaskRow> {
  return rig.tasks.open({ caller: one, agent, intent: sketchIntent(), ttl: 20 * minute, subject: null, implicit: false })
}

/** Goes on with a task as the stage does; gives what came of it and why it was judged. */
async function use(rig: TaskRig, id: string, caller: Caller, rules = proofs, revision = 'r1'): Promise<string> {
  const due = makeDue({ rules, sessions: rig.tasks.sessions, state: rig.state, revision: () => revision })
  const row = rig.state.task(id)
  if (row === null) return 'none'
  const cause = due(row, caller, rig.now)
  if (cause === null) return 'as it is'
  try {
    await rig.tasks.goOn(row, { caller, agent, due: (now) => due(now, caller, rig.now) })
    return `judged: ${cause}`
  } catch (error) {
    return error instanceof Refusal ? error.code : String(error)
  }
}

describe('an active task', () => {
  it('goes on as it is in the session that opened it', async () => {
    const rig = taskRig()
    const { id } = await open(rig)
    expect(await use(rig, id, one)).toBe('as it is')
    expect(rig.questions).toHaveLength(1)
  })

  it('is judged when another session uses it, once, and then both use it', async () => {
    const rig = taskRig()
    const { id } = await open(rig)
    expect(await use(rig, id, two)).toBe('judged: session')
    expect([await use(rig, id, two), await use(rig, id, one), await use(rig, id, two)]).toEqual(['as it is', 'as it is', 'as it is'])
    expect(rig.questions.slice(1)).toMatchObject([{ action: 'resume', id, cause: 'session' }])
    expect(rig.events.slice(1)).toMatchObject([{ kind: 'task.reauthorised', by: agentId, detail: { cause: 'session' } }])
  })

  it('is judged once when many calls of a new session come at once', async () => {
    const rig = taskRig()
    const { id } = await open(rig)
    const all = await Promise.all(Array.from({ length: 20 }, () => use(rig, id, two)))
    expect(new Set(all)).toEqual(new Set(['judged: session']))
    expect(rig.events.map(({ kind }) => kind)).toEqual(['task.opened', 'task.reauthorised'])
  })

  it('is judged after a silence, which a permitted call ends', async () => {
    const rig = taskRig()
    const row = await open(rig)
    rig.now = noon + 5 * minute
    expect(await use(rig, row.id, one)).toBe('as it is')
    expect(rig.state.mint(mintOn(rig.state, row, rig.now))).toEqual({ minted: true })
    rig.now = noon + 10 * minute
    expect(await use(rig, row.id, one)).toBe('as it is')
    rig.now++
    expect(await use(rig, row.id, one)).toBe('judged: idle')
    expect(await use(rig, row.id, one)).toBe('as it is')
    expect(await use(rig, row.id, one, { ...proofs, idle: null })).toBe('as it is')
  })

  it('is judged once under another policy revision, and no session is known any more', async () => {
    const rig = taskRig()
    const { id } = await open(rig)
    expect(await use(rig, id, one, proofs, 'r2')).toBe('judged: policy')
    expect(await use(rig, id, one, { ...proofs, policy: false }, 'r3')).toBe('as it is')
  })

  it.each([
    ['deny', 'task.paused'],
    ['ask', 'approve.required'],
  ] as const)('that policy answers with %s is refused with %s in that session alone, until a person says so', async (effect, code) => {
    const rig = taskRig()
    const row = await open(rig)
    rig.verdict = { effect, reasons: [{ rule: 'task.reauthorised', message_agent: 'a person must say so' }] }
    expect([await use(rig, row.id, two), await use(rig, row.id, two), await use(rig, row.id, one)]).toEqual([code, code, 'as it is'])
    expect(rig.tasks.sessions.heldOf(row.id)).toEqual({ cause: 'session', session: 'sha256:11' })
    await rig.tasks.resumeByPerson(row, 'person:oncall')
    expect([await use(rig, row.id, two), await use(rig, row.id, one)]).toEqual(['as it is', 'as it is'])
    expect(rig.tasks.sessions.heldOf(row.id)).toBeNull()
    expect(rig.events.at(-1)).toMatchObject({ kind: 'task.reauthorised', by: 'person:oncall', detail: { cause: 'session' } })
  })

  it('does not go on while the ledger cannot say so', async () => {
    const rig = taskRig()
    const { id } = await open(rig)
    rig.ledger = 'full'
    expect(await use(rig, id, two)).toContain('the ledger is full')
    expect(rig.state.task(id)?.session).toBe('sha256:00')
  })

  it('that was paused or ended meanwhile does not go on', async () => {
    const rig = taskRig()
    const row = await open(rig)
    const due = (): 'session' => 'session'
    await rig.tasks.pause(row, { kind: 'person', name: 'person:x' }, 'look')
    await expect(rig.tasks.goOn(row, { caller: two, agent, due })).rejects.toMatchObject({ code: 'task.paused' })
    await rig.tasks.revoke(row, { kind: 'person', name: 'person:x' }, 'stop')
    await expect(rig.tasks.goOn(row, { caller: two, agent, due })).rejects.toMatchObject({ code: 'task.ended' })
  })

  it('opened by somebody else is taken up by the first session of its caller, unjudged, and by no second one', async () => {
    const rig = taskRig()
    const opener = { kind: 'person', name: 'person:oncall' } as const
    const opening = { caller: named(agentId), agent, intent: sketchIntent(), ttl: minute, subject: null, implicit: false, opener }
    const row = await rig.tasks.open(opening)
    expect(row).toMatchObject({ caller: agentId, openedBy: 'person:oncall', session: null, root: 'person:oncall' })
    expect(rig.questions[0]).toMatchObject({ opener, caller: { id: agentId, method: 'none' } })
    expect(rig.events[0]).toMatchObject({ by: 'person:oncall', caller: agentId, detail: { opener: 'person' } })
    rig.verdict = { effect: 'deny', reasons: [] }
    expect((await Promise.all([use(rig, row.id, one), use(rig, row.id, two)])).sort()).toEqual(['judged: unused', 'task.paused'])
    expect(rig.state.task(row.id)?.session).toBe('sha256:00')
  })
})

describe('a session', () => {
  const rule: SessionRule = { by: 'instance', claims: ['kubernetes.io.pod.uid'] }
  const pod = (uid: string, proof: string): Caller => ({ ...one, proof, claims: { 'kubernetes.io.pod.uid': uid } })

  it('by instance outlives a renewed token, and not another pod, key, issuer or way of proving', () => {
    const first = sessionOf(pod('a', 'sha256:1'), rule)
    expect(sessionOf(pod('a', 'sha256:2'), rule)).toBe(first)
    const bound = (jkt: string): Caller => ({ ...pod('a', 'sha256:1'), confirmation: { jkt } })
    const others = [
      pod('b', 'sha256:1'),
      bound('k1'),
      bound('k2'),
      { ...one, issuer: 'https://x.example' },
      { ...one, method: 'x509-svid' as const },
    ]
    expect(new Set([first, ...others.map((caller) => sessionOf(caller, rule))]).size).toBe(6)
    const renewed: Caller = { ...one, confirmation: { x5tS256: 'a' } }
    expect(sessionOf({ ...renewed, confirmation: { x5tS256: 'b' } }, rule)).toBe(sessionOf(renewed, rule))
  })

  it('by workload never changes, by proof with every token', () => {
    expect(sessionOf(pod('a', 'sha256:1'), { by: 'workload', claims: [] })).toBe(
      sessionOf(pod('b', 'sha256:2'), { by: 'workload', claims: [] }),
    )
    expect(sessionOf(two, { by: 'proof', claims: [] })).not.toBe(sessionOf(one, { by: 'proof', claims: [] }))
  })

  it('is forgotten with its task, and the memory of sessions is bounded', () => {
    const sessions = new Sessions()
    sessions.allow('t_1', ['s'], 'r1')
    expect([sessions.knows('t_1', 's', 'r1'), sessions.knows('t_1', 's', 'r2'), sessions.knows('t_2', 's', 'r1')]).toEqual([
      true,
      false,
      false,
    ])
    for (let at = 0; at < 5000; at++) sessions.hold(`t_h${at}`, { cause: 'idle', session: 's' })
    expect([sessions.heldOf('t_h0'), sessions.heldOf('t_h4999')]).toEqual([null, { cause: 'idle', session: 's' }])
    sessions.forget('t_1')
    expect(sessions.knows('t_1', 's', 'r1')).toBe(false)
  })
})
