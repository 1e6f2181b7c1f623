import { coverage, type CoverageReport } from '../evidence/coverage.ts'
import { allFrameworks, coverageWords, ownControls, type Coverage, type Framework, type FrameworkRow } from '../evidence/frameworks.ts'
import { parseDuration } from '../duration.ts'
import { adminOptions, adminUsage } from './admin-client.ts'
import { exit, parseWords, UsageFault, type Command, type Invocation } from './command.ts'
import { damageNotes, recordLines } from './policy/record-source.ts'
import { figure, printable, table, writeJson } from './policy/table.ts'

const options = {
  ...adminOptions,
  task: { type: 'string' },
  since: { type: 'string' },
  ledger: { type: 'string' },
  output: { type: 'string', short: 'o', default: 'text' },
} as const

type Format = 'text' | 'json' | 'markdown'
type Values = ReturnType<typeof parseWords<typeof options>>['values']

/** `countersign frameworks`: what is asked elsewhere of the controls around agents, what of it is held, and where that shows. */
export const frameworksCommand: Command = {
  usage: `usage: countersign frameworks [list]
       countersign frameworks show ID
       countersign frameworks coverage [--task TASK] [--since SPAN] [--ledger PATH]

list names the frameworks, with how many of their rows are enforced, evidenced, held by a recipe, or not covered. show takes a framework
(owasp-agentic), a row (ASI01, "MAESTRO L6") or a control of ours (leases). coverage reads the record and says which controls were at
work: rules that spoke, calls that were refused, events such as lease.revoked, with ids to look at. It shows what happened, and is no
claim that something is complied with.

  --task TASK      only this task and those below it
  --since SPAN     only since a time (2026-11-22T10:00:00Z) or a span back from now (24h)
  --ledger PATH    the record: a ledger folder, a file of its lines, or - for standard input (default: a running Countersign)
  -o FORMAT        text, json or markdown (default: text)
${adminUsage}

exit status: 0, 1 nothing of that name or no line in the span, 64 wrong usage, 69 no Countersign answers`,
  async run(invocation) {
    const { values, positionals } = parseWords(invocation.args, options)
    const [verb = 'list', name, ...rest] = positionals
    const format = formatOf(values.output)
    if (rest.length > 0 || (verb !== 'show' && name !== undefined)) throw new UsageFault('too many arguments')
    if (verb === 'list') return list(format, invocation)
    if (verb === 'show') {
      if (name === undefined) throw new UsageFault('show what? Give a framework, a row or a control')
      return show(name, format, invocation)
    }
    if (verb !== 'coverage') throw new UsageFault(`no verb "${verb}"`)
    return covered(values, format, invocation)
  },
}

function formatOf(text: string): Format {
  if (text !== 'text' && text !== 'json' && text !== 'markdown') throw new UsageFault('-o takes text, json or markdown')
  return text
}

const kinds = Object.keys(coverageWords) as Coverage[]

function list(format: Format, invocation: Invocation): number {
  const all = allFrameworks()
  const rows = all.map(({ framework, title, version, rows: own }) => ({
    framework,
    title: `${title} ${version}`,
    ...Object.fromEntries(kinds.map((kind) => [kind, own.filter(({ status }) => status === kind).length])),
  }))
  if (format === 'json') writeJson(invocation, rows)
  else {
    const head = ['framework', ...kinds.map((kind) => coverageWords[kind]), 'title']
    const cells = rows.map((row) => [
      row.framework,
      ...kinds.map((kind) => String(Object.entries(row).find(([key]) => key === kind)?.[1])),
      row.title,
    ])
    invocation.stdout.write(laidOut([head, ...cells], format))
  }
  return exit.ok
}

function show(name: string, format: Format, invocation: Invocation): number {
  const wanted = name.toLowerCase()
  const framework = allFrameworks().find((one) => one.framework === wanted)
  const control = ownControls().find(({ id }) => id === wanted)
  const rows = allFrameworks().flatMap((one) => one.rows.filter((row) => namesRow(row, wanted)))
  if (framework === undefined && control === undefined && rows.length === 0) {
    invocation.stderr.write(`no framework, row or control is called ${printable(name)}: countersign frameworks list\n`)
    return exit.findings
  }
  if (format === 'json') writeJson(invocation, framework ?? control ?? rows)
  else if (framework !== undefined) invocation.stdout.write(frameworkText(framework, format))
  else if (control !== undefined)
    invocation.stdout.write(
      fields({
        ...control,
        rules: control.rules.join(' '),
        codes: control.codes.join(' '),
        events: control.events.join(' '),
        cases: control.cases.join(' '),
        tests: control.tests.join(' '),
        page: `docs/${control.page}`,
      }),
    )
  else for (const row of rows) invocation.stdout.write(rowText(row))
  return exit.ok
}

