import { hash } from 'node:crypto'
import { Refusal } from '../../refusal.ts'
import type { KeyFormat } from '../bundle/bundle-entries.ts'
import { readKeySet, readMappedBundle } from '../bundle/bundles.ts'
import type { KeySet } from '../bundle/bundles.ts'
import type { KeyDocument } from './key-document.ts'
import { describe, faultKind, KeyFault } from './key-report.ts'
import type { KeyReport } from './key-report.ts'
import type { VerifyKey } from '../jwt/keys.ts'
import type { SourceLog } from '../source.ts'
import { tolerableStepBack } from '../step-back.ts'

export interface KeySourceOptions {
  readonly document: KeyDocument
  /** `bundle-map`: the bundle that a map has for the trust domain. Null: told by the document. */
  readonly format: KeyFormat | 'bundle-map' | null
  /** Ms that keys may be used after they were last read. */
  readonly maxAge: number
  /** Ms between readings; null: as the document hints, else five minutes. */
  readonly interval: number | null
  /** Epoch ms. */
  readonly clock: () => number
  readonly log: SourceLog
  /** Whose keys they are: a trust domain, or the issuer of OIDC tokens. For log lines and messages alone. */
  readonly trustDomain: string
  /** Absent: the document is forgotten when the process ends. */
  readonly memory?: KeyMemory
}

/** Where the newest document outlives the process. */
export interface KeyMemory {
  readonly place: string
  /** What was kept last; null when nothing was. Throws when it cannot be read. */
  recall(): { readonly text: string; readonly readAt: number } | null
  /** `readAt`: epoch ms. Rejects when it cannot be written. */
  keep(text: string, readAt: number): Promise<void>
}

/** An unknown `kid` makes us read again at most this often: agents must not be able to aim us at an issuer. */
const demandEvery = 30_000
const shortestInterval = 1000
/** Federation §6.1. */
const unhintedInterval = 300_000
/** While there are no keys fit for use: an issuer that is back is believed again within this. */
const longestBackoff = 4000
const none: readonly Uint8Array[] = Object.freeze([])
/** Of a hostile document's entries, so many are named in the log. */
const mostNamed = 20

/**
 * The keys of one trust domain, kept up to date: read at the start, by interval or hint, and when a token names a `kid` not seen yet.
 * A document that cannot be read or used changes nothing; the keys before it serve until they are too old, and then nothing verifies.
 */
export class KeySource {
  readonly #options: KeySourceOptions
  readonly #abort = new AbortController()
  // written by #adopt and #read alone
  #keys: KeySet | null = null
  /** The highest `spiffe_sequence` so far. */
  #sequence: bigint | null = null
  #readAt = 0
  #generation = 0
  /** Digest of the text that `#keys` came from. */
  #digest = ''
  #failures = 0
  /** False while all there is was recalled. */
  #everRead = false
  #lastFault = ''
  #fault: KeyReport['fault'] = null
  // written by #recall alone
  #memoryFault: string | null = null
  // written by refresh and #demand alone
  #underWay: Promise<void> | null = null
  #demandedAt = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | null = null

