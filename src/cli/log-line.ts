import { styleText } from 'node:util'

/** What a compact or wide line needs of one stored ledger line; everything optional, for the line may come from anywhere. */
interface Stored {
  readonly decision_id?: string
  readonly timestamp?: string
  readonly input?: { readonly request?: { readonly method?: string; readonly path?: string } }
  readonly result?: { readonly reasons?: readonly { readonly rule?: string; readonly message_agent?: string }[] }
  readonly metrics?: { readonly timer_rego_query_eval_ns?: number }
  readonly custom?: { readonly countersign?: Readonly<Record<string, unknown>> }
}

/** The parts of a call that filters look at. */
export interface LogFields {
  readonly kind: string
  readonly decision: 'allow' | 'deny' | 'ask' | null
  readonly caller: string
  readonly task: string
  readonly route: string
  readonly tool: string
  readonly rules: readonly string[]
  readonly code: string
  readonly time: number
}

/** One ledger line, read for people. */
export interface LogLine {
  readonly text: string
  readonly id: string
  readonly fields: LogFields
  readonly stored: Stored
  readonly own: Readonly<Record<string, unknown>>
}

/** Reads a stored line; null when it is not one of ours. */
export function readLogLine(text: string): LogLine | null {
  let stored: Stored
  try {
    // what an agent wrote never moves the cursor: control characters of every string become `?` (of keys, where they are printed)
    const parsed: unknown = JSON.parse(text, (_key, value: unknown) => (typeof value === 'string' ? clean(value) : value))
    if (parsed === null || typeof parsed !== 'object') return null
    stored = parsed
  } catch {
    return null
  }
  const own = stored.custom?.countersign
  if (own === undefined || typeof own !== 'object') return null
  const rules = Array.isArray(own['rules']) ? own['rules'].map(String) : []
  const fields: LogFields = {
    kind: word(own, 'kind'),
    decision: decisionOf(word(own, 'kind'), word(own, 'code'), word(own, 'effect')),
    caller: word(own, 'caller'),
    task: word(own, 'task') || word(own, 'task_named'),
    route: word(own, 'route'),
    tool: word(own, 'tool'),
    rules,
    code: word(own, 'code'),
    time: Date.parse(stored.timestamp ?? ''),
  }
  return { text, id: stored.decision_id ?? '', fields, stored, own }
}

function decisionOf(kind: string, code: string, effect: string): LogFields['decision'] {
  if (kind === 'decision') return 'allow'
  if (code === 'approve.required') return 'ask'
  if (kind === 'refusal') return 'deny'
  if (kind === 'outcome') return code === '' ? 'allow' : 'deny'
  return effect === 'allow' || effect === 'deny' || effect === 'ask' ? effect : null
}

/** Joins a decision with its outcome, so that a permitted call is one compact line; refusals and events stand alone. */
export class LogWriter {
  readonly #colour: boolean
  readonly #wide: boolean
  /** Decisions whose outcome has not come yet; the oldest is printed as it is when there are too many. */
  readonly #open = new Map<string, LogLine>()

  constructor(options: { readonly colour: boolean; readonly wide: boolean }) {
    this.#colour = options.colour
    this.#wide = options.wide
  }

  /** Gives the text to print now, or null while an outcome is still to come. */
  push(line: LogLine): string | null {
    if (line.fields.kind === 'checkpoint')
      return this.#wide ? this.#paint('gray', `${clock(line)}   checkpoint at ${word(line.own, 'seq')}`) : null
    if (line.fields.kind === 'decision') {
      this.#open.set(line.id, line)
      const oldest = this.#open.size > 10_000 ? this.#open.values().next().value : undefined
      if (oldest === undefined) return null
      this.#open.delete(oldest.id)
      return this.#call(oldest, null)
    }
    if (line.fields.kind === 'outcome') {
      const decision = this.#open.get(line.id) ?? null
      this.#open.delete(line.id)
      return this.#call(decision ?? line, line)
    }
    return line.fields.kind === 'refusal' ? this.#call(line, null) : this.#event(line)
  }

