import { setTimeout as delay } from 'node:timers/promises'
import { parseDuration } from '../duration.ts'
import type { ApprovalRow } from '../state/approvals.ts'
import { adminOptions, adminUsage, askJson, findAdmin, type AdminAccess } from './admin-client.ts'
import { approvalLine, approvalText } from './approval-text.ts'
import { exit, mayColour, parseWords, UsageFault, type Command, type Invocation } from './command.ts'

const verbs = ['approve', 'decline', 'withdraw'] as const

const options = {
  ...adminOptions,
  state: { type: 'string' },
  task: { type: 'string' },
  agent: { type: 'string' },
  reason: { type: 'string' },
  as: { type: 'string' },
  tools: { type: 'string' },
  calls: { type: 'string' },
  for: { type: 'string' },
  'break-glass': { type: 'boolean' },
  once: { type: 'boolean' },
  output: { type: 'string', short: 'o', default: 'text' },
} as const

type Values = ReturnType<typeof parseWords<typeof options>>['values']

interface Context {
  readonly access: AdminAccess
  readonly values: Values
  readonly json: boolean
  readonly invocation: Invocation
}

/** `countersign approvals`: what is asked of people, and their answers. */
export const approvals: Command = {
  usage: `usage: countersign approvals [ls] [--state STATE] [--task TASK]
       countersign approvals show ID
       countersign approvals watch [--once]
       countersign approvals approve ID --reason TEXT [--tools A,B --calls N --for 10m]
       countersign approvals approve ID --reason TEXT --break-glass
       countersign approvals decline ID --reason TEXT
       countersign approvals withdraw ID --reason TEXT
       countersign approvals grant --task TASK --tools A,B --calls N --for 10m --reason TEXT
       countersign approvals grant --agent SPIFFE-ID --tools A,B --calls N --for 10m --reason TEXT

What is shown was written by Countersign from the request. Characters that cannot be seen stand there as ⟨U+202E⟩.
An approval covers this one call, once, unless --tools, --calls and --for say more. Withdrawing ends what it allowed.
Granting says the same before anybody asked: for a live task, or for every task of an agent. It is withdrawn like every approval.

  --state STATE    pending, approved, declined, expired, redeemed or withdrawn
  --task TASK      ls: of this task alone; grant: for this task
  --agent ID       grant: for every task of this workload, until the time is over
  --reason TEXT    why; it stands in the ledger
  --as NAME        who you are: with the local key alone, which names nobody (default: the USER variable)
  --tools A,B      tools that are approved for the task; the one that was asked for is among them
  --calls N        how many calls of them
  --for TIME       for how long, such as 10m
  --break-glass    approve without those who are asked: everybody is told (approve.break_glass says who may)
  --once           watch: print what is pending, and end
  -o text|json     how answers are printed (default: text; json: one line an approval)
${adminUsage}

exit status: 0 done, 1 not possible (the reason is printed), 64 wrong usage, 69 no Countersign answers, 78 the configuration cannot be used`,
  async run(invocation) {
    const { values, positionals } = parseWords(invocation.args, options)
    const [verb = 'ls', id, ...rest] = positionals
    if (rest.length > 0) throw new UsageFault('too many arguments')
    if (values.output !== 'text' && values.output !== 'json') throw new UsageFault('-o is text or json')
    const act = verbs.find((one) => one === verb)
    const all = verb === 'ls' || verb === 'watch' || verb === 'grant'
    if (act === undefined && !all && verb !== 'show') throw new UsageFault(`no verb "${verb}"`)
    if (values.agent !== undefined && verb !== 'grant') throw new UsageFault('--agent is for grant')
    if (all !== (id === undefined)) throw new UsageFault(id === undefined ? `${verb} needs an approval id` : 'too many arguments')
    const body = verb === 'grant' ? grantOf(values, invocation) : act === undefined ? null : bodyOf(act, values, invocation)
    const context: Context = { access: await findAdmin(values, invocation.env), values, json: values.output === 'json', invocation }
    if (verb === 'watch') return watch(context)
    if (verb === 'grant') return print(await askJson(context.access, 'POST', '/v1/approvals', body ?? {}), context)
    if (id === undefined) return list(context)
    const path = `/v1/approvals/${encodeURIComponent(id)}`
    if (act === undefined) return print(await askJson(context.access, 'GET', path), context)
    const way = values['break-glass'] === true ? 'break-glass' : act
    return print(await askJson(context.access, 'POST', `${path}/${way}`, body), context)
  },
}

