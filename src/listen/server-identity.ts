/** What a TLS listener is served with: the sidecar's own SVID, or a configured certificate. */

/** A certificate chain and its key, both PEM. */
export interface KeyedChain {
  readonly key: string | Buffer
  /** Leaf first. */
  readonly cert: string | Buffer
  /** Epoch ms; from then on nothing is served with it. */
  readonly expires: number
}

export interface ServerIdentity {
  /** The same object as long as it stays the same; null: there is none at present, or it was redacted. Never throws. */
  current(): KeyedChain | null
  /** Calls back after each change; gives the function that ends this. A change that nobody tells of is found within a second. */
  onChange(listener: () => void): () => void
}
