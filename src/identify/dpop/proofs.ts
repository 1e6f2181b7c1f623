import { randomBytes } from 'node:crypto'

/** What came of asking for a proof to be used. */
export type ProofUse = 'fresh' | 'used' | 'full'

/** How far the clock of a sender may be ahead, ms. */
export const ahead = 5000

/** One stretch of time: the proofs used in it, by thumbprint of their key, and the latest `iat` among them. */
interface Stretch {
  readonly used: Map<string, Set<string>>
  latest: number
}

/** Made after so many turns. */
interface Nonce {
  readonly text: string
  readonly born: number
}

/** Most proofs of one key that are remembered: 500 calls a second for longer than any proof is good. No key has a share in another's. */
const mostOfOneKey = 65_536

/**
 * The DPoP proofs that were used and the nonces that were given out: it outlives configurations, and no process.
 *
 * Two stretches are remembered, each as long as a proof is good for, so that a proof is known at least until it is too old.
 * `forgotten` is the latest time of which proofs may be unknown: a proof from then or before, which a clock that went back or a
 * restart makes look fresh again, needs a nonce. A nonce comes from no clock, so no clock brings an old one back, and it is gone when the
 * stretch in which it was made is: nothing that was used with it can have been forgotten. Times are epoch ms.
 */
export class ProofMemory {
  #current: Stretch = { used: new Map(), latest: -Infinity }
  #previous: Stretch = { used: new Map(), latest: -Infinity }
  #turn: number
  #forgotten: number
  /** How often stretches turned. */
  #turns = 0
  #nonces: readonly [Nonce, Nonce] = [newNonce(0), newNonce(0)]
  #nonceTurn: number
  readonly #most: number

  /** `now`: what was used before is not known, but for the second that has begun. */
  constructor(now: number, most = mostOfOneKey) {
    this.#turn = this.#nonceTurn = now
    this.#forgotten = Math.floor(now / 1000) * 1000 - 1
    this.#most = most
  }

  /** True when a proof of that time may have been used without being known any more. `window`: how long a proof is good. */
  forgot(issuedAt: number, now: number, window: number): boolean {
    this.#look(now, window)
    return issuedAt <= this.#forgotten
  }

  /** Marks a proof as used, once. `full`: nothing of this key is forgotten to make room. */
  use(thumbprint: string, jti: string, issuedAt: number, now: number, window: number): ProofUse {
    this.#look(now, window)
    const before = this.#previous.used.get(thumbprint)
    let these = this.#current.used.get(thumbprint)
    if (these?.has(jti) === true || before?.has(jti) === true) return 'used'
    if ((these?.size ?? 0) + (before?.size ?? 0) >= this.#most) return 'full'
    if (these === undefined) this.#current.used.set(thumbprint, (these = new Set()))
    these.add(jti)
    this.#current.latest = Math.max(this.#current.latest, issuedAt)
    return 'fresh'
  }

  /** The nonce to give out; a new one each half of `window`. */
  nonce(now: number, window: number): string {
    this.#look(now, window)
    return this.#nonces[0].text
  }

  /** True for a nonce that was given out within `window`. */
  knows(nonce: string, now: number, window: number): boolean {
    this.#look(now, window)
    return this.#nonces.some(({ text, born }) => text === nonce && this.#turns < born + 2)
  }

  #look(now: number, window: number): void {
    this.#turnStretches(now, window + ahead)
    this.#turnNonces(now, window / 2)
  }

  #turnStretches(now: number, span: number): void {
    // a clock that went back must not keep a stretch open for as long as it had been ahead
    if (this.#turn > now + span) this.#turn = now + span
    for (let times = 0; times < 2 && now >= this.#turn; times++) {
      this.#forgotten = Math.max(this.#forgotten, this.#previous.latest)
      this.#previous = this.#current
      this.#current = { used: new Map(), latest: -Infinity }
      this.#turn += span
      this.#turns++
    }
    if (now >= this.#turn) this.#turn = now + span
  }

  #turnNonces(now: number, half: number): void {
    const turn = this.#nonceTurn
    const [current] = this.#nonces
    if (now < turn && turn <= now + half && current.born === this.#turns) return
    const idle = now >= turn + half
    const fresh = newNonce(this.#turns)
    this.#nonces = [fresh, idle ? fresh : current]
    this.#nonceTurn = idle || now < turn ? now + half : turn + half
  }
}

function newNonce(born: number): Nonce {
  return { text: randomBytes(16).toString('base64url'), born }
}