  constructor(options: KeySourceOptions) {
    this.#options = options
    this.#recall()
    if (this.#openNow()) this.#schedule()
    else void this.refresh()
  }

  /** Changes with every new document; negative while there are no keys fit for use. */
  generation(): number {
    return this.#usable() === null ? -1 : this.#generation
  }

  ready(): boolean {
    return this.#usable() !== null
  }

  /**
   * The key named `kid`, or null when the trust domain has none of that name: at once when it is there, else after reading again if that
   * is due. Throws or rejects with `identify.unavailable` when there are no keys fit for use.
   */
  find(kid: string): VerifyKey | null | Promise<VerifyKey | null> {
    return this.#usable()?.keys.get(kid) ?? this.#findAnew(kid)
  }

  /**
   * The X.509 authorities: one array object as long as they stay the same. Empty when all were revoked, and while there are no keys fit
   * for use; `ready()` tells which.
   */
  authorities(): readonly Uint8Array[] {
    return this.#usable()?.authorities ?? none
  }

  /** Reads the document; callers at the same time share one reading. Never rejects: a failure is logged. */
  refresh(): Promise<void> {
    this.#underWay ??= this.#read().finally(() => {
      this.#underWay = null
      this.#schedule()
    })
    return this.#underWay
  }

  /** Reads the document, unless that is under way, and tells what came of it. */
  async examine(): Promise<KeyReport> {
    await this.refresh()
    const { document } = this.#options
    const keys = this.#keys
    const last = { place: document.place, fault: this.#fault, memoryFault: this.#memoryFault }
    if (keys === null) return { ...last, newest: null }
    const { format, sequence, refreshHint, leftOut } = keys
    const counts = { keys: keys.keys.size, authorities: keys.authorities.length }
    const newest = { ...counts, format, sequence, refreshHint, leftOut, readAt: this.#readAt, usable: this.#usable() !== null }
    return { ...last, newest }
  }

  close(): void {
    this.#abort.abort()
    if (this.#timer !== null) clearTimeout(this.#timer)
  }

  async #findAnew(kid: string): Promise<VerifyKey | null> {
    await this.#demand()
    const keys = this.#usable()
    if (keys === null) {
      throw new Refusal('identify.unavailable', {
        detail: `no usable keys for ${this.#options.trustDomain} from ${this.#options.document.place}`,
      })
    }
    return keys.keys.get(kid) ?? null
  }

  #demand(): Promise<void> {
    if (this.#underWay !== null) return this.#underWay
    const now = this.#options.clock()
    const since = now - this.#demandedAt
    if (since >= 0 && since < demandEvery) return Promise.resolve()
    this.#demandedAt = now
    return this.refresh()
  }

  #usable(): KeySet | null {
    const age = this.#options.clock() - this.#readAt
    return age < this.#options.maxAge && age > -tolerableStepBack ? this.#keys : null
  }

  /** What can be read without waiting is there before the first call. */
  #openNow(): boolean {
    try {
      const text = this.#options.document.readNow()
      if (text !== null) this.#adopt(text)
      return text !== null
    } catch (error) {
      this.#failed(error)
      return true
    }
  }

  async #read(): Promise<void> {
    try {
      const text = await this.#options.document.read(this.#abort.signal, this.#keys)
      // a source that was closed meanwhile says no more
      this.#abort.signal.throwIfAborted()
      this.#adopt(text)
      await this.#keep(text)
    } catch (error) {
      if (!this.#abort.signal.aborted) this.#failed(error)
    }
  }

  #adopt(text: string): void {
    const digest = hash('sha256', text)
    if (digest !== this.#digest) this.#replace(text, digest)
    this.#readAt = this.#options.clock()
    this.#everRead = true
    this.#failures = 0
    this.#lastFault = ''
    this.#fault = null
  }

  #replace(text: string, digest: string): void {
    const { format, trustDomain } = this.#options
    const read = format === 'bundle-map' ? readMappedBundle(text, trustDomain) : readKeySet(text, format)
    this.#checkSequence(read)
    const before = this.#keys?.authorities ?? none
    this.#keys = sameAuthorities(before, read.authorities) ? { ...read, authorities: before } : read
    this.#digest = digest
    this.#generation += 1
    this.#announce(read)
  }

  #announce(read: KeySet): void {
    const { keys, authorities, format, sequence, leftOut } = read
    const { document, log, trustDomain } = this.#options
    const counts = { keys: keys.size, authorities: authorities.length }
    const place = document.place
    log.info({ trustDomain, place, ...counts, format, sequence: sequence === null ? null : String(sequence) }, 'trust domain keys read')
    if (isEmpty(read)) log.warn({ trustDomain, place }, 'the trust domain has no keys any more: all that it proved is revoked')
    if (leftOut.length === 0) return
    const named = leftOut.length > mostNamed ? [...leftOut.slice(0, mostNamed), `and ${leftOut.length - mostNamed} more`] : leftOut
    log.warn({ trustDomain, place, leftOut: named }, 'keys that must not be used were left out')
  }

  /** Federation §4.2: the newest document outlives the process, and with it its age and how far its sequence came. */
  #recall(): void {
    const { memory, log, trustDomain } = this.#options
    if (memory === undefined) return
    try {
      const kept = memory.recall()
      if (kept === null) return
      this.#replace(kept.text, hash('sha256', kept.text))
      this.#readAt = kept.readAt
    } catch (error) {
      this.#memoryFault = describe(error)
      log.warn({ trustDomain, place: memory.place, fault: this.#memoryFault }, 'trust domain keys from before the start could not be used')
    }
  }

  async #keep(text: string): Promise<void> {
    const { memory, log, trustDomain } = this.#options
    try {
      await memory?.keep(text, this.#readAt)
    } catch (error) {
      log.warn({ trustDomain, place: memory?.place, fault: describe(error) }, 'trust domain keys could not be kept for the next start')
    }
  }

  /**
   * Trust Domain and Bundle §4.1.1: the number only grows, so a lower one, or none after one, is an old document played again.
   * One that revokes everything is believed all the same: a person in a hurry may have written it, and nobody gets in by it.
   */
  #checkSequence(next: KeySet): void {
    const last = this.#sequence
    if (last === null || (next.sequence !== null && next.sequence >= last)) this.#sequence = next.sequence
    else if (!isEmpty(next)) throw new KeyFault('sequence', `spiffe_sequence went from ${last} to ${next.sequence ?? 'none'}`)
  }

  /** The same fault is said once, not at every reading. */
  #failed(error: unknown): void {
    const { document, log, trustDomain } = this.#options
    const fault = describe(error)
    this.#failures += 1
    this.#fault = { kind: faultKind(error), text: fault }
    if (fault === this.#lastFault) return
    this.#lastFault = fault
    log.warn(
      { trustDomain, place: document.place, fault },
      'trust domain keys could not be read; those from before stay in use until they are too old',
    )
  }

  #schedule(): void {
    if (this.#abort.signal.aborted) return
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.refresh(), this.#wait()).unref()
  }

  /** Federation §6.1: by hint, and a failed reading waits for the next turn. Several turns fit into the life of the keys, and one is at its end. */
  #wait(): number {
    const keys = this.#usable()
    if (keys === null || !this.#everRead) return Math.min(longestBackoff, shortestInterval * 2 ** Math.min(this.#failures, 5))
    const { interval, maxAge, clock } = this.#options
    const left = maxAge - (clock() - this.#readAt)
    return Math.max(shortestInterval, Math.min(interval ?? keys.refreshHint ?? unhintedInterval, maxAge / 4, left))
  }
}

function isEmpty({ keys, authorities }: KeySet): boolean {
  return keys.size + authorities.length === 0
}

/** The same certificates, in whatever order. */
function sameAuthorities(before: readonly Uint8Array[], next: readonly Uint8Array[]): boolean {
  return before.length === next.length && next.every((one) => before.some((other) => Buffer.compare(one, other) === 0))
}
