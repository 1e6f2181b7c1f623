/** A stored ledger line as text that a person reads on a terminal: what an agent wrote never moves the cursor nor hides. */

import { factsOf, joined, objectOf, parseLine, textOf, textsOf, type Facts, type ParsedLine } from '../evidence/facts.ts'
import { Palette, type Paint } from './log-paint.ts'
import { wideRow } from './log-wide.ts'
import { eventText, killText } from './log-event.ts'

/** One ledger line, its texts made safe to print. */
export interface LogLine extends ParsedLine {
  readonly kind: string
  readonly facts: Facts
}

/** What JSON has when a text in it may not be safe: something beyond plain ASCII, as it is or as an escape. */
const odd = /[^ -~]|\\[^"\\/]/

/** Reads a stored line; null when it is not one of ours. */
export function readLogLine(text: string): LogLine | null {
  // of keys, `safe` is asked where they are printed
  const line = parseLine(text, odd.test(text) ? (_key, value) => (typeof value === 'string' ? safe(value) : value) : undefined)
  return line === null ? null : { ...line, kind: textOf(line.own['kind']), facts: factsOf(line) }
}

/** What cannot be seen, or moves what can, becomes `?`: controls, format and bidirectional characters, blanks of other widths. */
export function safe(text: string): string {
  return text.replaceAll(/(?! )[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}\u2800]/gu, '?')
}

export interface LogWriterOptions {
  readonly colour: boolean
  readonly wide: boolean
  /** Asked with all that is known when something is printed. Default: everything but checkpoints is wanted. */
  readonly keep?: (facts: Facts) => boolean
}

interface Open {
  readonly line: LogLine
  /** When it came, by `now` of `push`. */
  readonly at: number
  printed: boolean
}

/** Decisions that wait for their outcome; the oldest is printed as it is when there are more. */
const mostOpen = 10_000

/** Joins a decision with its outcome, so that a permitted call is one line; refusals and events stand alone. */
export class LogWriter {
  readonly #paint: Paint
  readonly #wide: boolean
  readonly #keep: (facts: Facts) => boolean
  readonly #open = new Map<string, Open>()

  constructor({ colour, wide, keep = ({ kinds }) => !kinds.includes('checkpoint') }: LogWriterOptions) {
    this.#paint = new Palette(colour).paint
    this.#wide = wide
    this.#keep = keep
  }

  /** Gives the text to print now, or null while an outcome is still to come. `now`: ms, for `overdue`. */
  push(line: LogLine, now = 0): string | null {
    switch (line.kind) {
      case 'decision':
        return this.#begun(line, now)
      case 'outcome': {
        const open = this.#open.get(line.id)
        this.#open.delete(line.id)
        const facts = open === undefined ? line.facts : joined(open.line.facts, line.facts)
        // what was shown as open is shown to its end
        return this.#keep(facts) || open?.printed === true ? this.#call(open?.line ?? line, line, facts) : null
      }
      case 'refusal':
        return this.#keep(line.facts) ? this.#call(line, null, line.facts) : null
      default:
        return this.#keep(line.facts) ? this.#event(line) : null
    }
  }

  /** Calls that have come `before` and have not ended, each once. */
  overdue(before: number): string[] {
    const texts: string[] = []
    for (const open of this.#open.values()) {
      if (open.at > before) break
      if (!open.printed && this.#keep(open.line.facts)) texts.push(this.#call(open.line, null, open.line.facts))
      open.printed = true
    }
    return texts
  }

  #begun(line: LogLine, at: number): string | null {
    // one that is given again keeps its place
    this.#open.set(line.id, this.#open.get(line.id) ?? { line, at, printed: false })
    const oldest = this.#open.size > mostOpen ? this.#open.values().next().value : undefined
    if (oldest === undefined) return null
    this.#open.delete(oldest.line.id)
    return oldest.printed || !this.#keep(oldest.line.facts) ? null : this.#call(oldest.line, null, oldest.line.facts)
  }

  #call(line: LogLine, outcome: LogLine | null, facts: Facts): string {
    if (this.#wide) return wideRow(line, outcome, facts, this.#paint)
    const paint = this.#paint
    const { own } = line
    const request = objectOf(objectOf(line.event.input)['request'])
    const where = facts.tool || textOf(request['path']) || facts.route || '-'
    const downstream = textOf(own['downstream'])
    const parts = [
      clock(outcome ?? line),
      markOf(facts, paint),
      shortName(textOf(own['caller'])).padEnd(14),
      shortId(facts.task).padEnd(14),
      `${brief(textOf(request['method']), 12)} ${brief(where, 80)}`.trim(),
    ]
    const resource = textOf(own['resource'])
    if (resource !== '') parts.push(brief(resource, 48))
    if (downstream !== '') parts.push(paint('gray', `→ ${brief(downstream, 80)}`))
    parts.push(...proofOf(line, paint))
    if (facts.code !== '') parts.push(whyOf(line, facts.code))
    parts.push(...observed(line, paint), ...peopleOf(line, paint))
    if (outcome !== null) parts.push(...effectOf(outcome, paint))
    else if (line.kind === 'decision') parts.push(paint('yellow', 'not ended'))
    else parts.push(...evaluation(line, paint))
    return parts.join('  ')
  }

