/** What this Countersign itself was given: its X.509-SVID, and JWT-SVIDs for whom it asks one. */
import type { Secret } from '../secret.ts'

/** One SVID of ours with its key, as TLS takes them. Never logged: it holds a private key. */
export interface OwnSvid {
  /** SPIFFE ID. */
  readonly id: string
  /** PEM of the chain, leaf first. */
  readonly cert: string
  /** PEM of the private key. */
  readonly key: string
  /** Epoch ms; worth nothing from then on. */
  readonly expires: number
}

/** Rotated live: ask for it when it is needed, and listen for changes. */
export interface OwnIdentity {
  /** Null while there is none, when it was taken back, and from its expiry on. */
  current(): OwnSvid | null
  /**
   * A JWT-SVID of ours for this audience, not past half of its life where that can be had. Rejects with an Error without any token in its
   * text when none can be had, or the signal aborts.
   */
  token(audience: string, signal: AbortSignal): Promise<Secret>
  /** Calls back after every change; gives what ends that. */
  onChange(listener: () => void): () => void
}
