import { adminOptions, adminUsage, askJson, findAdmin, type AdminAccess } from './admin-client.ts'
import { exit, parseWords, UsageFault, type Command, type Invocation } from './command.ts'
import { treeText } from './task-tree.ts'

interface TaskView {
  readonly id: string
  readonly state: string
  readonly caller: string
  readonly implicit: boolean
  readonly expires: string
  readonly intent: { readonly purpose: string }
  readonly paused: { readonly by: string; readonly reason: string } | null
  readonly ended: { readonly cause: string; readonly by: string } | null
}

const verbs = ['pause', 'resume', 'complete'] as const

/** `countersign task`: what agents are doing, and the hand on it. */
export const task: Command = {
  usage: `usage: countersign task ls [--state STATE]
       countersign task show TASK
       countersign task tree [TASK]
       countersign task pause|resume|complete TASK --reason TEXT [--as NAME]

Pausing refuses further calls and keeps the task resumable; a pause by a person is lifted only by a person.
Completing ends the task: calls in flight are cut and its credentials taken back. What it handed on is paused and ends with it.
The tree shows what was handed on, to whom, with what is spent and read; without TASK, that of every task that has not ended.

  --state STATE    active, paused, completed, revoked or expired
  --reason TEXT    why; it stands in the ledger
  --as NAME        who you are, for the ledger (default: the USER variable)
  -o text|json     how answers are printed (default: text)
${adminUsage}

exit status: 0 done, 1 not possible (the reason is printed), 64 wrong usage, 69 no Countersign answers, 78 the configuration cannot be used`,
  async run(invocation) {
    const { values, positionals } = parseWords(invocation.args, {
      ...adminOptions,
      state: { type: 'string' },
      reason: { type: 'string' },
      as: { type: 'string' },
      output: { type: 'string', short: 'o', default: 'text' },
    })
    const [verb, id, ...rest] = positionals
    if (rest.length > 0) throw new UsageFault('too many arguments')
    const json = values.output === 'json'
    const access = await findAdmin(values, invocation.env)
    if (verb === 'ls' && id === undefined) return list(access, values.state, json, invocation)
    if (verb === 'tree') return tree(access, id, json, invocation)
    if (id === undefined) throw new UsageFault('give ls, or a verb and a task id')
    const path = `/v1/tasks/${encodeURIComponent(id)}`
    if (verb === 'show') return print(await askJson(access, 'GET', path), true, invocation)
    const known = verbs.find((candidate) => candidate === verb)
    if (known === undefined) throw new UsageFault(`no verb "${verb ?? ''}"`)
    if (values.reason === undefined) throw new UsageFault(`${known} needs --reason`)
    const by = values.as ?? invocation.env['USER'] ?? 'unknown'
    return print(await askJson(access, 'POST', `${path}/${known}`, { reason: values.reason, by }), json, invocation)
  },
}

async function list(access: AdminAccess, state: string | undefined, json: boolean, { stdout }: Invocation): Promise<number> {
  const query = state === undefined ? '' : `?state=${encodeURIComponent(state)}`
  const answer = await askJson(access, 'GET', `/v1/tasks${query}`)
  const tasks = isTaskList(answer) ? answer.tasks : []
  if (json) stdout.write(`${JSON.stringify(tasks, null, 2)}\n`)
  else for (const view of tasks) stdout.write(`${row(view)}\n`)
  return exit.ok
}

async function tree(access: AdminAccess, id: string | undefined, json: boolean, { stdout }: Invocation): Promise<number> {
  const path = id === undefined ? '/v1/tasks/tree' : `/v1/tasks/${encodeURIComponent(id)}/tree`
  const answer = await askJson(access, 'GET', path)
  const many = answer !== null && typeof answer === 'object' && 'trees' in answer && Array.isArray(answer.trees) ? answer.trees : null
  stdout.write(json ? `${JSON.stringify(many ?? answer, null, 2)}\n` : treeText(many ?? [answer]))
  return exit.ok
}

function print(answer: unknown, json: boolean, { stdout }: Invocation): number {
  stdout.write(json || !isTask(answer) ? `${JSON.stringify(answer, null, 2)}\n` : `${row(answer)}\n`)
  return exit.ok
}

function row(view: TaskView): string {
  const agent = view.caller.slice(view.caller.lastIndexOf('/') + 1)
  const note = view.paused ? ` by ${view.paused.by}: ${view.paused.reason}` : view.ended ? ` by ${view.ended.by}: ${view.ended.cause}` : ''
  return `${view.id}  ${view.state.padEnd(9)}  ${agent}  ${view.implicit ? '(implicit) ' : ''}${view.intent.purpose}${note}`.replaceAll(
    /[\p{Cc}\p{Cf}]/gu,
    '?',
  )
}

function isTask(value: unknown): value is TaskView {
  return value !== null && typeof value === 'object' && 'id' in value && 'intent' in value
}

function isTaskList(value: unknown): value is { readonly tasks: readonly TaskView[] } {
  return value !== null && typeof value === 'object' && 'tasks' in value && Array.isArray(value.tasks)
}
