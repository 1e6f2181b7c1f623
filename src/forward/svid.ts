/** TLS to an upstream with our own SVID: the upstream proves the SPIFFE ID that its route names before a byte is written to it. */
import { createSecureContext, type SecureContext, type TLSSocket } from 'node:tls'
import { Refusal } from '../refusal.ts'
import type { KeyedChain } from '../listen/server-identity.ts'

/** What we prove ourselves with, and how the far end's proof is judged. */
export interface UpstreamIdentity {
  /** The same object as long as it stays the same; null: there is none at present, or it was redacted. */
  current(): (KeyedChain & { readonly id: string }) | null
  /** Calls back after each change; gives the function that ends this. */
  onChange(listener: () => void): () => void
  /** Takes the certificates as presented (DER, leaf first) and the SPIFFE IDs that will do. Throws an Error whose message is a short reason. */
  check(chain: readonly Uint8Array[], ids: readonly string[]): UpstreamProof
}

export interface UpstreamProof {
  /** SPIFFE ID. */
  readonly id: string
  /** Epoch ms. */
  readonly expires: number
  /** False once the authorities it was proven by are others. */
  stands(): boolean
}

/** One SVID of ours, ready for handshakes. */
export interface Held {
  readonly svid: KeyedChain & { readonly id: string }
  readonly context: SecureContext
}

/** What an upstream proved on a connection, and whether the connection may still be used. */
export interface Proven {
  readonly id: string
  readonly usable: () => boolean
}

/** The SVID in use and what is proven with it, for one route. */
export class SvidTls {
  readonly #identity: UpstreamIdentity
  readonly #ids: readonly string[]
  readonly #clock: () => number
  #held: Held | null = null

  /** `ids`: those that will do, as the route names them. */
  constructor(identity: UpstreamIdentity, ids: readonly string[], clock: () => number) {
    this.#identity = identity
    this.#ids = ids
    this.#clock = clock
  }

  /** What to shake hands with now; the same object as long as the SVID stays the same. Throws `forward.unreachable` when there is none. */
  held(): Held {
    const svid = this.#identity.current()
    if (svid === null || this.#clock() >= svid.expires) {
      this.#held = null
      throw unreachable('there is no SVID to show the upstream at present')
    }
    if (this.#held?.svid === svid) return this.#held
    try {
      const { key, cert } = svid
      return (this.#held = { svid, context: createSecureContext({ key, cert, ca: [], minVersion: 'TLSv1.2' }) })
    } catch {
      throw unreachable('the SVID to show the upstream cannot be used')
    }
  }

  /** Judges the far end of a handshake that was done with `held`. Throws `forward.untrusted`. */
  prove(socket: TLSSocket, held: Held): Proven {
    const proof = this.#check(socket)
    const usable = (): boolean => this.#stands(held, proof)
    if (!usable()) throw new Refusal('forward.untrusted', { detail: 'what was shown in the handshake holds no longer' })
    return { id: proof.id, usable }
  }

  #check(socket: TLSSocket): UpstreamProof {
    try {
      return this.#identity.check(presentedBy(socket), this.#ids)
    } catch (error) {
      throw new Refusal('forward.untrusted', { detail: error instanceof Error ? error.message : 'its certificates do not hold' })
    }
  }

  /** A rotated SVID may still be used as long as it lives; one that was redacted, or is another workload's now, may not. */
  #stands({ svid }: Held, proof: UpstreamProof): boolean {
    const now = this.#clock()
    return now < svid.expires && now < proof.expires && this.#identity.current()?.id === svid.id && proof.stands()
  }
}

/** As they came over the wire, in their order; `getPeerCertificate` would sort them and add some of its own. */
function presentedBy(socket: TLSSocket): Uint8Array[] {
  const chain: Uint8Array[] = []
  for (let one = socket.getPeerX509Certificate(); one !== undefined; one = one.issuerCertificate) chain.push(one.raw)
  return chain
}

/** Nothing was sent: another try repeats no effect. */
function unreachable(detail: string): Refusal {
  return new Refusal('forward.unreachable', { retry: 'later', detail })
}
