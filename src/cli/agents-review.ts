import { writeFileSync } from 'node:fs'
import { agentsOf } from '../config/catalogue.ts'
import { loadConfig } from '../config/load.ts'
import { parseDuration } from '../duration.ts'
import { Estate } from '../evidence/lapsed.ts'
import { registrationOf, type Registration } from '../evidence/registration.ts'
import { reviewHtml } from '../evidence/review-html.ts'
import { reviewText } from '../evidence/review-text.ts'
import { reviewOf } from '../evidence/review.ts'
import { readUse } from '../evidence/use.ts'
import { adminOptions, adminUsage, askJson, findAdmin } from './admin-client.ts'
import { exit, parseWords, UsageFault, type Command, type Invocation } from './command.ts'
import { damageNotes, recordLines } from './policy/record-source.ts'

const options = {
  ...adminOptions,
  since: { type: 'string' },
  ledger: { type: 'string' },
  out: { type: 'string' },
  output: { type: 'string', short: 'o', default: 'text' },
} as const

type Values = ReturnType<typeof parseWords<typeof options>>['values']

/** `countersign agents review`: what each agent was allowed, used, was refused and asked, and what it could do without. */
export const agentsReview: Command = {
  usage: `usage: countersign agents review [AGENT] [--since SPAN] [--ledger PATH] [--config FILE] [-o text|json|html] [--out FILE]

Reads the record and says of each agent, or of one: what it may do, what it used, what it was refused, what it asked and how people
answered, the standing secrets behind it, what it could do without, what has lapsed; and proposes a narrower registration that would still
have allowed what it used, as task.agents takes it, with the difference to the present one. The proposal is never wider than the present
one. It warns where the record is too short, or hides too much, to conclude anything.

AGENT is a SPIFFE ID or pattern as it is registered. With --ledger, registrations, routes and standing secrets come from --config; without,
the record and the registrations come from a running Countersign, and the rest from --config.

  --since SPAN         only since a time (2026-11-22T10:00:00Z) or a span back from now (default: 30d)
  --ledger PATH        the record: a ledger folder, a file of its lines, or - for standard input (default: a running Countersign)
  --out FILE           write there instead of standard output
  -o text|json|html    how the review is printed (default: text); docs/access-review.md says what is in the JSON
${adminUsage}

exit status: 0, 1 no such agent, 64 wrong usage, 69 no Countersign answers, 78 the configuration cannot be used`,
  async run(invocation) {
    const { values, positionals } = parseWords(invocation.args, options)
    const [only = null, ...rest] = positionals
    if (rest.length > 0) throw new UsageFault('review takes one agent, or none')
    const format = values.output
    if (format !== 'text' && format !== 'json' && format !== 'html') throw new UsageFault('-o takes text, json or html')
    const now = Date.now()
    const since = moment(values.since ?? '30d', now)
    const estate = values.config === undefined ? null : new Estate(loadConfig(values.config, invocation.env).config)
    const registrations = await registered(values, invocation)
    const notes = damageNotes(invocation)
    const lines = await recordLines({ ...values, logs: values.ledger }, invocation)
    const use = await readUse(lines, { since, registrationOf: finder(registrations), damaged: notes.note })
    notes.end()
    const review = reviewOf(use, { now, since, registrations, estate, only })
    if (only !== null && review.agents.length === 0) {
      invocation.stderr.write(`no agent is registered as ${only}, and the record names none\n`)
      return exit.findings
    }
    const text = format === 'json' ? `${JSON.stringify(review, null, 2)}\n` : format === 'html' ? reviewHtml(review) : reviewText(review)
    write(text, values.out, invocation)
    return exit.ok
  },
}

/** Of the running Countersign, which knows what was proposed to it too; else of the configuration; else none. */
async function registered(values: Values, { env }: Invocation): Promise<readonly Registration[]> {
  if (values.ledger === undefined) {
    const answer = await askJson(await findAdmin(values, env), 'GET', '/v1/agents')
    const found = answer !== null && typeof answer === 'object' && 'agents' in answer && Array.isArray(answer.agents) ? answer.agents : []
    return found.flatMap((one: unknown) => registrationOf(one) ?? [])
  }
  if (values.config === undefined) return []
  return agentsOf(loadConfig(values.config, env).config).flatMap((agent) => registrationOf(agent) ?? [])
}

/** Which registration covers a workload, as the registry itself finds it. */
function finder(registrations: readonly Registration[]): (caller: string) => string | null {
  const ids = new Set(registrations.map(({ id }) => id))
  return (caller) => {
    if (ids.has(caller)) return caller
    const pattern = `${caller.slice(0, caller.lastIndexOf('/') + 1)}*`
    return ids.has(pattern) && !caller.endsWith('/') ? pattern : null
  }
}

function moment(text: string, now: number): number {
  const span = parseDuration(text)
  const at = span === null ? Date.parse(text) : now - span
  if (Number.isNaN(at)) throw new UsageFault('--since takes a time or a span such as 30d')
  return at
}

function write(text: string, out: string | undefined, { stdout, stderr }: Invocation): void {
  if (out === undefined) {
    stdout.write(text)
    return
  }
  try {
    writeFileSync(out, text, { mode: 0o600 })
  } catch (error) {
    throw new UsageFault(`cannot write ${out}: ${error instanceof Error ? error.message : String(error)}`)
  }
  stderr.write(`written to ${out}\n`)
}
