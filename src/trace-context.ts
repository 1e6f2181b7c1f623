/** W3C Trace Context: what a call brings, and whether it is traced here. */

import { randomBytes } from 'node:crypto'

/** The place of a call in a trace that is recorded. All ids are lower-case hex. */
export interface Trace {
  /** 32 digits. */
  readonly id: string
  /** The span that called, 16 digits; null where the trace begins here. */
  readonly parent: string | null
  /** Our span. */
  readonly span: string
  /** Our call of the upstream, whose parent ours is: the upstream is told this one. */
  readonly out: string
}

/** Decides by the `traceparent` of a call whether it is traced; null: it is not, and its header goes on as it came. */
export type Sample = (traceparent: string | undefined) => Trace | null

/**
 * Traces what its caller traces, and of calls that bring no trace a share of `ratio` (0 to 1): W3C §3.3, the flag `sampled`.
 * A caller that traces and does not sample is not traced here either.
 */
export function sampler(ratio: number, random: () => number = Math.random): Sample {
  return (traceparent) => {
    const id = traceId(traceparent)
    if (id === null || traceparent === undefined)
      return random() < ratio ? { id: fresh(16), parent: null, span: fresh(8), out: fresh(8) } : null
    if ((Number.parseInt(traceparent.slice(53, 55), 16) & 1) === 0) return null
    return { id, parent: traceparent.slice(36, 52), span: fresh(8), out: fresh(8) }
  }
}

/** The `traceparent` that the upstream gets (version 00, sampled). */
export function traceparentOf({ id, out }: Trace): string {
  return `00-${id}-${out}-01`
}

/**
 * The trace id of a `traceparent` header (W3C Trace Context §3.2), or null when it is absent or malformed.
 * Later versions may append fields after a dash; version `ff` and an all-zero id are invalid.
 */
export function traceId(header: string | undefined): string | null {
  if (header === undefined || header.length < 55) return null
  if (header[2] !== '-' || header[35] !== '-' || header[52] !== '-') return null
  if (!isHex(header, 0, 2) || !isHex(header, 3, 35) || !isHex(header, 36, 52) || !isHex(header, 53, 55)) return null
  const version = header.slice(0, 2)
  if (version === 'ff' || (header.length > 55 && (version === '00' || header[55] !== '-'))) return null
  const id = header.slice(3, 35)
  return id === '00000000000000000000000000000000' || header.slice(36, 52) === '0000000000000000' ? null : id
}

/** Random bytes as hex; never all zeros but once in 2^64. */
function fresh(bytes: number): string {
  return randomBytes(bytes).toString('hex')
}

function isHex(text: string, from: number, to: number): boolean {
  for (let at = from; at < to; at++) {
    const code = text.charCodeAt(at)
    if (!((code >= 48 && code <= 57) || (code >= 97 && code <= 102))) return false
  }
  return true
}
