import { classes, simulate as replay, type ClassRow, type Simulation, type SimulationClass } from '../../author/simulate.ts'
import { exit, parseWords, UsageFault, type Command, type Invocation } from '../command.ts'
import { offNote, openNamed, policyOptions, policyUsage } from './policy-source.ts'
import { damageNotes, recordLines, recordOptions, recordUsage } from './record-source.ts'
import { figure, outputOf, printable, shortName, table, writeJson } from './table.ts'

/** `countersign policy simulate`: a recorded ledger against a policy that is not in force. */
export const simulate: Command = {
  usage: `usage: countersign policy simulate --policy POLICY [--logs PATH] [--fail-on LIST] [-o text|json]

Judges every recorded decision again with the input that was recorded, at the time that was recorded, and says what would be decided
otherwise. What policy said counts, also where observe mode let the call through. What was masked in the record is not judged, and
never guessed; so are calls whose body was judged, when the policy reads bodies: no record keeps them.

  --policy POLICY  a bundle file, a folder, or the word default
  --fail-on LIST   exit 1 when there is one of newly-allowed, newly-denied, newly-asking, changed-reasons, not-judged (with commas)
  --samples N      decisions shown of each kind (default: 10)
${policyUsage}
  -o text|json     how the report is printed (default: text)
${recordUsage}

examples:
  countersign policy simulate --logs /var/lib/countersign/ledger --policy candidate.tar.gz --fail-on newly-allowed
  countersign logs --file ledger -o json --since 24h | countersign policy simulate --logs - --policy ./rego

exit status: 0, 1 what --fail-on names was found, 64 wrong usage, 69 no Countersign answers or there is no opa, 78 the policy cannot be used`,
  async run(invocation) {
    const { values, positionals } = parseWords(invocation.args, {
      ...recordOptions,
      ...policyOptions,
      policy: { type: 'string' },
      'fail-on': { type: 'string', default: '' },
      samples: { type: 'string', default: '10' },
      output: { type: 'string', short: 'o', default: 'text' },
    })
    if (positionals.length > 0) throw new UsageFault('simulate takes no arguments but options')
    if (values.policy === undefined) throw new UsageFault('which policy? Give --policy BUNDLE, --policy FOLDER or --policy default')
    if (!/^\d{1,6}$/.test(values.samples)) throw new UsageFault('--samples takes a number')
    const output = outputOf(values.output)
    const failOn = failingClasses(values['fail-on'])
    const lines = await recordLines(values, invocation)
    const candidate = await openNamed(values.policy, values, invocation)
    const notes = damageNotes(invocation)
    const progress = progressOf(invocation)
    const report = await replay(lines, candidate, { samples: Number(values.samples), damaged: notes.note, progress: progress.tell })
    candidate.close()
    progress.end()
    notes.end()
    offNote(
      candidate,
      report.rules.filter(({ gone }) => gone > 0).map(({ name }) => name),
      invocation,
    )
    if (output === 'json') writeJson(invocation, report)
    else invocation.stdout.write(simulationText(report))
    const found = failOn.filter((name) => report.classes[name] > 0)
    if (found.length > 0) invocation.stderr.write(`${found.join(', ')}: found, as --fail-on asks\n`)
    return found.length > 0 ? exit.findings : exit.ok
  },
}

/** The classes that `--fail-on` names. */
export function failingClasses(list: string): SimulationClass[] {
  return list
    .split(',')
    .filter((word) => word !== '')
    .map((word) => {
      const known = classes.find((name) => name === word && name !== 'unchanged')
      if (known === undefined) throw new UsageFault(`--fail-on takes ${classes.filter((name) => name !== 'unchanged').join(', ')}`)
      return known
    })
}

/** A line on a terminal that is written over; nothing elsewhere. */
function progressOf({ stderr }: Invocation): { readonly tell: (decisions: number) => void; readonly end: () => void } {
  if (stderr.isTTY !== true) return { tell: () => undefined, end: () => undefined }
  return { tell: (decisions) => void stderr.write(`\r${figure(decisions)} decisions`), end: () => void stderr.write('\r\u001B[K') }
}

/** The report for people. */
export function simulationText(report: Simulation): string {
  const { policy, read, revisions, without_body: withoutBody } = report
  const before = Object.keys(revisions).map((revision) => revision || 'an unknown revision')
  const head = `${printable(policy.name)} (revision ${policy.revision}) against ${figure(read.judged)} recorded decision${read.judged === 1 ? '' : 's'}`
  const parts = [`${head}${before.length === 0 ? '' : `, judged then by ${printable(before.slice(0, 5).join(', '))}`}`, '', totals(report)]
  if (withoutBody > 0)
    parts.push('', `${figure(withoutBody)} of them had a judged body, which no record keeps; this policy does not read it.`)
  if (report.not_judged.body > 0)
    parts.push('', `${figure(report.not_judged.body)} cannot be compared: the policy reads the judged body, which no record keeps.`)
  if (report.not_judged.masked > 0)
    parts.push('', `${figure(report.not_judged.masked)} cannot be compared: part of them is masked in the record.`)
  if (report.rules.length > 0)
    parts.push('', table([['by rule', 'new', 'gone'], ...report.rules.map((row) => [row.name, figure(row.new), figure(row.gone)])]))
  const moved = (row: ClassRow): boolean => classes.some((name) => name !== 'unchanged' && row[name] > 0)
  if (report.tools.some(moved)) parts.push('', classTable('by tool', report.tools.filter(moved), printable))
  if (report.agents.some(moved)) parts.push('', classTable('by agent', report.agents.filter(moved), shortName))
  for (const name of classes) parts.push(...samples(report, name))
  return `${parts.join('\n')}\n`
}

const words: Readonly<Record<SimulationClass, string>> = {
  unchanged: 'unchanged',
  'changed-reasons': 'other reasons',
  'newly-denied': 'newly denied',
  'newly-allowed': 'newly allowed',
  'newly-asking': 'newly asking',
  'not-judged': 'not judged',
}

function totals({ classes: counts, changes }: Simulation): string {
  const to: Partial<Record<SimulationClass, string>> = { 'newly-denied': 'deny', 'newly-allowed': 'allow', 'newly-asking': 'ask' }
  return table(
    classes.map((name) => {
      const moves = Object.entries(changes).filter(([move]) => move.endsWith(`→ ${to[name] ?? '?'}`))
      return [words[name], figure(counts[name]), moves.map(([move, count]) => `${move} ${figure(count)}`).join(', ')]
    }),
  )
}

function classTable(title: string, rows: readonly ClassRow[], named: (name: string) => string): string {
  const shown = classes.filter((name) => rows.some((row) => row[name] > 0))
  return table([
    [title, ...shown.map((name) => words[name])],
    ...rows.slice(0, 20).map((row) => [named(row.name), ...shown.map((name) => figure(row[name]))]),
  ])
}

function samples(report: Simulation, name: SimulationClass): string[] {
  const found = report.samples[name] ?? []
  if (found.length === 0) return []
  const rows = found.map((one) => {
    const rules = `${one.rules_before.join(' ') || '-'} → ${one.rules_after.join(' ') || '-'}`
    return [one.id, one.tool, shortName(one.agent), `${one.from} → ${one.to}`, rules, one.fault ?? ''].map(printable)
  })
  const more = report.classes[name] - found.length
  return ['', `${words[name]}:`, table(rows, '  '), ...(more > 0 ? [`  and ${figure(more)} more`] : [])]
}
