import type { CallLimits, JwtSvidWish } from './client.ts'
import { WorkloadApiFault } from './fault.ts'
import type { JwtSvid } from './jwt-answers.ts'

/** The tokens that this workload has, for each (ID, audiences): asked for again from half of their life on, and never used past its end. */
export class JwtCache {
  readonly #fetch: (wish: JwtSvidWish, limits: CallLimits) => Promise<readonly JwtSvid[]>
  readonly #clock: () => number
  // written by #ask and clear alone
  readonly #held = new Map<string, Held>()
  readonly #underWay = new Map<string, Promise<readonly JwtSvid[]>>()
  /** Changes when everything was forgotten: what was asked for before must not come in after. */
  #era = 0

  constructor(fetch: (wish: JwtSvidWish, limits: CallLimits) => Promise<readonly JwtSvid[]>, clock: () => number) {
    this.#fetch = fetch
    this.#clock = clock
  }

  /** All tokens of the answer that are still good, at least one. Callers who want the same share one question. */
  async get(wish: JwtSvidWish): Promise<readonly JwtSvid[]> {
    const key = JSON.stringify([wish.id, wish.audience.toSorted()])
    const held = this.#held.get(key)
    const good = held === undefined ? [] : this.#good(held.svids)
    if (held !== undefined && good.length > 0 && this.#clock() < held.renewAt) return good
    try {
      const fresh = this.#good(await this.#shared(key, wish, good.length > 0))
      if (fresh.length === 0) throw new WorkloadApiFault('expired', 'the Workload API gave a JWT-SVID that has expired')
      return fresh
    } catch (error) {
      return this.#insteadOf(error, key)
    }
  }

  /** Forgets everything: after a redaction no token may be used. */
  clear(): void {
    this.#era += 1
    this.#held.clear()
    this.#underWay.clear()
  }

  #shared(key: string, wish: JwtSvidWish, spare: boolean): Promise<readonly JwtSvid[]> {
    const there = this.#underWay.get(key)
    if (there !== undefined) return there
    const asked = this.#ask(key, wish, spare).finally(() => {
      if (this.#underWay.get(key) === asked) this.#underWay.delete(key)
    })
    this.#underWay.set(key, asked)
    return asked
  }

  async #ask(key: string, wish: JwtSvidWish, spare: boolean): Promise<readonly JwtSvid[]> {
    const era = this.#era
    const svids = await this.#fetch(wish, { timeout: spare ? spareTimeout : undefined })
    if (era !== this.#era) throw new WorkloadApiFault('permission-denied', 'the Workload API took the identity back meanwhile')
    this.#hold(key, svids)
    return svids
  }

  #hold(key: string, svids: readonly JwtSvid[]): void {
    this.#held.delete(key)
    this.#held.set(key, { svids, renewAt: Math.min(...svids.map((svid) => renewAt(svid, this.#clock()))) })
    for (const oldest of this.#held.keys()) {
      if (this.#held.size <= most) break
      this.#held.delete(oldest)
    }
  }

  /** A failure that may pass leaves the token before it in use for as long as it lives; then it is asked for again after a pause. */
  #insteadOf(error: unknown, key: string): readonly JwtSvid[] {
    const held = this.#held.get(key)
    if (error instanceof WorkloadApiFault && error.code === 'permission-denied') this.#held.delete(key)
    else if (held !== undefined) {
      const good = this.#good(held.svids)
      this.#held.set(key, { svids: held.svids, renewAt: this.#clock() + pause })
      if (good.length > 0) return good
      this.#held.delete(key)
    }
    throw error
  }

  /** RFC 7519 §4.1.4: worth nothing on or after `exp`. */
  #good(svids: readonly JwtSvid[]): readonly JwtSvid[] {
    const now = this.#clock()
    return svids.filter(({ expires }) => now < expires)
  }
}

interface Held {
  readonly svids: readonly JwtSvid[]
  /** Epoch ms. */
  readonly renewAt: number
}

const most = 1000
const pause = 1000
/** Ms for an answer when there is a token to go on with: an endpoint that hangs must not hold up calls that could be made. */
const spareTimeout = 1000

/** Half of its life; when that is past already, because the endpoint keeps tokens too, at least not at every use. */
function renewAt({ issuedAt, expires }: JwtSvid, now: number): number {
  const half = (Math.min(issuedAt ?? now, now) + expires) / 2
  return Math.max(half, now + Math.min(pause, (expires - now) / 2))
}
