import { createReadStream, statSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { fits } from '../decide/mode.ts'
import { tail } from '../record/tail.ts'
import { parseDuration } from '../duration.ts'
import { AdminFault, adminOptions, adminUsage, askAdmin, findAdmin, type AdminAccess } from './admin-client.ts'
import { exit, mayColour, parseWords, UsageFault, type Command, type Invocation } from './command.ts'
import { LogWriter, readLogLine, type LogLine } from './log-line.ts'

const options = {
  ...adminOptions,
  follow: { type: 'boolean', short: 'f' },
  lines: { type: 'string', short: 'n' },
  since: { type: 'string' },
  until: { type: 'string' },
  decision: { type: 'string' },
  agent: { type: 'string' },
  task: { type: 'string' },
  route: { type: 'string' },
  tool: { type: 'string' },
  rule: { type: 'string' },
  code: { type: 'string' },
  not: { type: 'boolean' },
  output: { type: 'string', short: 'o', default: 'compact' },
  file: { type: 'string' },
} as const

/** `countersign logs`: the ledger, for people and for pipes. */
export const logs: Command = {
  usage: `usage: countersign logs [-f] [-n LINES] [filters] [-o compact|wide|json] [SOURCE]

Where from: a running Countersign (default), --file PATH (a ledger folder or file), or - for standard input.

  -f, --follow         keep going as lines come
  -n, --lines N        begin N ledger lines back (default: 50); a file is read whole
  --since, --until T   a time (2026-11-22T10:00:00Z) or a span back from now (10m)
  --decision LIST      allow, deny, ask; several with commas
  --agent ID           SPIFFE ID of the caller; a trailing * matches the rest
  --task ID  --route NAME  --tool NAME  --rule ID  --code CODE
                       a trailing * matches the rest
  --not                print what the filters do not match
  -o FORMAT            compact, wide, or json: the stored line, byte for byte
  --file PATH          read a ledger folder or file
${adminUsage}

Data goes to standard output, notes to standard error. exit status: 0, 1 not possible (the reason is
printed), 64 wrong usage, 69 no Countersign answers, 78 the configuration cannot be used`,
  async run(invocation) {
    const { values, positionals } = parseWords(invocation.args, options)
    if (positionals.length > 1 || (positionals[0] !== undefined && positionals[0] !== '-'))
      throw new UsageFault('the only source word is -')
    const format = values.output
    if (format !== 'compact' && format !== 'wide' && format !== 'json') throw new UsageFault('-o takes compact, wide or json')
    const keep = filter(values)
    const writer = new LogWriter({ colour: mayColour(invocation), wide: format === 'wide' })
    const stdin = positionals[0] === '-'
    const count = lineCount(values.lines)
    if (values.lines !== undefined && (stdin || values.file !== undefined))
      throw new UsageFault('-n goes with a running Countersign; for a file use tail')
    for await (const text of await source(values, stdin, count, invocation)) {
      const line = readLogLine(text)
      if (line === null) {
        if (!stdin && text !== '') invocation.stderr.write('a line that is not a ledger line was passed over\n')
        continue
      }
      if (format === 'json') {
        if (keep(line)) invocation.stdout.write(`${text}\n`)
        continue
      }
      // an outcome is printed with its decision, so both must meet in the writer before the filter is asked
      const printed = writer.push(line)
      if (printed !== null && keep(line)) invocation.stdout.write(`${printed}\n`)
    }
    return exit.ok
  },
}

type Values = ReturnType<typeof parseWords<typeof options>>['values']

async function source(values: Values, stdin: boolean, count: number, invocation: Invocation): Promise<AsyncIterable<string>> {
  const { stdin: input, signal, env } = invocation
  if (stdin) return createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })
  if (values.file === undefined) return remote(await findAdmin(values, env), count, values.follow === true, invocation)
  if (isFolder(values.file)) return folder(values.file, values.follow === true, signal)
  return createInterface({ input: createReadStream(values.file), crlfDelay: Number.POSITIVE_INFINITY })
}

async function* folder(path: string, follow: boolean, signal: AbortSignal): AsyncGenerator<string> {
  try {
    for await (const { line } of tail(path, { fromSeq: 0, follow, signal })) yield line
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

/** Reads the SSE stream; when following, comes back after a break where it stopped. */
async function* remote(access: AdminAccess, count: number, follow: boolean, invocation: Invocation): AsyncGenerator<string> {
  const { signal, stderr } = invocation
  let last: string | null = null
  for (let failures = 0; ;) {
    try {
      const query = `?last=${count}&follow=${follow}`
      const stream = await askAdmin(access, 'GET', `/v1/logs${query}`, { signal, headers: last === null ? {} : { 'last-event-id': last } })
      for await (const text of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) {
        failures = 0
        if (text.startsWith('id: ')) last = text.slice(4)
        else if (text.startsWith('data: ')) yield text.slice(6)
      }
      if (!follow || signal.aborted) return
    } catch (error) {
      if (signal.aborted) return
      if (!follow || last === null || (error instanceof AdminFault && error.status !== null)) throw error
    }
    if (failures++ === 0) stderr.write('the stream ended; trying again\n')
    await wait(Math.min(5000, 250 * 2 ** failures), undefined, { signal }).catch(() => {})
    if (signal.aborted) return
  }
}

function filter(values: Values): (line: LogLine) => boolean {
  const decisions = values.decision?.split(',')
  for (const decision of decisions ?? [])
    if (!['allow', 'deny', 'ask'].includes(decision)) throw new UsageFault('--decision takes allow, deny and ask')
  const since = moment(values.since, '--since')
  const until = moment(values.until, '--until')
  const matches = ({ fields }: LogLine): boolean =>
    (decisions === undefined || (fields.decision !== null && decisions.includes(fields.decision))) &&
    like(values.agent, [fields.caller]) &&
    like(values.task, [fields.task]) &&
    like(values.route, [fields.route]) &&
    like(values.tool, [fields.tool]) &&
    like(values.rule, fields.rules) &&
    like(values.code, [fields.code])
  return (line) =>
    (since === null || line.fields.time >= since) && (until === null || line.fields.time < until) && matches(line) !== (values.not === true)
}

function like(wanted: string | undefined, values: readonly string[]): boolean {
  return wanted === undefined || values.some((value) => fits(wanted, value))
}

function moment(text: string | undefined, option: string): number | null {
  if (text === undefined) return null
  const span = parseDuration(text)
  const at = span === null ? Date.parse(text) : Date.now() - span
  if (Number.isNaN(at)) throw new UsageFault(`${option} takes a time or a span such as 10m`)
  return at
}

function lineCount(text: string | undefined): number {
  if (text === undefined) return 50
  if (!/^\d{1,9}$/.test(text)) throw new UsageFault('-n takes a number')
  return Number(text)
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch (error) {
    throw new UsageFault(error instanceof Error ? error.message : String(error))
  }
}
