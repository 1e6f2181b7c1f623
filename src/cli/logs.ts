import { once } from 'node:events'
import { FilterFault, filterNames, fits, parseFilter, type FilterWords } from '../evidence/filter.ts'
import type { Gap } from '../evidence/follow.ts'
import { adminOptions, adminUsage, findAdmin } from './admin-client.ts'
import { exit, mayColour, parseWords, UsageFault, type Command, type Invocation } from './command.ts'
import { LogWriter, readLogLine } from './log-line.ts'
import { fromAdmin, fromFolder, fromStream, openFile, type Asked, type Read } from './log-sources.ts'
import { wideHeader } from './log-wide.ts'

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
  kind: { type: 'string' },
  not: { type: 'boolean' },
  output: { type: 'string', short: 'o', default: 'compact' },
  color: { type: 'string', default: 'auto' },
  file: { type: 'string' },
} as const

type Values = ReturnType<typeof parseWords<typeof options>>['values']

/** `countersign logs`: the ledger, for people and for pipes. */
export const logs: Command = {
  usage: `usage: countersign logs [-f] [-n N] [filters] [-o compact|wide|json] [SOURCE]

Where from: a running Countersign (default), --file PATH (a ledger folder or a file of its lines), or - for standard input.

  -f, --follow         keep going as lines come; over the admin port also when Countersign restarts
  -n, --lines N        the newest N that fit (default: 50, and all with --since, --until or --file); beyond 10000 those that fit
                       of the newest N lines
  --since, --until T   a time (2026-11-22T10:00:00Z) or a span back from now (10m)
  --decision LIST      allow, deny, ask, defer
  --agent LIST         SPIFFE ID of the caller, or the end of one
  --task, --route, --tool, --rule, --code LIST
  --kind LIST          decision, outcome, refusal, event, checkpoint, or the name of an event (lease.revoked)
  --not                what the filters do not fit
  -o FORMAT            compact: one line a call; wide: all that is known, in columns; json: the stored lines, byte for byte
  --color WHEN         auto, always or never (default: auto: on a terminal, and as NO_COLOR and FORCE_COLOR say)
  --file PATH          read a ledger folder, or a file
${adminUsage}

A LIST is one word or several with commas; a * at the end of a word stands for the rest. Filters see a call with both its lines, its
decision and its outcome; with -o json each line stands for itself.

Data goes to standard output, notes to standard error. exit status: 0, also when nothing fits; 1 not possible (the reason is printed),
64 wrong usage, 69 no Countersign answers, 78 the configuration cannot be used`,
  async run(invocation) {
    const { values, positionals } = parseWords(invocation.args, options)
    if (positionals.length > 1 || (positionals[0] !== undefined && positionals[0] !== '-'))
      throw new UsageFault('the only source word is -')
    const stdin = positionals[0] === '-'
    if (stdin && values.file !== undefined) throw new UsageFault('give --file or -, not both')
    const asked = askedOf(values)
    // the others know the newest before they begin
    const ends = (stdin || values.file !== undefined) && !asked.follow
    const output = new Output(invocation, ends && values.lines !== undefined ? Number(values.lines) : null)
    if (values.output === 'json') await printStored(await source(values, asked, stdin, invocation), output, invocation)
    else await printCalls(await source(values, asked, stdin, invocation), output, { values, asked, stdin, invocation })
    await output.end()
    return exit.ok
  },
}

function askedOf(values: Values): Asked {
  const { output: format, color, lines, follow = false } = values
  if (format !== 'compact' && format !== 'wide' && format !== 'json') throw new UsageFault('-o takes compact, wide or json')
  if (!['auto', 'always', 'never'].includes(color)) throw new UsageFault('--color takes auto, always or never')
  if (lines !== undefined && !/^\d{1,9}$/.test(lines)) throw new UsageFault('-n takes a number')
  const words: FilterWords = Object.fromEntries(
    filterNames.flatMap((name) => (values[name] === undefined ? [] : [[name, String(values[name])]])),
  )
  const whole = values.since !== undefined || values.until !== undefined || (values.file !== undefined && !follow)
  const last = lines === undefined ? (whole ? null : 50) : Number(lines)
  try {
    return { words, filter: parseFilter(words, Date.now()), calls: format !== 'json', follow, last }
  } catch (error) {
    throw error instanceof FilterFault ? new UsageFault(`--${error.filter}: ${error.message}`) : error
  }
}

