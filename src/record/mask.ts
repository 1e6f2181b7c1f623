/** Masks what a line says of a call, by policy, before it is hashed: nothing is ever left out of the ledger, only masked in it. */

import type { Engine } from '../decide/engine.ts'
import { applyMaskRules, readMaskRules, type Maskable } from './mask-rules.ts'
import type { Pseudonym } from './pseudonym.ts'
import type { LedgerEvent } from './record.ts'

/** What policy may mask of a line, as JSON text, with the paths that are gone from it. */
export interface Spoken {
  readonly input: string
  /** Null for a call that was not judged. */
  readonly result: string | null
  readonly erased: readonly string[]
  readonly masked: readonly string[]
  /** Those of the masked that have a pseudonym. */
  readonly hashed: readonly string[]
  /** Masking failed, and all of it was withheld. */
  readonly withheld: boolean
}

/** What masks. */
export interface Masking {
  /** Parses JSON text; a key is never given the text of another. */
  readonly parse: (text: string) => unknown
  readonly log: { error(o: object, m: string): void }
  /** The policy in force, for calls that none judged; null when there is none. */
  readonly engine: () => Engine | null
  /** Absent: policy that asks for pseudonyms has the line withheld. */
  readonly pseudonym?: Pseudonym | undefined
}

const noPseudonym: Pseudonym = () => {
  throw new Error('policy asks for pseudonyms, and there is no key for them')
}

/**
 * Asks `system/log/mask` about the whole event and does as it says. Gives `spoken` as it is when policy has no such entrypoint or
 * masks nothing. Whatever goes wrong, the answer is an event without input and result: fully redacted, never lost.
 * `engine` is null when no policy is in force: what it would mask is not known then.
 */
export function maskSpoken(spoken: Spoken, event: (spoken: Spoken) => string, engine: Engine | null, masking: Masking): Spoken {
  if (engine !== null && !engine.answers('system/log/mask')) return spoken
  try {
    if (engine === null) throw new Error('no policy is in force')
    const answer = engine.evaluate('system/log/mask', event(spoken))
    const rules = answer === undefined ? [] : readMaskRules(answer)
    if (rules.length === 0) return spoken
    const parts: Maskable = {
      input: masking.parse(spoken.input),
      result: spoken.result === null ? undefined : masking.parse(spoken.result),
    }
    const { erased, masked, hashed } = applyMaskRules(rules, parts, masking.pseudonym ?? noPseudonym)
    return {
      input: JSON.stringify(parts.input) ?? 'null',
      result: spoken.result === null ? null : (JSON.stringify(parts.result) ?? 'null'),
      erased: [...spoken.erased, ...erased],
      masked,
      hashed,
      withheld: false,
    }
  } catch (error) {
    masking.log.error(
      { error: error instanceof Error ? error.message : 'unknown' },
      'a line could not be masked: its input and result are withheld',
    )
    return {
      input: 'null',
      result: spoken.result === null ? null : 'null',
      erased: ['/input', ...(spoken.result === null ? [] : ['/result'])],
      masked: [],
      hashed: [],
      withheld: true,
    }
  }
}

/**
 * Asks `system/log/mask` about an event that is no call, with `{v, event}` as its input, and gives its `detail` as masked: what policy hides of a
 * person in the lines of calls, it can hide there too. Who did something (`by`) stays: somebody answers for it.
 */
export function maskDetail(event: LedgerEvent, masking: Masking): LedgerEvent {
  const engine = masking.engine()
  if (engine === null || !engine.answers('system/log/mask')) return event
  try {
    const input = {
      v: 1,
      event: { kind: event.kind, task: event.task ?? null, caller: event.caller ?? null, by: event.by, detail: event.detail },
    }
    const answer = engine.evaluate('system/log/mask', JSON.stringify({ path: 'countersign/event', input }))
    const rules = answer === undefined ? [] : readMaskRules(answer)
    if (rules.length === 0) return event
    const parts: Maskable = { input: masking.parse(JSON.stringify(input)), result: undefined }
    const { erased, masked } = applyMaskRules(rules, parts, masking.pseudonym ?? noPseudonym)
    if (![...erased, ...masked].some((path) => path === '/input' || path.startsWith('/input/event'))) return event
    return { ...event, detail: detailOf(parts.input) }
  } catch (error) {
    masking.log.error(
      { event: event.kind, error: error instanceof Error ? error.message : 'unknown' },
      'an event could not be masked: its detail is withheld',
    )
    return { ...event, detail: { withheld: true } }
  }
}

function detailOf(input: unknown): LedgerEvent['detail'] {
  const event = typeof input === 'object' && input !== null ? (input as Readonly<Record<string, unknown>>)['event'] : null
  const detail = typeof event === 'object' && event !== null ? (event as Readonly<Record<string, unknown>>)['detail'] : null
  return typeof detail === 'object' && detail !== null && !Array.isArray(detail) ? (detail as LedgerEvent['detail']) : { withheld: true }
}
