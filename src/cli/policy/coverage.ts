import { coverage as measured, coverageKinds, type Coverage, type CoverageRow } from '../../author/coverage.ts'
import { exit, parseWords, UsageFault, type Command } from '../command.ts'
import { damageNotes, recordLines, recordOptions, recordUsage } from './record-source.ts'
import { figure, outputOf, printable, shortName, table, writeJson } from './table.ts'

/** `countersign policy coverage`: how much is enforced, the riskiest first. */
export const coverage: Command = {
  usage: `usage: countersign policy coverage [--by risk|tool|agent|rule] [--logs PATH] [-o text|json]

Says which share of the calls was judged under enforcement, what observe mode let through, and what to enforce next: the riskiest
calls that are only observed. Calls that ended before policy was asked are not counted, they are refused in every mode.

  --by KIND      risk, tool, agent or rule (default: risk)
  -o text|json   how it is printed (default: text)
${recordUsage}

examples:
  countersign policy coverage --logs ledger
  countersign policy coverage --config countersign.yaml --by tool

exit status: 0, 64 wrong usage, 69 no Countersign answers`,
  async run(invocation) {
    const { values, positionals } = parseWords(invocation.args, {
      ...recordOptions,
      by: { type: 'string', default: 'risk' },
      output: { type: 'string', short: 'o', default: 'text' },
    })
    if (positionals.length > 0) throw new UsageFault('coverage takes no arguments but options')
    const by = coverageKinds.find((kind) => kind === values.by)
    if (by === undefined) throw new UsageFault(`--by takes ${coverageKinds.join(', ')}`)
    const output = outputOf(values.output)
    const notes = damageNotes(invocation)
    const report = await measured(await recordLines(values, invocation), by, notes.note)
    notes.end()
    if (output === 'json') writeJson(invocation, report)
    else invocation.stdout.write(coverageText(report))
    return exit.ok
  },
}

function coverageText(report: Coverage): string {
  const { by, rows, total, next } = report
  const named = by === 'agent' ? shortName : printable
  const row = (one: CoverageRow, name: string): string[] => [
    name,
    ...[one.calls, one.enforced, one.observed].map(figure),
    `${Math.floor(one.share * 100)} %`,
    ...[one.refused, one.would_refuse].map(figure),
  ]
  const head = [by, 'calls', 'enforced', 'observed', 'share', 'refused', 'would be refused']
  const parts = [table([head, ...rows.slice(0, 50).map((one) => row(one, named(one.name))), row(total, 'all')])]
  if (report.would_refuse.length > 0)
    parts.push(
      '',
      table([['observed refusals by rule', 'calls'], ...report.would_refuse.map((one) => [printable(one.rule), figure(one.calls)])]),
    )
  if (total.calls === 0) parts.push('', 'No decision is in the record.')
  else if (next === null) parts.push('', 'Everything is enforced.')
  else parts.push('', `Next: enforce ${printable(next.risk)} risk. ${nextText(next)}`)
  return `${parts.join('\n')}\n`
}

function nextText({ observed, would_refuse: refused, rules }: NonNullable<Coverage['next']>): string {
  const calls = `${figure(observed)} call${observed === 1 ? ' is' : 's are'} only observed`
  if (refused === 0) return `${calls}, and none of them would have been refused.`
  return `${calls}; ${figure(refused)} would have been refused, by ${printable(rules.join(', '))}.`
}
