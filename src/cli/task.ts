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
  readonly left?: Readonly<Record<string, number>>
  readonly waiting?: string | null
  /** Only of one that was just opened. */
  readonly token?: string
}

const verbs = ['pause', 'resume', 'complete', 'revoke'] as const

/** `countersign task`: what agents are doing, and the hand on it. */
export const task: Command = {
  usage: `usage: countersign task ls [--state STATE]
       countersign task show TASK
       countersign task tree [TASK]
       countersign task open --agent SPIFFE-ID --purpose TEXT --reason TEXT [--as NAME] [--tool NAME]…
                             [--resource PATTERN]… [--data CLASS]… [--egress KIND]… [--budget METER=AMOUNT]… [--ttl DURATION]
       countersign task pause|resume|complete|revoke TASK --reason TEXT [--as NAME]

Pausing refuses further calls and keeps the task resumable; a pause by a person is lifted only by a person.
Resuming an active task lets a session go on with it that policy held back.
Completing and revoking end the task: calls in flight are cut and its credentials taken back. Revoked is what a person took back.
What it handed on is paused and ends with it. The tree shows what was handed on, to whom, with what is spent and read; without TASK,
that of every task that has not ended.
Opening prints the task with its token. What is not said is what the agent was registered for; it is never more.

  --state STATE    active, paused, completed, revoked or expired
  --agent ID       the workload that the task is for; no other can use it
  --purpose TEXT   what it is for, in one line
  --tool NAME      a tool it may use; a trailing * matches the rest. Again for more; so are --resource, --data, --egress, --budget
  --ttl DURATION   how long it lives, such as 10m
  --reason TEXT    why; it stands in the ledger
  --as NAME        who you are, for the ledger (default: the USER variable)
  -o text|json     how answers are printed (default: text)
${adminUsage}

exit status: 0 done, 1 not possible (the reason is printed), 64 wrong usage, 69 no Countersign answers, 78 the configuration cannot be used`,
  async run(invocation) {
    const { values, positionals } = parseWords(invocation.args, { ...adminOptions, ...words, ...asked })
    const [verb, id, ...rest] = positionals
    if (rest.length > 0) throw new UsageFault('too many arguments')
    const json = values.output === 'json'
    const access = await findAdmin(values, invocation.env)
    if (verb === 'ls' && id === undefined) return list(access, values.state, json, invocation)
    const who = { reason: values.reason, by: values.as ?? invocation.env['USER'] ?? 'unknown' }
    if (verb === 'open' && id === undefined) return open(access, { ...askedTask(values), ...who }, json, invocation)
    if (verb === 'tree') return tree(access, id, json, invocation)
    if (id === undefined) throw new UsageFault('give ls, open, tree, or a verb and a task id')
    const path = `/v1/tasks/${encodeURIComponent(id)}`
    if (verb === 'show') return print(await askJson(access, 'GET', path), true, invocation)
    const known = verbs.find((candidate) => candidate === verb)
    if (known === undefined) throw new UsageFault(`no verb "${verb ?? ''}"`)
    if (values.reason === undefined) throw new UsageFault(`${known} needs --reason`)
    return print(await askJson(access, 'POST', `${path}/${known}`, who), json, invocation)
  },
}

const words = {
  state: { type: 'string' },
  reason: { type: 'string' },
  as: { type: 'string' },
  output: { type: 'string', short: 'o', default: 'text' },
} as const

const asked = {
  agent: { type: 'string' },
  purpose: { type: 'string' },
  tool: { type: 'string', multiple: true },
  resource: { type: 'string', multiple: true },
  data: { type: 'string', multiple: true },
  egress: { type: 'string', multiple: true },
  budget: { type: 'string', multiple: true },
  ttl: { type: 'string' },
} as const

interface AskedWords {
  readonly agent?: string | undefined
  readonly purpose?: string | undefined
  readonly reason?: string | undefined
  readonly tool?: readonly string[] | undefined
  readonly resource?: readonly string[] | undefined
  readonly data?: readonly string[] | undefined
  readonly egress?: readonly string[] | undefined
  readonly budget?: readonly string[] | undefined
  readonly ttl?: string | undefined
}

/** The body of the request, without what was not said. */
function askedTask({ agent, purpose, reason, tool, resource, data, egress, budget, ttl }: AskedWords): Record<string, unknown> {
  if (agent === undefined || purpose === undefined) throw new UsageFault('open needs --agent and --purpose')
  if (reason === undefined) throw new UsageFault('open needs --reason')
  const lists = { tools: tool, resources: resource, data, egress, ttl }
  const said = Object.entries(lists).filter(([, value]) => value !== undefined)
  return { agent, purpose, ...Object.fromEntries(said), ...(budget === undefined ? {} : { budget: metersOf(budget) }) }
}

function metersOf(pairs: readonly string[]): Record<string, number> {
  return Object.fromEntries(
    pairs.map((pair): [string, number] => {
      const [, meter, amount] = /^([^=]+)=(\d+(?:\.\d+)?)$/.exec(pair) ?? []
      if (meter === undefined || amount === undefined) throw new UsageFault(`--budget ${pair}: say METER=AMOUNT, such as calls=20`)
      return [meter, Number(amount)]
    }),
  )
}

async function open(access: AdminAccess, body: Record<string, unknown>, json: boolean, invocation: Invocation): Promise<number> {
  const opened = await askJson(access, 'POST', '/v1/tasks', body)
  if (json || !isTask(opened)) return print(opened, true, invocation)
  invocation.stdout.write(`${row(opened)}\ntoken ${String(opened.token)}\n`)
  return exit.ok
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
  const line = `${view.id}  ${view.state.padEnd(9)}  ${agent}  ${view.implicit ? '(implicit) ' : ''}${view.intent.purpose}${noteOf(view)}`
  return line.replaceAll(/[\p{Cc}\p{Cf}]/gu, '?')
}

function noteOf({ paused, ended, waiting, left = {} }: TaskView): string {
  if (paused) return ` by ${paused.by}: ${paused.reason}`
  if (ended) return ` by ${ended.by}: ${ended.cause}`
  const meters = Object.entries(left).map(([meter, amount]) => `${meter} ${amount}`)
  const budget = meters.length === 0 ? '' : `  left: ${meters.join(', ')}`
  return waiting ? `${budget}  waits for a person (${waiting})` : budget
}

function isTask(value: unknown): value is TaskView {
  return value !== null && typeof value === 'object' && 'id' in value && 'intent' in value
}

function isTaskList(value: unknown): value is { readonly tasks: readonly TaskView[] } {
  return value !== null && typeof value === 'object' && 'tasks' in value && Array.isArray(value.tasks)
}
