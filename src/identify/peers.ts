import type { TlsPeer } from '../listen/call.ts'
import { Refusal } from '../refusal.ts'
import type { Caller, IdentitySource } from './identify.ts'
import { rejected } from './rejected.ts'
import { tolerableStepBack } from './step-back.ts'
import { claimedId, InvalidSvid } from './x509/svid.ts'

/** What the certificates of a connection were found to prove, and how long that may be believed. */
interface Judged {
  /** Null: the certificate names no workload, and never will. */
  readonly caller: Caller | null
  readonly source: IdentitySource | null
  /** `source.generation()` from before the certificates were verified. */
  readonly generation: number
  /** Epoch ms. */
  readonly from: number
  readonly until: number
}

/** Why a connection was refused, by what was known at the time. */
interface Refused {
  readonly refusal: Refusal
  /** `generation()` of every source, from before. */
  readonly generations: readonly number[]
  /** Epoch ms. */
  readonly at: number
}

const nobody: Judged = { caller: null, source: null, generation: 0, from: -Infinity, until: Infinity }

const mostCallers = 4096
/** Verifying costs more than asking: a connection that was refused is refused again for so long, ms, unless keys change. */
const refusedFor = 1000

/**
 * Callers by the certificates of their connection: verified once a connection, and again when the keys of the source change or the
 * clock goes back. A connection that is kept is refused from the moment its certificate expires.
 */
export class Peers {
  readonly #sources: readonly IdentitySource[]
  readonly #judged = new WeakMap<TlsPeer, Judged>()
  /** Written by `#refuse` alone. */
  readonly #refused = new WeakMap<TlsPeer, Refused>()
  /** By proof: connections with one certificate have one caller, and what is written about it is made once. Oldest first. */
  readonly #callers = new Map<string, Caller>()

  constructor(sources: readonly IdentitySource[]) {
    this.#sources = sources
  }

  /** The caller that the connection proves at `now`; null when its certificates name no workload. Throws as sources do. */
  caller(peer: TlsPeer, now: number): Caller | null {
    const known = this.#judged.get(peer)
    if (known !== undefined && holds(known, now)) return known.caller
    const refused = this.#refused.get(peer)
    if (refused !== undefined && this.#stands(refused, now)) throw refused.refusal
    const generations = this.#sources.map((source) => source.generation())
    const judged = this.#refuse(peer, generations, now, () => this.#judge(peer, now))
    // a source that cannot verify at present says -1, and nothing is kept on its word
    if (judged.generation >= 0) this.#judged.set(peer, judged)
    return judged.caller
  }

  #judge(peer: TlsPeer, now: number): Judged {
    const [leaf] = peer.chain
    if (leaf === undefined) return nobody
    for (const source of this.#sources) {
      // read before: if keys change meanwhile, what is kept is out of date at once
      const generation = source.generation()
      const caller = source.verifyPeer?.(peer, now) ?? null
      if (caller === null) continue
      if (now >= caller.expires) throw rejected('certificate-expired', 'a source gave a caller who has expired')
      const until = Math.min(caller.expires, now + (source.keep ?? Infinity))
      return { caller: this.#one(caller), source, generation, from: now, until }
    }
    if (namesWorkload(leaf)) throw rejected('certificate-unknown', 'no source for the client certificate')
    return nobody
  }

  /** Keeps the refusal of what is judged; that there is nothing to verify with is no verdict. */
  #refuse(peer: TlsPeer, generations: readonly number[], at: number, judge: () => Judged): Judged {
    try {
      return judge()
    } catch (error) {
      if (error instanceof Refusal && error.code === 'identify.rejected') this.#refused.set(peer, { refusal: error, generations, at })
      throw error
    }
  }

  #stands({ generations, at }: Refused, now: number): boolean {
    return Math.abs(now - at) < refusedFor && this.#sources.every((source, index) => source.generation() === generations[index])
  }

  /** The same object for the same certificate. */
  #one(caller: Caller): Caller {
    const known = this.#callers.get(caller.proof)
    if (known !== undefined && known.id === caller.id && known.expires === caller.expires && known.issuer === caller.issuer) return known
    if (this.#callers.size >= mostCallers) {
      const [oldest] = this.#callers.keys()
      if (oldest !== undefined) this.#callers.delete(oldest)
    }
    this.#callers.set(caller.proof, caller)
    return caller
  }
}

function holds({ source, generation, from, until }: Judged, now: number): boolean {
  return now < until && now >= from - tolerableStepBack && (source === null || source.generation() === generation)
}

/** Whoever claims to be a workload has to be a known one; a certificate of another kind is nobody's, and may still confirm a token. */
function namesWorkload(leaf: Uint8Array): boolean {
  try {
    return claimedId(leaf) !== null
  } catch (error) {
    if (error instanceof InvalidSvid) throw rejected('certificate-id', `client certificate: ${error.message}`)
    throw error
  }
}