  #event(line: LogLine): string {
    if (this.#wide) return wideRow(line, null, line.facts, this.#paint)
    const paint = this.#paint
    const { own, facts, kind } = line
    const name = textOf(own['event']) || kind
    const who = shortName(textOf(own['by']) || facts.agents[0] || '').padEnd(14)
    const start = (mark: string): string => `${clock(line)}  ${mark}  ${who}  ${shortId(facts.task).padEnd(14)}  `
    if (kind === 'checkpoint') return `${start(paint('gray', '·'))}checkpoint at ${Number(own['seq'])}`
    if (name.startsWith('kill.')) return `${start(paint('red', '■'))}${paint('red', name)}  ${killText(own['detail'])}`
    const mark = facts.decision === null ? paint('cyan', '·') : markOf(facts, paint)
    return `${start(mark)}${name}${eventText(own['detail'])}`
  }
}

/** What was decided, as a sign. */
function markOf({ decision }: Facts, paint: Paint): string {
  if (decision === 'ask' || decision === 'defer') return paint('yellow', '⏸')
  return decision === 'deny' ? paint('red', '✗') : paint('green', '✓')
}

/** For whom, and whether the caller was proven by nothing at all, or by more than a token that whoever holds it can use. */
function proofOf({ own }: LogLine, paint: Paint): string[] {
  const parts: string[] = []
  const subject = textOf(objectOf(own['human'])['subject'])
  if (subject !== '') parts.push(paint('gray', `for ${brief(subject, 48)}`))
  const confirmed = textOf(own['confirmed'])
  if (own['method'] === 'ambient') parts.push(paint('yellow', 'ambient'))
  else if (confirmed === 'mtls' || confirmed === 'dpop') parts.push(paint('gray', confirmed))
  return parts
}

function whyOf({ facts, own }: LogLine, code: string): string {
  const rules = facts.rules.filter((rule) => rule !== '').map((rule) => brief(rule, 80))
  const short = textsOf(own['controls']).filter((control) => /^(ASI|NHI)\d/.test(control))
  return `${rules.length > 0 ? rules.join(', ') : code}${short.length > 0 ? ` (${short.join(' ')})` : ''}`
}

/** What enforcing would have done. */
function observed({ own }: LogLine, paint: Paint): string[] {
  const effect = textOf(own['observed'])
  return effect === '' ? [] : [paint('yellow', `observed: ${effect} ${textsOf(own['rules']).join(', ')}`.trimEnd())]
}

/** Who is asked, or who said yes. */
export function peopleOf({ own }: LogLine, paint: Paint): string[] {
  const asked = textOf(objectOf(own['asked'])['approval'])
  if (asked !== '') return [asked]
  const by = textsOf(own['approved_by'])
  if (by.length === 0) return []
  const names = by.map((name) => brief(name.replace(/^person:/, ''), 64)).join(', ')
  return [own['break_glass'] === true ? paint('red', `glass broken by ${names}`) : `approved by ${names}`]
}

function effectOf({ own }: LogLine, paint: Paint): string[] {
  const parts: string[] = []
  const lease = objectOf(own['lease'])
  const id = textOf(lease['id'])
  if (id !== '') {
    const standing = lease['standing'] === true ? ', standing' : ''
    parts.push(`lease ${shortId(id)} (${textOf(lease['provider'])}, ${revocationWord(textOf(lease['revocation']))}${standing})`)
  }
  const [ended, status, took] = [textOf(own['ended']), own['status'], own['duration_ms']]
  parts.push(typeof status === 'number' ? String(status) : '-')
  if (ended !== 'complete' && ended !== '') parts.push(paint('yellow', ended))
  if (typeof took === 'number') parts.push(`${took.toFixed(1)} ms`)
  return parts
}

function evaluation({ event }: LogLine, paint: Paint): string[] {
  const { metrics } = event as { readonly metrics?: unknown }
  const ns = objectOf(metrics)['timer_rego_query_eval_ns']
  return typeof ns === 'number' ? [paint('gray', `${(ns / 1e6).toFixed(2)} ms policy`)] : []
}

function clock({ event }: LogLine): string {
  return /T(\d{2}:\d{2}:\d{2}\.\d{3})/.exec(textOf(event.timestamp))?.[1] ?? '--:--:--.---'
}

function shortName(id: string): string {
  return brief(id.slice(id.lastIndexOf('/') + 1), 40)
}

/** `t_01JD…7Q`: enough of an id to tell tasks apart, `-` when there is none. */
function shortId(id: string): string {
  return id.length > 12 ? `${id.slice(0, 6)}…${id.slice(-4)}` : id || '-'
}

/** The beginning of a text that is too long for a line. */
function brief(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text
}

function revocationWord(revocation: string): string {
  if (revocation === 'issuer') return 'revoke at issuer'
  return revocation === 'expiry' ? 'ends by expiry' : 'discarded here'
}
