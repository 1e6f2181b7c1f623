/** The part of the page where people see tasks, and pause, resume and end them. */
import { Refusal } from '../refusal.ts'
import type { OfTask } from '../record/of-task.ts'
import type { State, TaskRow } from '../state/state.ts'
import type { Tasks } from '../task/tasks.ts'
import type { TaskTokens } from '../task/token.ts'
import type { Answer } from './answer.ts'
import type { Desk } from './desk.ts'
import type { SignedIn } from './noun.ts'
import { allows } from './roles.ts'
import { tasksPage } from './task-html.ts'
import { taskPage } from './task-sheet-html.ts'
import { treeOf } from './task-tree.ts'
import { timelineOf } from './timeline.ts'
import { taskActs } from './tasks.ts'
import { lineOf, need, redirect, type Part, type Visit } from './visit.ts'

export interface TaskPartOptions {
  readonly state: State
  readonly tasks: Tasks
  readonly tokens: Pick<TaskTokens, 'issue'>
  readonly desk: Pick<Desk, 'list'>
  /** Its lines in the ledger. */
  readonly history: (row: TaskRow) => Promise<OfTask>
  /** The evidence of a task, whole, in one file; null: none is made here. */
  readonly evidence: Evidence | null
  /** Epoch ms. */
  readonly clock: () => number
}

/** Gives the evidence of a task to whoever asks for it; null: there is none of this task. */
export type Evidence = (
  task: string,
  who: SignedIn,
) => Promise<{ readonly name: string; readonly bytes: Uint8Array; readonly type: string } | null>

const verbs = ['pause', 'resume', 'complete', 'revoke'] as const
type Verb = (typeof verbs)[number]

const done: Readonly<Record<Verb, string>> = {
  pause: 'The task is paused: its calls are refused until a person resumes it.',
  resume: 'The task goes on.',
  complete: 'The task is completed.',
  revoke: 'The task is revoked.',
}

/** `/tasks`, `/tasks/<id>` and `/tasks/<id>/evidence`. */
export function taskPart(options: TaskPartOptions): Part {
  return async (visit) => {
    const { path, form } = visit
    const [, id, evidence] = /^\/tasks\/(t_[^/]+)(\/evidence)?$/.exec(path) ?? []
    if (id === undefined && path !== '/tasks') return null
    need(visit, 'tasks.list')
    if (id === undefined) return form === null ? list(visit, options) : null
    const row = await options.state.task(id)
    if (row === null) throw new Refusal('task.unknown', { reasons: ['there is no such task'] })
    if (evidence !== undefined) return form === null ? download(row, visit, options) : null
    return form === null ? sheet(row, visit, options, null) : act(row, form, visit, options)
  }
}

async function download({ id }: TaskRow, visit: Visit, { evidence }: TaskPartOptions): Promise<Answer> {
  need(visit, 'tasks.read')
  const found = (await evidence?.(id, visit.who)) ?? null
  if (found === null) throw new Refusal('task.unknown', { reasons: ['there is no evidence of this task here'] })
  const disposition = `attachment; filename="${found.name.replaceAll(/[^\w.-]/g, '_')}"`
  return { status: 200, bytes: found.bytes, type: found.type, headers: { 'content-disposition': disposition } }
}

async function list({ shell }: Visit, { state, clock }: TaskPartOptions): Promise<Answer> {
  const live = [...(await state.tasks({ state: 'active', limit: 500 })), ...(await state.tasks({ state: 'paused', limit: 500 }))]
  const ids = new Set(live.map(({ id }) => id))
  // one whose parent has ended stands by itself
  const roots = live.filter(({ parent }) => parent === null || !ids.has(parent)).toSorted((a, b) => b.opened - a.opened)
  const over: TaskRow[] = []
  for (const one of ['completed', 'revoked', 'expired'] as const) over.push(...(await state.tasks({ state: one, limit: 20 })))
  const ended = over.toSorted((a, b) => (b.ended?.at ?? 0) - (a.ended?.at ?? 0))
  const trees = await Promise.all(roots.map((row) => treeOf(state, row)))
  const last = await Promise.all(ended.slice(0, 20).map((row) => treeOf(state, row)))
  return tasksPage({ trees, ended: last.map((node) => ({ ...node, children: [] })), now: clock() }, shell)
}

type Typed = Parameters<typeof taskPage>[2]

async function sheet(
  row: TaskRow,
  { shell, query }: Visit,
  { state, tasks, tokens, desk, history, evidence, clock }: TaskPartOptions,
  typed: Typed,
): Promise<Answer> {
  const now = clock()
  const mayOpen = allows(shell.roles, 'tasks.open') && row.ended === null
  const { lines, more } = await history(row)
  const about = {
    row,
    timeline: { moments: timelineOf(lines, row.id), more },
    only: query.get('only'),
    brought: state.facts(row.id, row.caller).task.brought,
    leases: await state.leases({ task: row.id, states: ['live', 'revoking'] }),
    evidence: evidence !== null,
    tree: await treeOf(state, row),
    approvals: await desk.list({ task: row.id }),
    waiting: tasks.sessions.heldOf(row.id)?.cause ?? null,
    token: mayOpen ? await tokens.issue(row, now) : null,
    now,
  }
  return taskPage(about, shell, typed)
}

async function act(row: TaskRow, form: URLSearchParams, visit: Visit, options: TaskPartOptions): Promise<Answer> {
  const verb = verbs.find((one) => one === form.get('verb'))
  need(visit, `tasks.${verb ?? 'pause'}`)
  const reason = lineOf(form, 'reason').slice(0, 500)
  const again = async (note: string, status: number): Promise<Answer> =>
    sheet((await options.state.task(row.id)) ?? row, visit, options, { note, reason, status })
  if (verb === undefined) return again(`what is to be done is one of ${verbs.join(', ')}`, 400)
  if (reason === '') return again('say why: it stands in the ledger', 400)
  try {
    await taskActs(options.tasks)[verb](row, { by: visit.shell.name, reason, method: visit.who.method })
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return again([error.title, ...error.reasons].join(': '), error.code === 'record.failed' ? 503 : 409)
  }
  visit.tell(done[verb])
  return redirect(visit.path)
}