/** A row is asked for by its id or its label, with or without the year that it is cited with. */
function namesRow({ id, label }: FrameworkRow, wanted: string): boolean {
  return [id, label, id.replace(/:\d{4}$/, '')].some((one) => one.toLowerCase() === wanted)
}

function frameworkText({ title, version, source, note, rows }: Framework, format: Format): string {
  const cells = rows.map(({ id, title: called, status, note: limits }) => [id, coverageWords[status], called, limits])
  const head =
    format === 'markdown'
      ? `## ${title} ${version}\n\n${source}. ${note}\n\n`
      : `${title} ${version}\n${source}.\n${note === '' ? '' : `${note}\n`}\n`
  return head + laidOut([['id', 'status', 'title', 'limits'], ...cells], format)
}

function rowText({ framework, label, title, status, controls, rules, tests, cases, query, note }: FrameworkRow): string {
  return fields({
    id: `${label} (${framework})`,
    title,
    status: coverageWords[status],
    limits: note,
    controls: controls.join(' '),
    rules: rules.join(' '),
    tests: tests.join(' '),
    cases: cases.join(' '),
    evidence: query ?? '',
  })
}

function fields(all: Readonly<Record<string, string>>): string {
  const shown = Object.entries(all).filter(([, value]) => value !== '')
  return `${shown.map(([key, value]) => `${key.padEnd(9)} ${value}`).join('\n')}\n\n`
}

async function covered(values: Values, format: Format, invocation: Invocation): Promise<number> {
  const since = values.since === undefined ? null : moment(values.since)
  const notes = damageNotes(invocation)
  const lines = await recordLines({ ...values, logs: values.ledger }, invocation)
  const report = await coverage(lines, { task: values.task ?? null, since, damaged: notes.note })
  notes.end()
  if (format === 'json') writeJson(invocation, report)
  else invocation.stdout.write(coverageText(report, format))
  return report.lines === 0 ? exit.findings : exit.ok
}

function moment(text: string): number {
  const span = parseDuration(text)
  const at = span === null ? Date.parse(text) : Date.now() - span
  if (Number.isNaN(at)) throw new UsageFault('--since takes a time or a span such as 24h')
  return at
}

function coverageText(report: CoverageReport, format: Format): string {
  const { lines, calls, first, last, controls, frameworks, unknown } = report
  const head = format === 'markdown' ? (text: string): string => `## ${text}\n\n` : (text: string): string => `${text}\n`
  const parts = [`${figure(calls)} calls in ${figure(lines)} lines, ${first ?? '-'} to ${last ?? '-'}\n\n`]
  const own = controls.map(({ id, times, by, examples }) => [id, figure(times), printable(madeBy(by)), printable(examples.join(' '))])
  parts.push(head('Controls at work'), laidOut([['control', 'times', 'by', 'for example'], ...own], format), '\n')
  for (const { title, rows } of frameworks) {
    const cells = rows.map((row) => [
      row.id,
      coverageWords[row.status],
      figure(row.times),
      figure(row.behind),
      row.title,
      printable(row.examples.at(-1) ?? ''),
    ])
    parts.push(head(title), laidOut([['id', 'status', 'rules spoke', 'controls behind', 'title', 'for example'], ...cells], format), '\n')
  }
  const more = Object.keys(unknown)
  if (more.length > 0) parts.push(`named by decisions and in no file: ${printable(more.join(', '))}\n`)
  return parts.join('')
}

/** The most frequent, in words. */
function madeBy(by: Readonly<Record<string, number>>): string {
  const all = Object.entries(by)
  const shown = all.slice(0, 4).map(([name, times]) => `${name} ${times}`)
  return [...shown, ...(all.length > 4 ? [`and ${all.length - 4} more`] : [])].join(', ') || '-'
}

function laidOut(rows: readonly (readonly string[])[], format: Format): string {
  if (format === 'text') return `${table(rows)}\n`
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('<', '&lt;')).join(' | ')} |`
  const [head = [], ...body] = rows
  return `${[line(head), line(head.map(() => '---')), ...body.map(line)].join('\n')}\n`
}
