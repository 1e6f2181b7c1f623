/** Tasks as people see them and act on them. */
import { belonging, time } from '../agent-api/view.ts'
import type { State, TaskFacts, TaskRow, TaskState } from '../state/state.ts'
import { Refusal } from '../refusal.ts'
import type { Agent, AgentRegistry } from '../task/agents.ts'
import { left } from '../task/budget.ts'
import type { Actor } from '../task/events.ts'
import { named } from '../task/question.ts'
import type { Tasks } from '../task/tasks.ts'
import type { TaskTokens } from '../task/token.ts'
import { problem, type Answer } from './answer.ts'
import { wordsOf, type Noun, type SignedIn, type Words } from './noun.ts'
import { treeOf } from './task-tree.ts'

type TaskAct = (row: TaskRow, words: Words) => Promise<TaskRow>

const states: readonly TaskState[] = ['pending', 'active', 'paused', 'completed', 'revoked', 'expired']

type View = (row: TaskRow) => Readonly<Record<string, unknown>>

export interface TaskNounOptions {
  readonly state: State
  readonly tasks: Tasks
  readonly tokens: Pick<TaskTokens, 'issue'>
  /** The agents of the configuration in force. */
  readonly agents: () => AgentRegistry
  /** Epoch ms. */
  readonly clock: () => number
}

/**
 * `/v1/tasks`: whoever paused, a person may lift it; a person opens a task for an agent, and takes one back.
 */
export function taskNoun(options: TaskNounOptions): Noun {
  const { state, tasks } = options
  const verbs: Readonly<Record<string, TaskAct>> = taskActs(tasks)
  const view: View = (row) => shown(row, state.facts(row.id, row.caller).task, tasks)
  return async ({ method, path: [id, verb, ...rest], query, who, body }) => {
    if (rest.length > 0) return null
    if (method === 'GET' && id === undefined) return list(query, state, view)
    if (method === 'POST' && id === undefined) return open(await body(), who, options, view)
    if (method === 'GET' && id === 'tree' && verb === undefined) return trees(state)
    if (id === undefined) return null
    if (method === 'GET' && verb === 'tree') return treeNoun(state, id)
    const act = verb !== undefined && Object.hasOwn(verbs, verb) ? verbs[verb] : undefined
    if (method === 'GET' ? verb !== undefined : method !== 'POST' || act === undefined) return null
    const words = act === undefined ? null : wordsOf({ who }, await body())
    if (act !== undefined && words === null) return problem(400, 'the body must be {"reason": …, "by": …}')
    const row = await state.task(id)
    if (row === null) return problem(404, 'no such task')
    return { status: 200, json: view(act === undefined || words === null ? row : await act(row, words)) }
  }
}

/** What a person does to a task that is there. */
export function taskActs(tasks: Tasks): Readonly<Record<'pause' | 'resume' | 'complete' | 'revoke', TaskAct>> {
  const actor = ({ by, method }: Words): Actor => ({ kind: 'person', name: `person:${by}`, method })
  return {
    pause: (row, words) => tasks.pause(row, actor(words), words.reason),
    resume: (row, { by, method }) => tasks.resumeByPerson(row, `person:${by}`, method),
    complete: (row, words) => tasks.complete(row, actor(words), words.reason),
    revoke: (row, words) => tasks.revoke(row, actor(words), words.reason),
  }
}

/** Opens a task for a workload in the name of a person. Throws a Refusal with why not; what is asked stands beside `agent`. */
export async function openTask(
  caller: string,
  asked: Readonly<Record<string, unknown>>,
  { by, reason, method }: Words,
  { tasks, agents }: Pick<TaskNounOptions, 'tasks' | 'agents'>,
): Promise<TaskRow> {
  const agent = registered(caller, agents())
  if (agent === null) throw new Refusal('task.unknown', { reasons: [unregistered] })
  const { intent, ttl } = tasks.narrowed(asked, agent)
  const opener = { kind: 'person', name: `person:${by}`, method } as const
  return tasks.open({ caller: named(caller), agent, intent, ttl, subject: null, implicit: false, opener, reason })
}

/** The registration of one workload; null when there is none, and for a pattern, which is nobody. */
export function registered(caller: string, agents: AgentRegistry): Agent | null {
  return caller.includes('*') ? null : agents.find(caller)
}

export const unregistered = 'no agent is registered for that SPIFFE ID'

/** `{"agent": …, "purpose": …, "reason": …}` and what else a task is asked with: within what the agent was registered for, and judged. */
async function open(body: Readonly<Record<string, unknown>> | null, who: SignedIn, options: TaskNounOptions, view: View): Promise<Answer> {
  const words = wordsOf({ who }, body)
  const { agent: id, reason: _reason, by: _by, ...asked } = body ?? {}
  if (words === null || typeof id !== 'string') return problem(400, 'the body must be {"agent": …, "purpose": …, "reason": …, "by": …}')
  if (registered(id, options.agents()) === null) return problem(404, unregistered)
  const row = await openTask(id, asked, words, options)
  return { status: 201, json: { ...view(row), token: await options.tokens.issue(row, options.clock()) } }
}

/** The tree of one task. */
async function treeNoun(state: State, id: string): Promise<Answer> {
  const row = await state.task(id)
  return row === null ? problem(404, 'no such task') : { status: 200, json: await treeOf(state, row) }
}

/** The live trees, by their roots. */
async function trees(state: State): Promise<Answer> {
  const live = [...(await state.tasks({ state: 'active', limit: 500 })), ...(await state.tasks({ state: 'paused', limit: 500 }))]
  const roots = live.filter(({ parent }) => parent === null).toSorted((a, b) => b.opened - a.opened)
  return { status: 200, json: { trees: await Promise.all(roots.slice(0, 500).map((row) => treeOf(state, row))) } }
}

async function list(query: URLSearchParams, tasks: Pick<State, 'tasks'>, view: View): Promise<Answer> {
  const asked = query.get('state')
  const state = states.find((one) => one === asked)
  if (asked !== null && state === undefined) return problem(400, `state is one of ${states.join(', ')}`)
  const caller = query.get('caller')
  const rows = await tasks.tasks({ ...(state ? { state } : {}), ...(caller === null ? {} : { caller }), limit: 500 })
  return { status: 200, json: { tasks: rows.map(view) } }
}

/** A task as people see it: no sealed token, times as text. */
function shown(row: TaskRow, facts: TaskFacts, { sessions }: Tasks): Readonly<Record<string, unknown>> {
  const { subjectToken: _sealed, session: _proof, openedBy, judged, correlation: _shown, ...rest } = row
  return {
    ...rest,
    openedBy: openedBy ?? row.caller,
    judged: time(judged ?? row.opened),
    spent: facts.spent,
    left: left(row.intent.budget, facts.spent),
    ...belonging(row, facts),
    /** Why a session of its caller waits for a person before it may go on. */
    waiting: sessions.heldOf(row.id)?.cause ?? null,
    opened: time(row.opened),
    expires: time(row.expires),
    limit: time(row.limit),
    paused: row.paused && { ...row.paused, at: time(row.paused.at) },
    ended: row.ended && { ...row.ended, at: time(row.ended.at) },
  }
}
