/** What minting a permit takes and gives, and what came of the call. */
import type { SumKey } from './facts.ts'
import type { ModelCall, Step } from './state.ts'

/** At most `calls` in any `per` ms, of all calls with this key of this task, of this caller, or of everybody. */
export interface RateLimit {
  readonly key: string
  readonly scope: 'task' | 'caller' | 'all'
  readonly calls: number
  readonly per: number
}

/** What minting a permit changes: compared and swapped against the versions that policy saw. */
export interface MintRequest {
  readonly task: string
  readonly caller: string
  readonly seen: { readonly task: number; readonly caller: number }
  readonly now: number
  readonly step: Step
  readonly host: string
  /** Absent or null: none. */
  readonly resource?: string | null
  /** Digest that tells a repeated call; kept and written often, so short: 128 bits in base64url are plenty. */
  readonly repeat: string
  /** Data classes this call reads. */
  readonly data: readonly string[]
  /** Meter → amount, `calls: 1` included. */
  readonly debit: Readonly<Record<string, number>>
  /** The call counts against each of them; absent: against none. */
  readonly limits?: readonly RateLimit[]
  /** Id of the approval that the decision rests on: used once more, or the mint is refused. */
  readonly approval?: string
  /** Amounts that count for the caller, whatever its task; absent: none. */
  readonly sums?: readonly (readonly [key: SumKey, amount: number])[]
}

/** A caller that knows more because another read something and they work on one tree of tasks. */
export interface Raised {
  readonly caller: string
  /** False: it only knows it anew, of later. */
  readonly more: boolean
}

export type MintAnswer =
  /** `raised`: other callers that know of the read from now on; absent: none. */
  | { readonly minted: true; readonly raised?: readonly Raised[] }
  /** `stale`: the facts changed since they were read; `approval`: it is gone; judge again. The others are refusal codes. */
  | {
      readonly minted: false
      readonly why: 'stale' | 'approval' | 'task.unknown' | 'task.ended' | 'task.paused' | 'task.budget' | 'decide.rate-limited'
      readonly detail: string
      /** Ms until the same call may pass, as far as that is known. */
      readonly wait?: number
    }

/** What came of a permitted call. */
export interface Observation {
  readonly failed: boolean
  /** Bytes of its body that went out. */
  readonly sent?: number
  readonly debit?: Readonly<Record<string, number>>
  readonly model?: ModelCall
}
