/** What happened in a task, read from its lines in the ledger. */

/** One thing that happened; a call is one, with its decision, its outcome and what it was lent. */
export interface Moment {
  /** RFC 3339. */
  readonly at: string
  readonly kind: 'call' | 'credential' | 'approval' | 'task' | 'kill' | 'other'
  /** What happened, in a few words. */
  readonly what: string
  /** Its state in a word, and how that looks; null: it has none. */
  readonly mark: { readonly word: string; readonly look: string } | null
  /** Pieces of text beside it. */
  readonly notes: readonly string[]
  /** Call of a decision, or approval, or lease, or child task: its id. */
  readonly id: string | null
}

type Members = Readonly<Record<string, unknown>>

/** Takes stored lines, newest first; gives what they tell of this task, newest first. A line that cannot be read is passed over. */
export function timelineOf(lines: readonly string[], task: string): readonly Moment[] {
  const moments: Moment[] = []
  /** Call → its outcome, which stands before its decision here. */
  const outcomes = new Map<string, Members>()
  for (const text of lines) {
    const line = read(text)
    const own = line === null ? null : members(members(line['custom'])['countersign'])
    if (line === null || own === null || (own['task'] !== task && !isKill(own))) continue
    const id = textOf(line['decision_id'])
    if (own['kind'] === 'outcome') outcomes.set(id, own)
    else if (own['kind'] === 'decision' || own['kind'] === 'refusal') moments.push(callOf(line, own, outcomes.get(id) ?? null))
    else if (own['kind'] === 'event') moments.push(eventOf(textOf(line['timestamp']), own))
  }
  return moments
}

function isKill(own: Members): boolean {
  return textOf(own['event']).startsWith('kill.')
}

/** Classes that a task read, oldest first: when each came in, by which call. */
export function sensitivityOf(
  moments: readonly Moment[],
): readonly { readonly at: string; readonly classes: string; readonly what: string }[] {
  return moments
    .flatMap(({ at, what, notes }) =>
      notes.filter((note) => note.startsWith(reads)).map((note) => ({ at, classes: note.slice(reads.length), what })),
    )
    .toReversed()
}

const reads = 'read '

function callOf(line: Members, own: Members, outcome: Members | null): Moment {
  const request = members(members(line['input'])['request'])
  const target = [request['method'], request['path']].map((one) => textOf(one)).join(' ')
  const code = textOf(outcome?.['code'] ?? own['code'])
  const refused = own['kind'] === 'refusal'
  const effect = textOf(own['effect'])
  const asked = textOf(members(own['asked'])['approval'])
  const mark = refused
    ? { word: asked === '' ? 'refused' : 'asked', look: asked === '' ? 'stop' : 'pending' }
    : { word: outcome?.['ended'] === 'cut' ? 'cut' : effect, look: outcome?.['ended'] === 'cut' ? 'stop' : 'approved' }
  return {
    at: textOf(line['timestamp']),
    kind: 'call',
    what: textOf(own['tool']) || target.trim() || 'a call',
    mark,
    notes: [
      ...named('', textOf(own['resource']) || target.trim()),
      ...named('', code),
      ...list(own['rules'], 'by '),
      ...(asked === '' ? [] : [`asked as ${asked}`]),
      ...list(own['approved_by'], 'approved by '),
      ...endOf(outcome, members(members(line['input'])['tool'])['data']),
    ],
    id: textOf(line['decision_id']) || null,
  }
}

/** `data`: what the tool is known to give; what else an answer held is `raised`. */
function endOf(outcome: Members | null, data: unknown): string[] {
  if (outcome === null) return []
  const { status, duration_ms: took, bytes_in: bytes, lease, raised } = outcome
  const lent = textOf(members(lease)['provider'])
  return [
    ...(typeof status === 'number' && status > 0 ? [`${status}`] : []),
    ...(typeof took === 'number' ? [`${took < 10 ? Math.round(took * 10) / 10 : Math.round(took)} ms`] : []),
    ...(typeof bytes === 'number' && bytes > 0 ? [`${bytes.toLocaleString('en')} bytes back`] : []),
    ...named('lent by ', lent),
    ...(typeof status === 'number' && status > 0 ? list(raised ?? data, reads) : []),
  ]
}

