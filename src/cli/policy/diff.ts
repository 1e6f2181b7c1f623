import { diffPolicies, type PolicyDiff, type RuleChange, type ValueChange } from '../../author/diff.ts'
import { simulate, type Simulation } from '../../author/simulate.ts'
import { exit, parseWords, UsageFault, type Command } from '../command.ts'
import { openNamed, policyOptions, policyUsage } from './policy-source.ts'
import { damageNotes, recordLines, recordOptions, recordUsage } from './record-source.ts'
import { simulationText } from './simulate.ts'
import { outputOf, printable, writeJson } from './table.ts'

/** `countersign policy diff`: what differs between two policies. */
export const diff: Command = {
  usage: `usage: countersign policy diff OLD NEW [--logs PATH] [-o text|json]

Says what differs: manifest (revision, roots, entrypoints, serial), data by its places, rules that were added, removed or changed, with
the members of their annotations, and the helpers around them. With --logs both judge a recorded ledger, and what they decide otherwise
is told as countersign policy simulate tells it.

  OLD, NEW         a bundle file, a folder, or the word default
${policyUsage}
  -o text|json     how it is printed (default: text)
${recordUsage.replace(' (default: a running Countersign)', '')}

examples:
  countersign policy diff default candidate.tar.gz
  countersign policy diff policy.tar.gz candidate.tar.gz --logs ledger -o json

exit status, as of diff(1): 0 the same, 1 different, 64 wrong usage, 69 no Countersign answers or there is no opa, 78 a policy cannot be used`,
  async run(invocation) {
    const { values, positionals } = parseWords(invocation.args, {
      ...recordOptions,
      ...policyOptions,
      output: { type: 'string', short: 'o', default: 'text' },
    })
    const [old, young, ...rest] = positionals
    if (old === undefined || young === undefined || rest.length > 0) throw new UsageFault('diff takes two policies')
    const output = outputOf(values.output)
    const [from, to] = [await openNamed(old, values, invocation), await openNamed(young, values, invocation)]
    const found = diffPolicies(from, to)
    const wanted = [values.logs, values.config, values.addr, values.key].some((value) => value !== undefined)
    const notes = damageNotes(invocation)
    const behaviour = wanted ? await simulate(await recordLines(values, invocation), to, { damaged: notes.note, against: from }) : null
    notes.end()
    from.close()
    to.close()
    if (output === 'json') writeJson(invocation, { ...found, behaviour })
    else invocation.stdout.write(diffText(found, behaviour))
    for (const name of found.without_sources) invocation.stderr.write(`${name} carries no source: its rules cannot be told\n`)
    return found.same ? exit.ok : exit.findings
  },
}

function diffText(found: PolicyDiff, behaviour: Simulation | null): string {
  const parts: string[] = []
  const section = (title: string, lines: readonly string[]): void => {
    if (lines.length > 0) parts.push(`${title}\n${lines.map((line) => `  ${line}`).join('\n')}`)
  }
  section('manifest', found.manifest.map(valueText))
  section('data', found.data.map(valueText))
  section('rules', found.rules.flatMap(ruleText))
  const { added, removed, changed } = found.helpers
  section('helpers', [...added.map((name) => `+ ${name}`), ...removed.map((name) => `- ${name}`), ...changed.map((name) => `~ ${name}`)])
  if (found.same) parts.push('the same')
  else if (parts.length === 0) parts.push('the compiled modules differ, nothing else does')
  if (behaviour !== null) parts.push(`behaviour\n\n${simulationText(behaviour).trimEnd()}`)
  return `${parts.join('\n\n')}\n`
}

function ruleText(rule: RuleChange): string[] {
  const mark = rule.kind === 'added' ? '+' : rule.kind === 'removed' ? '-' : '~'
  const head = `${mark} ${printable(rule.id)}  ${printable(rule.effect)}, ${printable(rule.severity)}  (${printable(rule.package)})`
  return [
    head,
    ...rule.metadata.map((change) => `    ${valueText(change)}`),
    ...(rule.body ? ['    what it does is written otherwise'] : []),
  ]
}

function valueText({ place, from, to }: ValueChange): string {
  const shown = (value: unknown): string => {
    const text = printable(JSON.stringify(value) ?? '')
    return text.length > 120 ? `${text.slice(0, 120)}…` : text
  }
  if (from === undefined) return `+ ${printable(place)}: ${shown(to)}`
  return to === undefined ? `- ${printable(place)}: ${shown(from)}` : `~ ${printable(place)}: ${shown(from)} → ${shown(to)}`
}
