/** Sessions of people in browsers: kept in memory, so that a restart ends them all. */
import { hash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { SignedIn } from './noun.ts'

/** Somebody who has proven who they are, and what they are called: the local key names nobody, and so they said so themselves. */
export interface Guest {
  readonly who: SignedIn
  readonly name: string
}

export interface Session extends Guest {
  /** To be sent with every request that changes something. */
  readonly csrf: string
  /** Digest of the browser's `User-Agent`: another browser with the same cookie has stolen it. */
  readonly browser: string
  /** Epoch ms. */
  readonly opened: number
  /** Epoch ms of the last use. */
  used: number
  /** Since when the id in use was given out, epoch ms. */
  turned: number
  /** What was done last, until a page has told it. */
  told: { readonly what: string; readonly odd: boolean } | null
}

export interface SessionTimes {
  /** Longest life, ms. */
  readonly session: number
  /** Longest time without use, ms. */
  readonly idle: number
}

/** How long an id is used before it is replaced, and how long the one before it is still taken: requests cross on the way. */
const turn = 300_000
const grace = 10_000
const mostSessions = 1000

/** What is presented is never kept, only its digest. No id that a client brought along is ever made a session's. */
export class Sessions {
  readonly #clock: () => number
  readonly #times: SessionTimes
  /** Digest of an id → the session, and until when the id counts; null: while the session does. Oldest first. */
  readonly #byId = new Map<string, { readonly session: Session; until: number | null }>()

  constructor(times: SessionTimes, clock: () => number) {
    this.#times = times
    this.#clock = clock
  }

  /** Longest life of a session, seconds. */
  get longest(): number {
    return Math.floor(this.#times.session / 1000)
  }

  /** Begins a session; gives the id for the cookie. The oldest makes room. */
  open({ who, name }: Guest, browser: string | undefined): string {
    const now = this.#clock()
    this.#sweep(now)
    const csrf = randomBytes(32).toString('base64url')
    return this.#give({ who, name, csrf, browser: digest(browser ?? ''), opened: now, used: now, turned: now, told: null })
  }

  /** The live session of an id; null for any other, and for one that another browser brings: that session ends. */
  find(id: string, browser: string | undefined): Session | null {
    const now = this.#clock()
    const known = this.#byId.get(digest(id))
    if (known === undefined) return null
    const { session, until } = known
    if (session.browser !== digest(browser ?? '') || !this.#lives(session, now)) {
      this.#drop(session)
      return null
    }
    if (until !== null && now >= until) return null
    session.used = now
    return session
  }

  /** A new id for the cookie when the one in use is old enough to be replaced; null when it is not. */
  turn(id: string): string | null {
    const now = this.#clock()
    const known = this.#byId.get(digest(id))
    if (known === undefined || known.until !== null || now - known.session.turned < turn) return null
    known.until = now + grace
    known.session.turned = now
    return this.#give(known.session)
  }

  /** Ends the session of an id. */
  end(id: string): void {
    const known = this.#byId.get(digest(id))
    if (known !== undefined) this.#drop(known.session)
  }

  #give(session: Session): string {
    const id = randomBytes(32).toString('base64url')
    this.#byId.set(digest(id), { session, until: null })
    return id
  }

  #lives({ opened, used }: Session, now: number): boolean {
    // a clock that was put back ends a session rather than lengthening it
    return now >= opened && now < opened + this.#times.session && now < used + this.#times.idle
  }

  #drop(session: Session): void {
    for (const [id, known] of this.#byId) if (known.session === session) this.#byId.delete(id)
  }

  #sweep(now: number): void {
    for (const [id, { session, until }] of this.#byId)
      if (!this.#lives(session, now) || (until !== null && now >= until)) this.#byId.delete(id)
    const oldest = this.#byId.size >= mostSessions ? this.#byId.values().next().value : undefined
    if (oldest !== undefined) this.#drop(oldest.session)
  }
}

/** True when both texts are the same; compares digests, so neither length nor content shows in time. */
export function sameText(one: string, other: string): boolean {
  return timingSafeEqual(hash('sha256', one, 'buffer'), hash('sha256', other, 'buffer'))
}

function digest(text: string): string {
  return hash('sha256', text, 'base64url')
}
