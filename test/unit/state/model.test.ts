import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { openSqlite, type SqliteState } from '../../../src/state/sqlite.ts'
import type { PausedBy, TaskState } from '../../../src/state/state.ts'
import { agentId, mintOn, minute, noon, otherId, sketchIntent, sketchRow } from '../../support/task-rig.ts'

const window = 10 * minute
const ids = ['t_0', 't_1', 't_2', 't_3'] as const
const classes = ['public', 'internal', 'personal'] as const
const ends = ['completed', 'revoked', 'expired'] as const
const limit = 6

/** What the state must agree with, kept the simple way. */
interface ModelTask {
  state: TaskState
  pausedBy: PausedBy | null
  expires: number
  spent: number
  version: number
  readonly read: Set<string>
}

interface Model {
  now: number
  readonly tasks: Map<string, ModelTask>
  /** caller → class → when it was last read. */
  readonly callers: Map<string, Map<string, number>>
}

type Verb =
  | { readonly verb: 'open'; readonly id: string }
  | { readonly verb: 'pause' | 'resume'; readonly id: string; readonly by: PausedBy }
  | { readonly verb: 'end'; readonly id: string; readonly to: (typeof ends)[number] }
  | { readonly verb: 'mint'; readonly id: string; readonly data: readonly string[]; readonly stale: boolean }
  | { readonly verb: 'observe'; readonly id: string; readonly failed: boolean }
  | { readonly verb: 'wait'; readonly ms: number }
  | { readonly verb: 'clear'; readonly caller: string }

const id = fc.constantFrom(...ids)
const by = fc.constantFrom<PausedBy>('agent', 'person', 'rule')
const verbs: fc.Arbitrary<Verb> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ verb: fc.constant('open' as const), id }) },
  { weight: 1, arbitrary: fc.record({ verb: fc.constantFrom('pause' as const, 'resume' as const), id, by }) },
  { weight: 1, arbitrary: fc.record({ verb: fc.constant('end' as const), id, to: fc.constantFrom(...ends) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      verb: fc.constant('mint' as const),
      id,
      data: fc.subarray([...classes]),
      stale: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ verb: fc.constant('observe' as const), id, failed: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ verb: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 4 * minute }) }) },
  { weight: 1, arbitrary: fc.record({ verb: fc.constant('clear' as const), caller: fc.constantFrom(agentId, otherId) }) },
)

/** The first two tasks are of one caller, the others of another. */
function callerOf(task: string): string {
  return task < 't_2' ? agentId : otherId
}

function step(model: Model, state: SqliteState, verb: Verb): void {
  if (verb.verb === 'wait') {
    model.now += verb.ms
    return
  }
  if (verb.verb === 'clear') return clear(model, state, verb.caller)
  const task = model.tasks.get(verb.id)
  switch (verb.verb) {
    case 'open':
      if (task === undefined) open(model, state, verb.id)
      return
    case 'pause': {
      const paused = state.pauseTask(verb.id, { by: verb.by, at: model.now, reason: 'r' })
      const takenOver = task?.state === 'paused' && task.pausedBy === 'agent' && verb.by !== 'agent'
      expect(paused !== null).toBe(task?.state === 'active' || takenOver)
      if (task && paused) [task.state, task.pausedBy] = ['paused', verb.by]
      return
    }
    case 'resume': {
      const liftable: PausedBy[] = verb.by === 'agent' ? ['agent'] : ['agent', 'person', 'rule']
      const resumed = state.resumeTask(verb.id, liftable, {})
      expect(resumed !== null).toBe(task?.state === 'paused' && task.pausedBy !== null && liftable.includes(task.pausedBy))
      if (task && resumed) [task.state, task.pausedBy] = ['active', null]
      return
    }
    case 'end': {
      const after = state.endTask(verb.id, verb.to, { at: model.now, cause: 'c', by: 'b' })
      expect(after !== null).toBe(task?.state === 'active' || task?.state === 'paused')
      if (task && after) task.state = verb.to
      return
    }
    case 'mint':
      return mint(model, state, verb.id, verb.data, verb.stale)
    case 'observe':
      state.observe(verb.id, { failed: verb.failed })
  }
}

