/** Masks what a line says of a call, by policy, before it is hashed: nothing is ever left out of the ledger, only masked in it. */

import type { Engine } from '../decide/engine.ts'
import { applyMaskRules, readMaskRules, type Maskable } from './mask-rules.ts'

/** What policy may mask of a line, as JSON text, with the paths that are gone from it. */
export interface Spoken {
  readonly input: string
  /** Null for a call that was not judged. */
  readonly result: string | null
  readonly erased: readonly string[]
  readonly masked: readonly string[]
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
    const { erased, masked } = applyMaskRules(rules, parts)
    return {
      input: JSON.stringify(parts.input) ?? 'null',
      result: spoken.result === null ? null : (JSON.stringify(parts.result) ?? 'null'),
      erased: [...spoken.erased, ...erased],
      masked,
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
      withheld: true,
    }
  }
}
