/** An approval on a terminal: all of it, readable, and nothing in it that could move the cursor. */
import { styleText } from 'node:util'
import { factsOf, isBroken, type Fact } from '../admin/approval-facts.ts'
import { visible } from '../approve/visible.ts'
import type { ApprovalRow } from '../state/approvals.ts'

const width = 14

/** The whole of it. An ask has a single frame, a broken glass a double one and says so on every edge. */
export function approvalText(row: ApprovalRow, colour: boolean): string {
  const broken = isBroken(row)
  const paint = painter(colour)
  const edge = broken ? '║' : '│'
  const what = broken ? 'BREAK-GLASS' : row.state === 'pending' ? 'ASKED' : row.state.toUpperCase()
  const rule = broken ? '═' : '─'
  const [top, bottom] = broken ? ['╔', '╚'] : ['┌', '└']
  const style = broken ? 'red' : 'yellow'
  const head = paint(style, `${top}${rule} ${what} ${rule}${rule} ${visible(row.id)}`)
  const lines = factsOf(row).flatMap((fact) => linesOf(fact))
  const foot = paint(style, `${bottom}${rule}${broken ? ` BREAK-GLASS ${rule}` : ''}`)
  return [head, ...lines.map((line) => `${paint(style, edge)} ${line}`), foot].join('\n')
}

/** One line of a list. */
export function approvalLine(row: ApprovalRow, colour: boolean): string {
  const { shown } = row
  const broken = isBroken(row)
  const yes = row.answers.filter(({ verdict }) => verdict === 'approve').length
  const mark = painter(colour)(broken ? 'red' : row.state === 'pending' ? 'yellow' : 'gray', broken ? 'BREAK-GLASS' : row.state)
  const parts = [row.id, mark, `${yes}/${row.quorum}`, shown.risk, shown.agent, shown.title, `until ${new Date(row.expires).toISOString()}`]
  return parts
    .filter((part) => part !== '')
    .map((part) => (part === mark ? part : visible(part)))
    .join('  ')
}

function linesOf({ label, form, values }: Fact): string[] {
  const name = visible(label).padEnd(width)
  if (form === 'line') return [`${name} ${values[0] ?? ''}`]
  if (form === 'list') return values.map((value, at) => `${at === 0 ? name : ' '.repeat(width)} ${value}`)
  return [name.trimEnd(), ...values.map((value) => `  ┊ ${value}`)]
}

function painter(colour: boolean): (style: 'yellow' | 'red' | 'gray', text: string) => string {
  return (style, text) => (colour ? styleText(style, text, { validateStream: false }) : text)
}
