/** Tasks as people see them and act on them. */
import { Refusal } from '../refusal.ts'
import type { State, TaskRow, TaskState } from '../state/state.ts'
import type { Tasks } from '../task/tasks.ts'
import { problem, type Answer } from './answer.ts'
import { wordsOf, type Noun, type Words } from './noun.ts'
import { treeOf } from './task-tree.ts'

const states: readonly TaskState[] = ['pending', 'active', 'paused', 'completed', 'revoked', 'expired']

/** `/v1/tasks`: whoever paused, a person may lift it. Throws task.unknown for a task that never was. */
export function taskNoun(state: State, tasks: Tasks): Noun {
  const known = async (id: string): Promise<TaskRow> => {
    const row = await state.task(id)
    if (row === null) throw new Refusal('task.unknown')
    return row
  }
  const verbs: Readonly<Record<string, (id: string, words: Words) => Promise<TaskRow>>> = {
    pause: async (id, { by, reason }) => tasks.pause(await known(id), { kind: 'person', name: `person:${by}` }, reason),
    resume: async (id, { by }) => tasks.resumeByPerson(await known(id), `person:${by}`),
    complete: async (id, { by, reason }) => tasks.complete(await known(id), { kind: 'person', name: `person:${by}` }, reason),
  }
  return async ({ method, path: [id, verb, ...rest], query, who, body }) => {
    if (rest.length > 0) return null
    if (method === 'GET' && id === undefined) return list(query, state)
    if (method === 'GET' && id === 'tree' && verb === undefined) return trees(state)
    if (method === 'GET' && id !== undefined && verb === 'tree') return { status: 200, json: await treeOf(state, await known(id)) }
    if (method === 'GET' && verb === undefined && id !== undefined) return { status: 200, json: shown(await known(id)) }
    const act = verb !== undefined && Object.hasOwn(verbs, verb) ? verbs[verb] : undefined
    if (method !== 'POST' || id === undefined || act === undefined) return null
    const words = wordsOf({ who }, await body())
    if (words === null) return problem(400, 'the body must be {"reason": …, "by": …}')
    return { status: 200, json: shown(await act(id, words)) }
  }
}

/** The live trees, by their roots. */
async function trees(state: State): Promise<Answer> {
  const live = [...(await state.tasks({ state: 'active', limit: 500 })), ...(await state.tasks({ state: 'paused', limit: 500 }))]
  const roots = live.filter(({ parent }) => parent === null).toSorted((a, b) => b.opened - a.opened)
  return { status: 200, json: { trees: await Promise.all(roots.slice(0, 500).map((row) => treeOf(state, row))) } }
}

async function list(query: URLSearchParams, tasks: Pick<State, 'tasks'>): Promise<Answer> {
  const asked = query.get('state')
  const state = states.find((one) => one === asked)
  if (asked !== null && state === undefined) return problem(400, `state is one of ${states.join(', ')}`)
  const caller = query.get('caller')
  const rows = await tasks.tasks({ ...(state ? { state } : {}), ...(caller === null ? {} : { caller }), limit: 500 })
  return { status: 200, json: { tasks: rows.map((row) => shown(row)) } }
}

/** A task as people see it: no sealed token, times as text. */
function shown(row: TaskRow): unknown {
  const { subjectToken: _sealed, session: _proof, ...rest } = row
  const time = (ms: number): string => new Date(ms).toISOString()
  return {
    ...rest,
    opened: time(row.opened),
    expires: time(row.expires),
    limit: time(row.limit),
    paused: row.paused && { ...row.paused, at: time(row.paused.at) },
    ended: row.ended && { ...row.ended, at: time(row.ended.at) },
  }
}
