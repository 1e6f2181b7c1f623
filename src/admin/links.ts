/** Links that sign a browser in, once, as whoever had them made. Kept in memory, and only as digests: a restart ends them all. */
import { hash, randomBytes } from 'node:crypto'
import type { Guest } from './sessions.ts'

/** How long a link is good for, ms: from a terminal into a browser beside it. */
export const linkTime = 120_000
const mostLinks = 100
/** Wrong keys and codes that are looked at in a row, and how long until one more is, ms. */
const mostWrong = 5
const coolDown = 12_000

interface Link {
  readonly guest: Guest
  /** Epoch ms. */
  readonly made: number
}

export class Links {
  readonly #clock: () => number
  /** Digest of a code → whom it lets in. Oldest first. */
  readonly #byCode = new Map<string, Link>()

  constructor(clock: () => number) {
    this.#clock = clock
  }

  /** A new code for somebody who has proven who they are; the oldest makes room. */
  make(guest: Guest): { readonly code: string; readonly expires: number } {
    const now = this.#clock()
    for (const [known, link] of this.#byCode) if (!lives(link, now) || this.#byCode.size >= mostLinks) this.#byCode.delete(known)
    const code = randomBytes(32).toString('base64url')
    this.#byCode.set(digest(code), { guest, made: now })
    return { code, expires: now + linkTime }
  }

  /** Whom a code would let in; null for one that is used, over, or was never made. What is presented is compared as a digest. */
  look(code: string): Guest | null {
    const link = this.#byCode.get(digest(code))
    return link !== undefined && lives(link, this.#clock()) ? link.guest : null
  }

  /** The same, and the code is used up. */
  take(code: string): Guest | null {
    const guest = this.look(code)
    this.#byCode.delete(digest(code))
    return guest
  }
}

/** Bounds how often a wrong key may be tried. Owns how many were, and since when. */
export class Tries {
  readonly #clock: () => number
  #left = mostWrong
  #since: number

  constructor(clock: () => number) {
    this.#clock = clock
    this.#since = clock()
  }

  /** Seconds until the next try is looked at; 0: this one is. */
  wait(): number {
    const now = this.#clock()
    const won = Math.max(0, Math.floor((now - this.#since) / coolDown))
    this.#left = Math.min(mostWrong, this.#left + won)
    // a clock that was put back lets nobody wait longer than that
    this.#since = now < this.#since || this.#left === mostWrong ? now : this.#since + won * coolDown
    return this.#left > 0 ? 0 : Math.max(1, Math.ceil((this.#since + coolDown - now) / 1000))
  }

  wrong(): void {
    if (this.#left === mostWrong) this.#since = this.#clock()
    this.#left -= 1
  }
}

function lives({ made }: Link, now: number): boolean {
  return now >= made && now < made + linkTime
}

function digest(code: string): string {
  return hash('sha256', code, 'base64url')
}
