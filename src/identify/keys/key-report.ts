/** What is known of a key document and why it could not be read, in a form that a program can tell apart. */
import type { KeyFormat } from '../bundle/bundle-entries.ts'
import { MalformedKeys } from '../jwt/keys.ts'

/**
 * What went wrong with a reading: a file that cannot be read (`file`), a server that cannot be reached (`unreachable`), whose certificate is
 * not trusted (`certificate`), which is another than the configured SPIFFE ID (`identity`) or cannot be proven for want of authorities
 * (`unproven`); an answer that is no document (`status`), leads elsewhere (`redirect`), cannot be understood (`malformed`) or is older than
 * one before (`sequence`).
 */
export type KeyFaultKind =
  | 'file'
  | 'unreachable'
  | 'certificate'
  | 'identity'
  | 'unproven'
  | 'status'
  | 'redirect'
  | 'malformed'
  | 'sequence'
  | 'other'

/** A reading that failed in a way only the reader can name. */
export class KeyFault extends Error {
  readonly kind: KeyFaultKind

  constructor(kind: KeyFaultKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'KeyFault'
    this.kind = kind
  }
}

/** A document and its last reading. */
export interface KeyReport {
  /** A file or URL. */
  readonly place: string
  /** What the newest document says, however old it is; null when there never was one. */
  readonly newest: {
    readonly format: KeyFormat
    readonly keys: number
    readonly authorities: number
    readonly sequence: bigint | null
    /** Ms; null: no hint. */
    readonly refreshHint: number | null
    readonly leftOut: readonly string[]
    /** Epoch ms. */
    readonly readAt: number
    /** False when it is too old to verify anything. */
    readonly usable: boolean
  } | null
  /** Why the last reading failed; null when it did not. */
  readonly fault: { readonly kind: KeyFaultKind; readonly text: string } | null
  /** Why what was kept from before the start could not be used; null when it could, or when nothing was kept. */
  readonly memoryFault: string | null
  /** Whether the API server reviews tokens for us, and why not; absent where none is asked. */
  readonly review?: { readonly fault: string | null }
}

/** OpenSSL's names for certificates that prove nothing, as Node passes them on, and Node's own for another host name. */
const untrusted =
  /^(CERT_|CRL_|ERR_TLS_CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|INVALID_(CA|PURPOSE)|PATH_LENGTH_|HOSTNAME_MISMATCH|ERROR_IN_CERT_)/

/** Tells what kind of fault was thrown; the first in its chain of causes that is one. */
export function faultKind(error: unknown): KeyFaultKind {
  for (let one = error, depth = 0; one instanceof Error && depth < 8; one = one.cause, depth++) {
    const kind = kindOf(one)
    if (kind !== null) return kind
  }
  return 'other'
}

function kindOf(error: Error): KeyFaultKind | null {
  if (error instanceof KeyFault) return error.kind
  if (error instanceof MalformedKeys) return 'malformed'
  if (error.name === 'TimeoutError') return 'unreachable'
  // what fetch says of one that it must not follow
  if (error.message === 'unexpected redirect') return 'redirect'
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return 'malformed'
  if (untrusted.test(code)) return 'certificate'
  if (/^(UND_ERR_|ERR_SSL_|EPROTO$|HPE_)/.test(code)) return 'unreachable'
  if (!/^E[A-Z_]+$/.test(code)) return null
  const call = 'syscall' in error ? error.syscall : ''
  return call === 'open' || call === 'stat' || call === 'read' ? 'file' : 'unreachable'
}

/** What undici keeps under `cause` is what an operator needs to read. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message
}
