import { adminOptions, adminUsage, askJson, findAdmin } from './admin-client.ts'
import { exit, parseWords, UsageFault, type Command, type Invocation } from './command.ts'

/** A signal as the admin port shows it. */
interface SignalView {
  readonly scope: string
  readonly key: string
  readonly name: string
  readonly value: unknown
  readonly source: string
  readonly by: string
  readonly reason: string
  readonly at: string
  readonly expires: string
}

const options = {
  ...adminOptions,
  task: { type: 'string' },
  caller: { type: 'string' },
  resource: { type: 'string' },
  ttl: { type: 'string' },
  source: { type: 'string' },
  reason: { type: 'string' },
  as: { type: 'string' },
  output: { type: 'string', short: 'o', default: 'text' },
} as const

type Values = ReturnType<typeof parseWords<typeof options>>['values']

/** `countersign signal`: facts from outside, that calls may wait for. */
export const signal: Command = {
  usage: `usage: countersign signal set --task ID|--caller ID|--resource R NAME VALUE --ttl TIME --reason TEXT [--source TEXT] [--as NAME]
       countersign signal rm  --task ID|--caller ID|--resource R NAME --reason TEXT [--as NAME]
       countersign signal ls  [--task ID|--caller ID|--resource R]

Policy sees a signal as input.signals.NAME.value, on calls of the task or caller, or on the resource, it is given for.
Calls that wait for it are judged again at once. VALUE is true, false, a number, or text.

  --ttl TIME       how long it counts, such as 10m; at most 7d
  --source TEXT    what found it out (default: who you are)
  --reason TEXT    why; it stands in the ledger
  --as NAME        who you are, for the ledger (default: the USER variable)
  -o text|json     how the answer is printed (default: text)
${adminUsage}

exit status: 0 done, 1 not possible (the reason is printed), 64 wrong usage, 69 no Countersign answers, 78 the configuration cannot be used`,
  async run(invocation) {
    const { values, positionals } = parseWords(invocation.args, options)
    const [verb, ...words] = positionals
    if (verb === 'ls' && words.length === 0) return list(values, invocation)
    if (verb === 'set' && words.length === 2) return change('PUT', values, words, invocation)
    if (verb === 'rm' && words.length === 1) return change('DELETE', values, words, invocation)
    throw new UsageFault('signal takes set NAME VALUE, rm NAME or ls')
  },
}

async function list(values: Values, { env, stdout }: Invocation): Promise<number> {
  const about = aboutOf(values)
  const query = about === null ? '' : `?scope=${about.scope}&key=${encodeURIComponent(about.key)}`
  const answer = await askJson(await findAdmin(values, env), 'GET', `/v1/signals${query}`)
  const rows = answer !== null && typeof answer === 'object' && 'signals' in answer && Array.isArray(answer.signals) ? answer.signals : []
  if (values.output === 'json') stdout.write(`${JSON.stringify(rows, null, 2)}\n`)
  else for (const row of rows) if (isSignal(row)) stdout.write(`${line(row)}\n`)
  return exit.ok
}

async function change(method: 'PUT' | 'DELETE', values: Values, words: readonly string[], { env, stdout }: Invocation): Promise<number> {
  const about = aboutOf(values)
  const [name = '', value = ''] = words
  if (about === null) throw new UsageFault('for what? Give one of --task, --caller and --resource')
  if (values.reason === undefined) throw new UsageFault('signal needs --reason')
  const by = values.as ?? env['USER']
  if (by === undefined || by.trim() === '') throw new UsageFault('who are you? Give --as NAME')
  if (method === 'PUT' && values.ttl === undefined) throw new UsageFault('for how long? Give --ttl, such as 10m')
  const said = { reason: values.reason, by }
  const given = { value: valueOf(value), ttl: values.ttl, ...(values.source === undefined ? {} : { source: values.source }) }
  const place = `/v1/signals/${about.scope}/${encodeURIComponent(about.key)}/${encodeURIComponent(name)}`
  const answer = await askJson(await findAdmin(values, env), method, place, method === 'PUT' ? { ...given, ...said } : said)
  stdout.write(values.output === 'json' || !isSignal(answer) ? `${JSON.stringify(answer, null, 2)}\n` : `${line(answer)}\n`)
  return exit.ok
}

function aboutOf({ task, caller, resource }: Values): { readonly scope: string; readonly key: string } | null {
  const named = Object.entries({ task, caller, resource }).flatMap(([scope, key]) => (key === undefined ? [] : [{ scope, key }]))
  if (named.length > 1) throw new UsageFault('give one of --task, --caller and --resource')
  return named[0] ?? null
}

/** JSON where it is a number, true or false; else text as it stands. */
function valueOf(word: string): string | number | boolean {
  if (word === 'true' || word === 'false') return word === 'true'
  return /^-?(?:0|[1-9]\d*)(?:\.\d+)?$/.test(word) ? Number(word) : word
}

function line({ scope, key, name, value, source, expires, by, reason }: SignalView): string {
  return `${scope} ${key}  ${name}=${JSON.stringify(value)}  from ${source}  until ${expires}  by ${by}: ${reason}`.replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    '?',
  )
}

function isSignal(value: unknown): value is SignalView {
  return value !== null && typeof value === 'object' && 'scope' in value && 'expires' in value
}