/** Checks the words before anything is asked. */
function bodyOf(verb: (typeof verbs)[number], values: Values, { env }: Invocation): object {
  const { reason, tools, calls, for: time } = values
  if (reason === undefined || reason.trim() === '') throw new UsageFault(`${verb} needs --reason`)
  const wider = tools !== undefined || calls !== undefined || time !== undefined
  if (verb !== 'approve' && (wider || values['break-glass'] === true)) throw new UsageFault(`${verb} takes no more than --reason`)
  if (wider && values['break-glass'] === true) throw new UsageFault('--break-glass approves this one call alone')
  const words = { reason, by: values.as ?? env['USER'] }
  if (!wider) return words
  if (tools === undefined || calls === undefined || time === undefined) throw new UsageFault('--tools, --calls and --for belong together')
  if (!/^[1-9]\d{0,4}$/.test(calls)) throw new UsageFault('--calls is a whole number')
  if (parseDuration(time) === null) throw new UsageFault('--for is a time such as 30s, 10m or 2h')
  return { ...words, tools: tools.split(',').map((tool) => tool.trim()), calls: Number(calls), for: time }
}

/** An objective that nobody asked for yet. */
function grantOf(values: Values, invocation: Invocation): object {
  const { task, agent, tools, 'break-glass': broken } = values
  if ((task === undefined) === (agent === undefined)) throw new UsageFault('grant needs either --task or --agent')
  if (tools === undefined || broken === true) throw new UsageFault('grant needs --tools, --calls and --for')
  return { ...bodyOf('approve', values, invocation), ...(task === undefined ? { agent } : { task }) }
}

async function list({ access, values, json, invocation }: Context): Promise<number> {
  const rows = await rowsOf(access, values)
  const { stdout } = invocation
  for (const row of rows) stdout.write(`${json ? JSON.stringify(row) : approvalLine(row, mayColour(invocation))}\n`)
  if (rows.length === 0) invocation.stderr.write('nothing is asked\n')
  return exit.ok
}

/** Prints each approval in full when it is asked, and again whenever something about it changes. */
async function watch({ access, values, json, invocation }: Context): Promise<number> {
  const { stdout, signal } = invocation
  const seen = new Map<string, string>()
  let first = true
  while (!signal.aborted) {
    for (const row of (await rowsOf(access, values)).toReversed()) {
      const now = `${row.state} ${row.answers.length} ${row.used}`
      const before = seen.get(row.id)
      seen.set(row.id, now)
      // what was over before anybody watched is no news
      if (before === now || (first && row.state !== 'pending')) continue
      stdout.write(json ? `${JSON.stringify(row)}\n` : `${approvalText(row, mayColour(invocation))}\n\n`)
    }
    if (values.once === true) return exit.ok
    first = false
    await delay(1000, undefined, { signal }).catch(() => {})
  }
  return exit.ok
}

async function rowsOf(access: AdminAccess, { state, task }: Values): Promise<readonly ApprovalRow[]> {
  const query = new URLSearchParams({ ...(state === undefined ? {} : { state }), ...(task === undefined ? {} : { task }) })
  const answer = await askJson(access, 'GET', `/v1/approvals${query.size > 0 ? `?${query.toString()}` : ''}`)
  return isList(answer) ? answer.approvals : []
}

function print(answer: unknown, { json, invocation }: Context): number {
  const whole = json || !isApproval(answer)
  invocation.stdout.write(`${whole ? JSON.stringify(answer) : approvalText(answer, mayColour(invocation))}\n`)
  return exit.ok
}

function isApproval(value: unknown): value is ApprovalRow {
  return value !== null && typeof value === 'object' && 'shown' in value && 'answers' in value
}

function isList(value: unknown): value is { readonly approvals: readonly ApprovalRow[] } {
  return value !== null && typeof value === 'object' && 'approvals' in value && Array.isArray(value.approvals)
}
