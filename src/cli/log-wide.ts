/** All that is known of a line or a call, in columns. */

import { objectOf, textOf, textsOf, type Facts, type ParsedLine } from '../evidence/facts.ts'
import type { Paint } from './log-paint.ts'

interface Told {
  readonly line: ParsedLine
  readonly outcome: ParsedLine | null
  readonly facts: Facts
}

interface Column {
  readonly name: string
  /** Characters that it takes at least. */
  readonly width: number
  readonly of: (told: Told) => string
}

const request = ({ line }: Told): Readonly<Record<string, unknown>> => objectOf(objectOf(line.event.input)['request'])
const own = ({ line }: Told, name: string): string => text(line.own[name])
const end = ({ outcome }: Told, name: string): string => text(outcome?.own[name])
const lease = ({ outcome }: Told): Readonly<Record<string, unknown>> => objectOf(outcome?.own['lease'])

const columns: readonly Column[] = [
  { name: 'TIME', width: 27, of: ({ line }) => textOf(line.event.timestamp) },
  { name: 'SEQ', width: 8, of: (told) => own(told, 'seq') },
  { name: 'KIND', width: 8, of: (told) => own(told, 'event') || own(told, 'kind') },
  { name: 'DECISION', width: 8, of: ({ facts }) => facts.decision ?? '' },
  { name: 'CALL', width: 28, of: ({ line }) => line.id },
  { name: 'TASK', width: 28, of: ({ facts }) => facts.task },
  { name: 'CALLER', width: 40, of: (told) => own(told, 'caller') || own(told, 'by') },
  { name: 'PROOF', width: 14, of: (told) => [own(told, 'method'), own(told, 'confirmed')].filter(Boolean).join('/') },
  { name: 'HUMAN', width: 10, of: ({ line }) => textOf(objectOf(line.own['human'])['subject']) },
  { name: 'METHOD', width: 6, of: (told) => textOf(request(told)['method']) },
  { name: 'PATH', width: 24, of: (told) => textOf(request(told)['path']) },
  { name: 'ROUTE', width: 8, of: ({ facts }) => facts.route },
  { name: 'TOOL', width: 22, of: ({ facts }) => facts.tool },
  { name: 'RESOURCE', width: 14, of: (told) => own(told, 'resource') },
  { name: 'DESTINATION', width: 22, of: (told) => own(told, 'downstream') },
  { name: 'CODE', width: 16, of: ({ facts }) => facts.code },
  { name: 'OBSERVED', width: 8, of: (told) => own(told, 'observed') },
  { name: 'RULES', width: 24, of: ({ facts }) => facts.rules.join(',') },
  { name: 'CONTROLS', width: 16, of: ({ line }) => textsOf(line.own['controls']).join(',') },
  { name: 'APPROVAL', width: 28, of: (told) => own(told, 'approval') || textOf(objectOf(told.line.own['asked'])['approval']) },
  { name: 'APPROVED-BY', width: 12, of: ({ line }) => textsOf(line.own['approved_by']).join(',') },
  { name: 'LEASE', width: 28, of: (told) => textOf(lease(told)['id']) },
  { name: 'PROVIDER', width: 8, of: (told) => textOf(lease(told)['provider']) },
  {
    name: 'REVOCATION',
    width: 10,
    of: (told) => textOf(lease(told)['revocation']) + (lease(told)['standing'] === true ? ',standing' : ''),
  },
  { name: 'STATUS', width: 6, of: (told) => end(told, 'status') },
  { name: 'ENDED', width: 8, of: (told) => end(told, 'ended') },
  { name: 'MS', width: 8, of: (told) => end(told, 'duration_ms') },
  { name: 'OUT', width: 6, of: (told) => end(told, 'bytes_out') },
  { name: 'IN', width: 6, of: (told) => end(told, 'bytes_in') },
  { name: 'TRACE', width: 32, of: ({ line }) => textOf((line.event as { readonly trace_id?: unknown }).trace_id) },
  { name: 'DETAIL', width: 0, of: ({ line }) => detail(line.own['detail']) },
]

/** The names of the columns. */
export const wideHeader = columns.map(({ name, width }) => name.padEnd(width)).join('  ')

/** One row; `-` stands where there is nothing, and a blank within a value as `_`, so that rows fall into words. */
export function wideRow(line: ParsedLine, outcome: ParsedLine | null, facts: Facts, paint: Paint): string {
  const told = { line, outcome, facts }
  const cells = columns.map(({ name, width, of }) => {
    const value = of(told)
    const cell = (name === 'DETAIL' ? value : value.replaceAll(' ', '_')) || '-'
    return name === 'DECISION' ? paint(styleOf(facts), cell.padEnd(width)) : cell.padEnd(width)
  })
  return cells.join('  ').trimEnd()
}

function styleOf({ decision }: Facts): Parameters<Paint>[0] {
  if (decision === 'deny') return 'red'
  return decision === 'allow' ? 'green' : decision === null ? 'gray' : 'yellow'
}

function detail(value: unknown): string {
  const told = typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value)
  // the names of members are an agent's, too
  return told.replaceAll(/(?! )[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}\u2800]/gu, '?')
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : ''
}
