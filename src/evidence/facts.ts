/** What a stored ledger line, or a call with both its lines, is found by. The line may come from anywhere: nothing in it is taken for granted. */

/** What Countersign said of a call; `ask` and `defer` also of the event that a call waits. */
export const decisions = ['allow', 'deny', 'ask', 'defer'] as const
export type DecisionWord = (typeof decisions)[number]

/** A stored line as it was parsed. Texts are as they stand: whoever shows them makes them safe. */
export interface StoredEvent {
  readonly decision_id?: unknown
  readonly timestamp?: unknown
  readonly input?: unknown
  readonly result?: unknown
  readonly custom?: unknown
}

/** One ledger line. */
export interface ParsedLine {
  readonly id: string
  readonly event: StoredEvent
  /** `custom.countersign`. */
  readonly own: Readonly<Record<string, unknown>>
}

export interface Facts {
  /** Of the line, or of both lines of a call; the name of an event too. */
  readonly kinds: readonly string[]
  /** Null: the line says nothing of a decision. */
  readonly decision: DecisionWord | null
  /** SPIFFE IDs of the caller, or of who did what an event tells, and the registration. */
  readonly agents: readonly string[]
  /** Empty where there is none, as in the texts below. */
  readonly task: string
  readonly route: string
  readonly tool: string
  readonly rules: readonly string[]
  readonly code: string
  /** When each line was made, epoch ms; NaN when a line does not say. */
  readonly times: readonly number[]
}

/** Parses a stored line; null when it is none of ours. `reviver` as `JSON.parse` has it. */
export function parseLine(text: string, reviver?: (key: string, value: unknown) => unknown): ParsedLine | null {
  let event: unknown
  try {
    event = JSON.parse(text, reviver)
  } catch {
    return null
  }
  const own = objectOf(objectOf(event)['custom'])['countersign']
  if (own === null || typeof own !== 'object' || Array.isArray(own)) return null
  const stored: StoredEvent = objectOf(event)
  return { id: textOf(stored.decision_id), event: stored, own: objectOf(own) }
}

/** What filters ask of one line. */
export function factsOf({ event, own }: ParsedLine): Facts {
  return { ...shortFacts(own), times: [typeof event.timestamp === 'string' ? Date.parse(event.timestamp) : Number.NaN] }
}

/** The same but for its time, by what it says under `custom.countersign`. */
export function shortFacts(own: ParsedLine['own']): Facts {
  const detail = objectOf(own['detail'])
  const [kind, name, code] = [textOf(own['kind']), textOf(own['event']), textOf(own['code'])]
  const by = textOf(own['by'])
  return {
    kinds: name === '' ? [kind] : [kind, name],
    decision: decisionOf(kind, kind === 'event' ? name : code),
    agents: [textOf(own['caller']), textOf(own['agent']), by.startsWith('spiffe://') ? by : ''].filter((id) => id !== ''),
    task: textOf(own['task']) || textOf(own['task_named']),
    route: textOf(own['route']) || textOf(detail['route']),
    tool: textOf(own['tool']) || textOf(detail['tool']),
    rules: [...textsOf(own['rules']), ...textsOf(objectOf(own['answer'])['rules'])],
    code,
    times: [],
  }
}

/** A call with both its lines: what it was judged by, and how it ended. */
export function joined(decision: Facts, outcome: Facts): Facts {
  return {
    kinds: [...decision.kinds, ...outcome.kinds],
    decision: outcome.decision,
    agents: [...decision.agents, ...outcome.agents],
    task: decision.task || outcome.task,
    route: decision.route || outcome.route,
    tool: decision.tool || outcome.tool,
    rules: [...decision.rules, ...outcome.rules],
    code: outcome.code,
    times: [...decision.times, ...outcome.times],
  }
}

function decisionOf(kind: string, why: string): DecisionWord | null {
  if (kind === 'decision') return 'allow'
  if (why === 'approve.required' || why === 'approval.opened') return 'ask'
  if (why === 'approve.deferred' || why === 'defer.opened') return 'defer'
  if (kind === 'refusal') return 'deny'
  return kind === 'outcome' ? (why === '' ? 'allow' : 'deny') : null
}

/** The object that a value is, or an empty one. */
export function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}

/** A string, or empty. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** The strings of a list. */
export function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []
}
