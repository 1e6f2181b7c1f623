import { scopes } from '../kill/name.ts'
import { adminOptions, adminUsage, askJson, findAdmin, saysWho, type AccessOptions } from './admin-client.ts'
import { exit, parseWords, UsageFault, type Command, type Invocation } from './command.ts'

/** A kill as the admin port shows it. */
interface KillView {
  readonly id: string
  readonly scope: string
  readonly name: string | null
  readonly at: string
  readonly by: string
  readonly reason: string
  readonly lifted: { readonly at: string; readonly by: string; readonly reason: string } | null
  /** Of one that was just engaged. */
  readonly fresh?: boolean
  readonly cut?: number
  readonly tasks?: number
  readonly leases?: number
  readonly known?: boolean
}

const actOptions = {
  ...adminOptions,
  reason: { type: 'string' },
  as: { type: 'string' },
  output: { type: 'string', short: 'o', default: 'text' },
} as const

const actUsage = `  --reason TEXT    why; it stands in the ledger
  --as NAME        who you are: with the local key alone, which names nobody (default: the USER variable)
  -o text|json     how the answer is printed (default: text)
${adminUsage}

exit status: 0 done, 1 not possible (the reason is printed), 64 wrong usage, 69 no Countersign answers, 78 the configuration cannot be used`

/** `countersign kill`: stops at once, until a person lifts it. */
export const kill: Command = {
  usage: `usage: countersign kill agent|task|tool|route|owner|trust-domain NAME --reason TEXT [--as NAME]
       countersign kill everything --reason TEXT [--as NAME]

New calls are refused from now on, open streams and uploads are cut, and credentials taken back. Kills of a task, an
agent, an owner, a trust domain and everything end the tasks that they cover, for good; those of a tool or a route do not.
A kill survives restarts. Only a named person lifts it: countersign lift.

${actUsage}`,
  async run(invocation) {
    const { values, positionals } = parseWords(invocation.args, actOptions)
    const [scope, name, ...rest] = positionals
    if (scope === undefined || !scopes.some((one) => one === scope)) throw new UsageFault(`kill what? One of ${scopes.join(', ')}`)
    if (rest.length > 0) throw new UsageFault('too many arguments')
    if ((scope === 'everything') !== (name === undefined))
      throw new UsageFault(scope === 'everything' ? 'everything has no name' : `which ${scope}?`)
    const words = wordsOf(values, invocation, 'kill')
    const access = await findAdmin(values, invocation.env)
    const answer = await askJson(access, 'POST', '/v1/kills', { scope, ...(name === undefined ? {} : { name }), ...words })
    if (isKill(answer)) tellEngaged(answer, invocation)
    return print(answer, values.output === 'json', invocation)
  },
}

/** `countersign kills`: what is stopped. */
export const kills: Command = {
  usage: `usage: countersign kills [--all] [-o text|json]

Lists the kills that are engaged, newest first; with --all those that were lifted too.

${adminUsage}

exit status: 0 none or some, 1 not possible (the reason is printed), 64 wrong usage, 69 no Countersign answers, 78 the configuration cannot be used`,
  async run(invocation) {
    const { output } = actOptions
    const { values, positionals } = parseWords(invocation.args, { ...adminOptions, output, all: { type: 'boolean' } })
    if (positionals.length > 0) throw new UsageFault('kills takes no arguments')
    const access = await findAdmin(values, invocation.env)
    const answer = await askJson(access, 'GET', values.all === true ? '/v1/kills?all' : '/v1/kills')
    const rows = answer !== null && typeof answer === 'object' && 'kills' in answer && Array.isArray(answer.kills) ? answer.kills : []
    if (values.output === 'json') invocation.stdout.write(`${JSON.stringify(rows, null, 2)}\n`)
    else for (const row of rows) if (isKill(row)) invocation.stdout.write(`${line(row)}\n`)
    return exit.ok
  },
}

/** `countersign lift`: ends a kill, by a person with a name. */
export const lift: Command = {
  usage: `usage: countersign lift KILL --reason TEXT [--as NAME]

What the kill ended stays ended: agents open new tasks. A kill that the kill file still asks for is not lifted: take
the line out first.

${actUsage}`,
  async run(invocation) {
    const { values, positionals } = parseWords(invocation.args, actOptions)
    const [id, ...rest] = positionals
    if (id === undefined || rest.length > 0) throw new UsageFault('give the id of one kill, as countersign kills prints it')
    const words = wordsOf(values, invocation, 'lift')
    const access = await findAdmin(values, invocation.env)
    const answer = await askJson(access, 'POST', `/v1/kills/${encodeURIComponent(id)}/lift`, words)
    return print(answer, values.output === 'json', invocation)
  },
}

/** Only somebody with a name stops and lifts: proven, or said. */
function wordsOf(
  values: AccessOptions & { readonly reason?: string | undefined; readonly as?: string | undefined },
  { env }: Invocation,
  verb: string,
): { readonly reason: string; readonly by?: string } {
  if (values.reason === undefined) throw new UsageFault(`${verb} needs --reason`)
  if (saysWho(values, env)) return { reason: values.reason }
  const by = values.as ?? env['USER']
  if (by === undefined || by.trim() === '') throw new UsageFault('who are you? Give --as NAME')
  return { reason: values.reason, by }
}

function tellEngaged({ fresh, known, scope, cut = 0, tasks = 0, leases = 0 }: KillView, { stderr }: Invocation): void {
  if (fresh === false) stderr.write('it was engaged already\n')
  if (known === false) stderr.write(`nothing is known by that name: is the ${scope} spelled right? The kill is in force all the same\n`)
  stderr.write(`${cut} calls cut, ${tasks} tasks ending, ${leases} credentials being taken back\n`)
}

function print(answer: unknown, json: boolean, { stdout }: Invocation): number {
  stdout.write(json || !isKill(answer) ? `${JSON.stringify(answer, null, 2)}\n` : `${line(answer)}\n`)
  return exit.ok
}

function line({ id, scope, name, at, by, reason, lifted }: KillView): string {
  const ended = lifted === null ? '' : `  lifted ${lifted.at} by ${lifted.by}: ${lifted.reason}`
  return `${id}  ${name === null ? scope : `${scope} ${name}`}  since ${at} by ${by}: ${reason}${ended}`.replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    '?',
  )
}

function isKill(value: unknown): value is KillView {
  return value !== null && typeof value === 'object' && 'scope' in value && 'lifted' in value
}
