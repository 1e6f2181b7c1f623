/** What became of a permitted call, as observed here. */
export interface Outcome {
  /** Upstream status; null when no answer came. */
  readonly status: number | null
  /** `unknown` is written only at start, for calls a crash left open. */
  readonly ended: 'complete' | 'client-gone' | 'upstream-gone' | 'cut' | 'refused' | 'unknown'
  readonly bytesOut: number
  readonly bytesIn: number
  /** Lower-case hex of a streamed request body; null when it was judged (its digest is in the decision) or there was none. */
  readonly bodySha256: string | null
  /** Address really dialled, `ip:port`; null when none was. */
  readonly dialled: string | null
}