/** Kind of event → what is said of it. */
const said: Readonly<Record<string, readonly [kind: Moment['kind'], what: string, look: string | null]>> = {
  'task.opened': ['task', 'The task was opened', 'active'],
  'task.handed-on': ['task', 'A part was handed on', null],
  'task.paused': ['task', 'Paused', 'paused'],
  'task.resumed': ['task', 'Resumed', 'active'],
  'task.reauthorised': ['task', 'Goes on in another session, or under another policy', null],
  'task.completed': ['task', 'Completed', 'plain'],
  'task.revoked': ['task', 'Revoked', 'stop'],
  'task.expired': ['task', 'Its time was over', 'plain'],
  'lease.issued': ['credential', 'A credential was issued', 'active'],
  'lease.renewed': ['credential', 'A credential was renewed', 'active'],
  'lease.renewal-failed': ['credential', 'A credential could not be renewed', 'stop'],
  'lease.revoked': ['credential', 'A credential was taken back', 'plain'],
  'lease.expired': ['credential', 'A credential ended by itself', 'plain'],
  'lease.discarded': ['credential', 'A credential was discarded', 'plain'],
  'lease.orphaned': ['credential', 'A credential could not be taken back: it is left to its end', 'stop'],
  'lease.revocation-failed': ['credential', 'Taking a credential back failed', 'stop'],
  'lease.revocation-overdue': ['credential', 'Taking a credential back takes long', 'stop'],
  'approval.opened': ['approval', 'A person was asked', 'pending'],
  'approval.answered': ['approval', 'A person answered', null],
  'approval.approved': ['approval', 'It is approved', 'approved'],
  'approval.declined': ['approval', 'It is declined', 'stop'],
  'approval.expired': ['approval', 'Nobody answered in time', 'plain'],
  'approval.redeemed': ['approval', 'The approval was used', 'plain'],
  'approval.withdrawn': ['approval', 'The approval was taken back', 'plain'],
  'approval.escalated': ['approval', 'Others were told: nobody had answered', 'pending'],
  'kill.engaged': ['kill', 'A kill was engaged', 'stop'],
  'kill.completed': ['kill', 'The kill is carried out', 'stop'],
  'kill.lifted': ['kill', 'The kill was lifted', 'plain'],
}

function eventOf(at: string, own: Members): Moment {
  const event = textOf(own['event'])
  const detail = members(own['detail'])
  const [kind, what, look] = Object.hasOwn(said, event) ? (said[event] ?? unknown(event)) : unknown(event)
  const of = (name: string, before: string): string[] => named(before, textOf(detail[name]))
  const until =
    typeof detail['expires'] === 'number' && kind === 'credential'
      ? [`until ${new Date(detail['expires']).toISOString().slice(11, 19)}`]
      : []
  return {
    at,
    kind,
    what,
    mark: look === null ? null : { word: event.slice(event.indexOf('.') + 1), look },
    notes: [
      ...named('by ', textOf(own['by'])),
      ...of('verdict', ''),
      ...of('to', 'to '),
      ...of('provider', 'provider '),
      ...list(detail['scopes'], 'scopes '),
      ...of('tool', 'for '),
      ...until,
      ...of('scope', 'of '),
      ...of('name', ''),
      ...of('cause', ''),
      ...of('reason', ''),
    ],
    id: ['approval', 'id', 'kill', 'grant'].map((name) => textOf(detail[name])).find((one) => one !== '') ?? null,
  }
}

function unknown(event: string): readonly [Moment['kind'], string, null] {
  return ['other', event, null]
}

function named(before: string, text: string): string[] {
  return text === '' ? [] : [`${before}${text}`]
}

function list(value: unknown, before: string): string[] {
  const texts = Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []
  return texts.length === 0 ? [] : [`${before}${texts.join(', ')}`]
}

function read(text: string): Members | null {
  try {
    const line: unknown = JSON.parse(text)
    return line !== null && typeof line === 'object' ? (line as Members) : null
  } catch {
    return null
  }
}

function members(value: unknown): Members {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Members) : {}
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