  #call(line: LogLine, outcome: LogLine | null): string {
    const code = outcome?.fields.code || line.fields.code
    const ask = code === 'approve.required'
    const mark = ask ? this.#paint('yellow', '⏸') : code ? this.#paint('red', '✗') : this.#paint('green', '✓')
    const request = line.stored.input?.request
    const where = line.fields.tool || request?.path || line.fields.route || '-'
    const parts = [
      clock(outcome ?? line),
      mark,
      shortName(line.fields.caller).padEnd(14),
      shortTask(line.fields.task).padEnd(14),
      `${request?.method ?? ''} ${where}`.trim(),
    ]
    const downstream = typeof line.own['downstream'] === 'string' ? line.own['downstream'] : ''
    if (downstream) parts.push(this.#paint('gray', `→ ${downstream}`))
    parts.push(...this.#identity(line))
    if (code) parts.push(this.#why(line, code))
    parts.push(...this.#people(line))
    if (outcome) parts.push(...this.#effect(outcome))
    else if (line.stored.metrics?.timer_rego_query_eval_ns !== undefined)
      parts.push(this.#paint('gray', `${(line.stored.metrics.timer_rego_query_eval_ns / 1e6).toFixed(2)} ms policy`))
    if (this.#wide)
      parts.push(this.#paint('gray', [line.id, line.fields.caller, request?.path ?? '', ...detailOf(line)].filter(Boolean).join('  ')))
    return parts.join('  ')
  }

  /** Who is asked, or who said yes. */
  #people({ own }: LogLine): string[] {
    const { asked, approved_by: by } = own
    if (asked !== null && typeof asked === 'object' && 'approval' in asked) return [String(asked.approval)]
    if (!Array.isArray(by)) return []
    const names = by.map((name) => String(name).replace(/^person:/, '')).join(', ')
    return [own['break_glass'] === true ? this.#paint('red', `glass broken by ${names}`) : `approved by ${names}`]
  }

  /** For whom, and whether the caller was proven by nothing at all, or by more than a token that whoever holds it can use. */
  #identity({ own }: LogLine): string[] {
    const parts: string[] = []
    const human = own['human']
    if (human !== null && typeof human === 'object' && 'subject' in human) parts.push(this.#paint('gray', `for ${String(human.subject)}`))
    const [method, confirmed] = [word(own, 'method'), word(own, 'confirmed')]
    if (method === 'ambient') parts.push(this.#paint('yellow', 'ambient'))
    else if (confirmed === 'mtls' || confirmed === 'dpop') parts.push(this.#paint('gray', confirmed))
    else if (this.#wide && method !== '') parts.push(this.#paint('gray', method))
    return parts
  }

  #why(line: LogLine, code: string): string {
    const rules = line.fields.rules.filter((rule) => rule !== '')
    const controls = Array.isArray(line.own['controls']) ? line.own['controls'].map(String) : []
    const short = controls.filter((control) => /^(ASI|NHI)\d/.test(control))
    return `${rules.length > 0 ? rules.join(', ') : code}${short.length > 0 ? ` (${short.join(' ')})` : ''}`
  }

  #effect(outcome: LogLine): string[] {
    const parts: string[] = []
    const lease = outcome.own['lease']
    if (lease !== null && typeof lease === 'object' && 'id' in lease && 'provider' in lease && 'revocation' in lease) {
      const standing = 'standing' in lease && lease.standing === true ? ', standing' : ''
      parts.push(`lease ${shortTask(String(lease.id))} (${String(lease.provider)}, ${revocationWord(String(lease.revocation))}${standing})`)
    }
    const ended = word(outcome.own, 'ended')
    parts.push(word(outcome.own, 'status') || '-')
    if (ended !== 'complete' && ended !== '') parts.push(this.#paint('yellow', ended))
    if (typeof outcome.own['duration_ms'] === 'number') parts.push(`${outcome.own['duration_ms'].toFixed(1)} ms`)
    return parts
  }

  #event(line: LogLine): string {
    const name = word(line.own, 'event') || line.fields.kind
    const detail = line.own['detail']
    const text = this.#wide && detail !== undefined ? `  ${clean(JSON.stringify(detail))}` : ''
    const who = shortName(word(line.own, 'by')).padEnd(14)
    if (name.startsWith('kill.'))
      return `${clock(line)}  ${this.#paint('red', '■')}  ${who}  ${shortTask(line.fields.task).padEnd(14)}  ${this.#paint('red', name)}  ${killText(detail)}${text}`
    return `${clock(line)}  ${this.#paint('cyan', '·')}  ${who}  ${shortTask(line.fields.task).padEnd(14)}  ${name}${text || eventText(detail)}`
  }

  #paint(style: 'gray' | 'red' | 'green' | 'yellow' | 'cyan', text: string): string {
    return this.#colour ? styleText(style, text, { validateStream: false }) : text
  }
}

/** To whom, what was answered, and why, where an event says so. */
function eventText(detail: unknown): string {
  const own: Readonly<Record<string, unknown>> = detail !== null && typeof detail === 'object' ? { ...detail } : {}
  const to = shortName(word(own, 'to'))
  const why = ['purpose', 'reason', 'cause'].flatMap((name) => (word(own, name) === '' ? [] : [`"${word(own, name)}"`]))
  return [to === '' ? '' : `to ${to}`, word(own, 'verdict'), ...why].map((part) => (part === '' ? '' : `  ${part}`)).join('')
}

/** What a kill stops, or what came of it, and why. */
function killText(detail: unknown): string {
  const own: Readonly<Record<string, unknown>> = detail !== null && typeof detail === 'object' ? { ...detail } : {}
  const counts = ['cut', 'tasks', 'leases'].flatMap((each) => (typeof own[each] === 'number' ? [`${each} ${own[each]}`] : []))
  const faults = Array.isArray(own['faults']) ? own['faults'].map(String) : []
  const parts = [
    word(own, 'scope'),
    word(own, 'name'),
    word(own, 'reason') && `"${word(own, 'reason')}"`,
    ...counts,
    ...faults,
    word(own, 'kill'),
  ]
  return parts.filter((part) => part !== '').join('  ')
}

/** A string or number member as text; empty when it is neither. */
function word(own: Readonly<Record<string, unknown>>, name: string): string {
  const value = own[name]
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : ''
}

function detailOf(line: LogLine): string[] {
  return typeof line.own['detail'] === 'string' ? [line.own['detail']] : []
}

function clock(line: LogLine): string {
  return /T(\d{2}:\d{2}:\d{2}\.\d{3})/.exec(line.stored.timestamp ?? '')?.[1] ?? '--:--:--.---'
}

function shortName(id: string): string {
  return id.slice(id.lastIndexOf('/') + 1)
}

/** `t_01JD…7Q`: enough of an id to tell tasks apart, `-` when there is none. */
function shortTask(id: string): string {
  return id.length > 12 ? `${id.slice(0, 6)}…${id.slice(-4)}` : id || '-'
}

function revocationWord(revocation: string): string {
  if (revocation === 'issuer') return 'revoke at issuer'
  return revocation === 'expiry' ? 'ends by expiry' : 'discarded here'
}

function clean(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?')
}