function open(model: Model, state: SqliteState, task: string): void {
  const expires = model.now + 5 * minute
  state.openTask(
    sketchRow({ id: task, caller: callerOf(task), expires, limit: expires, intent: sketchIntent({ budget: { calls: limit } }) }),
  )
  model.tasks.set(task, { state: 'active', pausedBy: null, expires, spent: 0, version: 0, read: new Set() })
}

function mint(model: Model, state: SqliteState, task: string, data: readonly string[], stale: boolean): void {
  const caller = callerOf(task)
  const request = mintOn(state, { id: task, caller }, model.now, { data })
  const seen = stale ? { ...request.seen, task: request.seen.task - 1 } : request.seen
  const answer = state.mint({ ...request, seen })
  const kept = model.tasks.get(task)
  expect(answer.minted ? 'minted' : answer.why).toBe(expected(kept, model.now, stale))
  if (!answer.minted || kept === undefined) return
  kept.spent++
  for (const name of data) {
    if (name === 'public') continue
    kept.read.add(name)
    const own = model.callers.get(caller) ?? new Map<string, number>()
    model.callers.set(caller, own.set(name, model.now))
  }
}

function expected(task: ModelTask | undefined, now: number, stale: boolean): string {
  if (task === undefined) return 'task.unknown'
  if (task.state === 'paused') return 'task.paused'
  if (task.state !== 'active' || task.expires <= now) return 'task.ended'
  if (stale) return 'stale'
  return task.spent >= limit ? 'task.budget' : 'minted'
}

function clear(model: Model, state: SqliteState, caller: string): void {
  state.clearSensitivity(caller)
  model.callers.delete(caller)
  for (const [task, kept] of model.tasks) {
    if (callerOf(task) === caller && (kept.state === 'active' || kept.state === 'paused')) kept.read.clear()
  }
}

/** Ended stays ended, versions grow, budgets hold, and nothing that was read is forgotten before its time. */
function agree(model: Model, state: SqliteState): void {
  for (const [task, kept] of model.tasks) {
    expect(state.task(task)?.state).toBe(kept.state)
    const facts = state.facts(task, callerOf(task))
    expect(facts.task.version).toBeGreaterThanOrEqual(kept.version)
    kept.version = facts.task.version
    expect(facts.task.spent['calls'] ?? 0).toBe(kept.spent)
    expect([...facts.task.sensitivity]).toEqual([...kept.read].sort())
    const own = model.callers.get(callerOf(task)) ?? new Map<string, number>()
    for (const name of classes) {
      const read = own.get(name)
      const stays = name in facts.caller.sensitivity
      if (read === undefined) expect(stays).toBe(false)
      else if (model.now - read < window) expect(stays).toBe(true)
      else if (model.now - read >= window + 1000) expect(stays).toBe(false)
    }
  }
}

it('agrees with a simple model whatever is done to tasks, in whatever order, also over a flush', () => {
  fc.assert(
    fc.property(fc.array(verbs, { maxLength: 60 }), (story) => {
      const model: Model = { now: noon, tasks: new Map(), callers: new Map() }
      const state = openSqlite({ path: ':memory:', clock: () => model.now, memory: window })
      for (const [at, verb] of story.entries()) {
        step(model, state, verb)
        if (at % 7 === 0) state.flush()
        agree(model, state)
      }
      state.close()
    }),
    { numRuns: 300 },
  )
})

it('never lets two decisions on the same facts both through, whatever came before', () => {
  fc.assert(
    fc.property(fc.array(verbs, { maxLength: 20 }), (story) => {
      const model: Model = { now: noon, tasks: new Map(), callers: new Map() }
      const state = openSqlite({ path: ':memory:', clock: () => model.now, memory: window })
      for (const verb of story) step(model, state, verb)
      for (const task of ids) {
        const request = mintOn(state, { id: task, caller: callerOf(task) }, model.now)
        const answers = [state.mint(request), state.mint(request)]
        expect(answers.filter(({ minted }) => minted).length).toBeLessThan(2)
        if (answers[0]?.minted === true) expect(answers[1]).toMatchObject({ why: 'stale' })
      }
      state.close()
    }),
    { numRuns: 200 },
  )
})