async function source(values: Values, asked: Asked, stdin: boolean, invocation: Invocation): Promise<AsyncIterable<Read>> {
  const { signal, stderr, env } = invocation
  let missed = 0
  const note = (): void => {
    if (missed++ === 0 && !stdin) stderr.write('a line that is not a ledger line was passed over\n')
  }
  // what else a process prints stands between its lines
  if (stdin) return fromStream(invocation.stdin as AsyncIterable<Uint8Array>, asked, note)
  if (values.file === undefined) return fromAdmin(await findAdmin(values, env), asked, invocation)
  const opened = openFile(values.file)
  if (opened === 'folder') return fromFolder(values.file, asked, signal)
  if (asked.follow)
    throw new UsageFault('-f follows a running Countersign or a ledger folder; for a file: tail -f FILE | countersign logs -')
  return fromStream(opened, asked, note)
}

async function printStored(reads: AsyncIterable<Read>, output: Output, { stderr }: Invocation): Promise<void> {
  for await (const read of reads) {
    if ('gap' in read) stderr.write(`${gapText(read)}\n`)
    else await output.line(read.bytes)
  }
}

interface Printing {
  readonly values: Values
  readonly asked: Asked
  readonly stdin: boolean
  readonly invocation: Invocation
}

/** A call that has not ended after so long is shown as it is, ms. */
const patience = 2000

async function printCalls(reads: AsyncIterable<Read>, output: Output, { values, asked, stdin, invocation }: Printing): Promise<void> {
  const { stdout } = invocation
  const colour = values.color === 'auto' ? mayColour(invocation) : values.color === 'always'
  const wide = values.output === 'wide'
  const writer = new LogWriter({ colour, wide, keep: (facts) => fits(asked.filter, facts) })
  if (wide && stdout.isTTY === true) await output.line(Buffer.from(wideHeader))
  const looking = asked.follow || stdin ? setInterval(() => output.texts(writer.overdue(performance.now() - patience)), patience / 2) : null
  try {
    for await (const read of reads) {
      if ('gap' in read) {
        await output.line(Buffer.from(`--:--:--.---  ⋯  ${gapText(read)}`))
        continue
      }
      const line = readLogLine(read.bytes.toString())
      const text = line === null ? null : writer.push(line, performance.now())
      if (text !== null) await output.line(Buffer.from(text))
    }
    output.texts(writer.overdue(Number.POSITIVE_INFINITY))
  } finally {
    if (looking !== null) clearInterval(looking)
  }
}

function gapText({ gap: { from, to } }: Gap): string {
  if (to < from) return `the ledger ends at line ${to}, before line ${from - 1} that was seen: it is another one, or it was cut. Verify it`
  return `lines ${from} to ${to} are missing here: they were removed before they could be read`
}

/** Writes in pieces, and waits while nobody reads: what is not read yet stays where it comes from. */
class Output {
  readonly #stdout: Invocation['stdout']
  readonly #signal: AbortSignal
  /** Most of the newest lines, which are written at the end. */
  readonly #last: number | null
  #pending: Buffer[] = []
  #bytes = 0
  #soon: NodeJS.Immediate | null = null

  constructor({ stdout, signal }: Invocation, last: number | null) {
    this.#last = last
    this.#stdout = stdout
    this.#signal = signal
  }

  async line(bytes: Buffer): Promise<void> {
    this.#pending.push(Buffer.concat([bytes, newline]))
    if (this.#last !== null) return void (this.#pending.length > this.#last && this.#pending.shift())
    this.#bytes += bytes.length + 1
    if (this.#bytes < 65_536) this.#soon ??= setImmediate(() => this.#write())
    else if (!this.#write() && !this.#signal.aborted) await once(this.#stdout, 'drain', { signal: this.#signal }).catch(() => {})
  }

  texts(texts: readonly string[]): void {
    for (const text of texts) void this.line(Buffer.from(text))
  }

  async end(): Promise<void> {
    if (!this.#write()) await once(this.#stdout, 'drain', { signal: this.#signal }).catch(() => {})
  }

  #write(): boolean {
    if (this.#soon !== null) clearImmediate(this.#soon)
    this.#soon = null
    const pending = Buffer.concat(this.#pending)
    this.#pending = []
    this.#bytes = 0
    return pending.length === 0 || this.#stdout.write(pending)
  }
}

const newline = Buffer.from('\n')
