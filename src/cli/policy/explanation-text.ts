import { styleText } from 'node:util'
import type { Allowing } from '../../author/allowing.ts'
import { listDifference, owners, ownerOf, type Change } from '../../author/change.ts'
import { lacksBody, type Explanation, type Fact, type FiredRule } from '../../author/explain.ts'
import { printable, table } from './table.ts'

/** An explanation for people. */
export function explanationText(explanation: Explanation, colour: boolean): string {
  const { effect, fault, policy, rules, recorded } = explanation
  const paint = (style: 'red' | 'green' | 'yellow' | 'bold' | 'gray', text: string): string =>
    colour ? styleText(style, text, { validateStream: false }) : text
  const mark = effect === 'allow' ? paint('green', '✓ allow') : effect === 'ask' ? paint('yellow', '⏸ ask') : paint('red', '✗ deny')
  const parts = [`${mark}  by ${printable(policy.name)} (revision ${policy.revision})`, ...standing(explanation)]
  if (fault !== null) parts.push('', `the policy gave no well-formed decision: ${printable(fault)}`)
  for (const rule of rules) parts.push('', ...ruleText(rule, (text) => paint('bold', text)))
  parts.push(...besides(explanation))
  if (lacksBody(explanation))
    parts.push('', 'The body was judged then. No record keeps it, so this is judged without it: rules that read it see nothing.')
  if (explanation.allowing !== null) parts.push('', ...allowingText(explanation.allowing, recorded !== null))
  return `${parts.join('\n')}\n`
}

/** What the record says, and whether this is the policy that said it. */
function standing({ recorded, policy, effect, rules }: Explanation): string[] {
  if (recorded === null) return []
  const { id, time, revision, code, observed } = recorded
  const end =
    code === null ? (observed === null ? 'let through' : `let through in observe mode, would have been ${observed}`) : `refused as ${code}`
  const said = recorded.effect === null ? 'masked' : recorded.effect
  const lines = [`${printable(id)}  ${printable(time)}  recorded: ${said}, ${end}`]
  if (revision === policy.revision) return lines
  lines.push(`judged then by revision ${printable(revision) || 'unknown'}, explained by another: give the policy of then with --policy`)
  const same = recorded.effect === effect && recorded.rules.join() === [...new Set(rules.map((rule) => rule.id))].sort().join()
  if (!same) lines.push(`then: ${said}${recorded.rules.length > 0 ? ` by ${printable(recorded.rules.join(', '))}` : ''}`)
  return lines
}

function ruleText(rule: FiredRule, bold: (text: string) => string): string[] {
  const lines = [
    `${bold(rule.id)}  ${rule.effect}, ${rule.severity}${rule.observable ? ', observable' : ''}  ${printable(rule.controls.join(' '))}`,
  ]
  if (rule.title !== '') lines.push(`  ${printable(rule.title)}${rule.description === '' ? '' : `. ${printable(rule.description.trim())}`}`)
  lines.push(`  the agent reads: ${printable(rule.message)}`)
  if (Object.keys(rule.detail).length > 0) lines.push(`  found: ${short(rule.detail)}`)
  if (rule.facts.length > 0)
    lines.push(
      table(
        rule.facts.map((fact) => [fact.fact, factText(fact)]),
        '    ',
      ),
    )
  if (rule.remediation !== '') lines.push(`  to do: ${printable(rule.remediation.trim())}`)
  if (rule.title === '' && rule.file === '') lines.push('  the policy carries no annotation of this rule')
  return lines
}

function factText({ state, value }: Fact): string {
  return state === 'missing' ? 'MISSING in the input' : state === 'hidden' ? 'not in the record' : short(value)
}

function besides({ approval, obligations, credential }: Explanation): string[] {
  const lines: string[] = []
  if (approval !== null) lines.push('', `a person is asked: ${short(approval)}`)
  for (const obligation of obligations) lines.push('', `obliges: ${short(obligation)}`)
  if (credential !== null) lines.push('', `narrows the credential: ${short(credential)}`)
  return lines
}

function allowingText({ ways, complete, tried }: Allowing, recorded: boolean): string[] {
  if (ways.length === 0) {
    return [
      `No change was found that makes it an allow (${tried} inputs judged${complete ? '' : ', then the time was up'}).`,
      'That is no proof that there is none: only facts that the rules name were changed.',
    ]
  }
  const size = ways[0]?.length ?? 1
  const smallest = complete ? '' : ' (smaller ones may exist: the time was up)'
  const head = `${recorded ? 'It would have been' : 'It would be'} an allow with ${size === 1 ? 'any one of these' : `any of these sets of ${size}`}${smallest}:`
  return [head, ...ways.map((way, at) => way.map((change, row) => `  ${row === 0 ? `${at + 1}.` : '  '} ${changeText(change)}`).join('\n'))]
}

function changeText(change: Change): string {
  const who = `(${owners[ownerOf(change)]?.who ?? ''})`
  const lists = Array.isArray(change.from) ? listDifference(change) : null
  if (lists !== null) {
    const items = [...lists.added.map((text) => `+ ${text}`), ...lists.removed.map((text) => `- ${text}`)]
    return `${printable(change.fact)}: ${printable(items.join(', '))}  ${who}`
  }
  const from = change.from === undefined ? 'missing' : short(change.from)
  return `${printable(change.fact)}: ${from} → ${short(change.to)}  ${who}`
}

const mostShort = 160

/** JSON on one line, cut. */
function short(value: unknown): string {
  const text = printable(JSON.stringify(value) ?? 'undefined')
  return text.length > mostShort ? `${text.slice(0, mostShort)}…` : text
}
