/** Connections that are authenticated by a client certificate: a set for each lease, used by its calls alone, ended with it. */
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { Refusal } from '../refusal.ts'
import type { Lease } from '../credential/credential.ts'
import { unavailable } from './apply-text.ts'
import type { ClientProof } from './dial.ts'
import type { Lines } from './lines.ts'

/** What is known of the life of leases, by their ids. */
export interface LeaseLife {
  /** True as long as calls may use it. */
  stands(lease: string): boolean
  /** Calls back when one has ended; gives the function that ends this. */
  onEnd(listener: (lease: string) => void): () => void
}

/** The leased connections to one upstream. */
export class LeasedLines {
  readonly #life: LeaseLife
  readonly #lines = new Map<string, Lines>()
  /** Set while there are any. */
  #unfollow: (() => void) | null = null

  constructor(life: LeaseLife) {
    this.#life = life
  }

  get size(): number {
    return this.#lines.size
  }

  /** Those of this lease, made by `open` with what it proves when it has none. Throws `credential.unavailable` when it has ended or cannot prove anything. */
  of(lease: Lease, ca: readonly string[] | undefined, open: (proof: ClientProof) => Lines): Lines {
    const stands = (): boolean => this.#life.stands(lease.id)
    if (!stands()) throw new Refusal('credential.unavailable', { retry: 'later', detail: 'the lease has ended' })
    const known = this.#lines.get(lease.id)
    if (known !== undefined) return known
    const made = open({ context: contextOf(lease, ca), stands })
    this.#lines.set(lease.id, made)
    this.#unfollow ??= this.#life.onEnd((id) => this.#end(id))
    return made
  }

  /** Ends idle connections now and each other one when its call is done. */
  retire(): void {
    for (const id of this.#lines.keys()) this.#end(id)
  }

  async close(): Promise<void> {
    const all = [...this.#lines.values()]
    this.#lines.clear()
    this.#leave()
    await Promise.all(all.map((lines) => lines.close()))
  }

  /** Whatever still uses one of them is cut by what ended the lease, or done before long. */
  #end(id: string): void {
    this.#lines.get(id)?.retire()
    this.#lines.delete(id)
    if (this.#lines.size === 0) this.#leave()
  }

  #leave(): void {
    this.#unfollow?.()
    this.#unfollow = null
  }
}

/** The text of OpenSSL's errors is not kept: it may quote what it was given. */
function contextOf({ secret, parts }: Lease, ca: readonly string[] | undefined): SecureContext {
  const certificate = parts?.['certificate']
  if (certificate === undefined) throw unavailable('no certificate came with the credential')
  const trusted = ca === undefined ? {} : { ca: [...getCACertificates('default'), ...ca] }
  try {
    return createSecureContext({ key: secret.reveal(), cert: certificate.reveal(), minVersion: 'TLSv1.2', ...trusted })
  } catch {
    throw unavailable('key and certificate that came cannot be used for a handshake')
  }
}
