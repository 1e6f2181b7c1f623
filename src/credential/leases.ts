import type { Secret } from '../secret.ts'
import type { LeaseRow } from '../state/leases.ts'
import type { CredentialProvider, Lease } from './credential.ts'

/** A lease that is out, with what taking it back needs. */
export interface Held {
  readonly lease: Lease
  /** As it was written when the credential came. `row.expires` is when it ends at its issuer; `lease.expires` when we stop using it. */
  readonly row: LeaseRow
  /** Its key, and the life that the decision named, if it named one. */
  readonly slot: string
  readonly provider: CredentialProvider
  readonly handle: Secret | null
  /** Every digest it is found by. */
  readonly digests: readonly string[]
  /** Epoch ms from which a fresh one is asked for. */
  readonly renew: number
  /** The same two moments on a clock that nobody can set, ms: a wall clock put back never lengthens a lease. */
  readonly renewTick: number
  readonly endTick: number
  /** True once its issuer would not renew it; a fresh one takes its place. */
  readonly spent?: boolean
}

/** The leases of this process: which one a call may use, and whose they are. All of it in memory; the rows are in the state. */
export class LeaseBook {
  /** Slot → the lease that calls use. Written by `serve` and `drop`. */
  readonly #served = new Map<string, Held>()
  /** Every lease that is out, by id, digest and task. Written by `keep` and `drop`. */
  readonly #held = new Map<string, Held>()
  readonly #byDigest = new Map<string, Held>()
  readonly #byTask = new Map<string, Set<Held>>()
  readonly #watchers = new Set<(lease: string) => void>()

  /** The lease for a slot if it has life enough left and ends no later than the task (`until`, epoch ms). One look-up, no promise. */
  hit(slot: string, now: number, tick: number, until: number): Lease | null {
    const held = this.#served.get(slot)
    return held !== undefined && now < held.renew && tick < held.renewTick && held.lease.expires <= until ? held.lease : null
  }

  /** The same, however little of its life is left. */
  last(slot: string, now: number, tick: number, until: number): Held | null {
    const held = this.#served.get(slot)
    return held !== undefined && isLive(held, now, tick) && held.lease.expires <= until ? held : null
  }

  /** A live lease by the digest of its secret; null when it has ended or was never ours. */
  find(digest: string, now: number, tick: number): Held | null {
    const held = this.#byDigest.get(digest)
    return held !== undefined && isLive(held, now, tick) ? held : null
  }

  /** Counts a lease as out, though no call can have it yet. */
  keep(held: Held): void {
    this.#held.set(held.lease.id, held)
    for (const digest of held.digests) this.#byDigest.set(digest, held)
    let own = this.#byTask.get(held.row.task)
    if (own === undefined) this.#byTask.set(held.row.task, (own = new Set()))
    own.add(held)
  }

  /** Lets calls use a lease that is out. The one it replaces stays out for the calls that hold it, until it ends. False when it was dropped meanwhile. */
  serve(held: Held): boolean {
    if (!this.#held.has(held.lease.id)) return false
    this.#served.set(held.slot, held)
    return true
  }

  /** Puts a changed one in the place of a lease that is out, and gives it; null when it is not out any more. */
  change(id: string, to: Partial<Pick<Held, 'row' | 'lease' | 'renew' | 'renewTick' | 'endTick' | 'spent'>>): Held | null {
    const before = this.#held.get(id)
    if (before === undefined) return null
    const held: Held = { ...before, ...to }
    const serves = this.#served.get(before.slot) === before
    this.#forget(before)
    this.keep(held)
    if (serves) this.#served.set(held.slot, held)
    return held
  }

  /** Forgets a lease and gives it as it is by now; null when it was forgotten before. */
  drop({ lease: { id } }: Held): Held | null {
    const held = this.#held.get(id)
    if (held === undefined) return null
    this.#forget(held)
    for (const watcher of this.#watchers) watcher(id)
    return held
  }

  #forget(held: Held): void {
    this.#held.delete(held.lease.id)
    for (const digest of held.digests) if (this.#byDigest.get(digest) === held) this.#byDigest.delete(digest)
    if (this.#served.get(held.slot) === held) this.#served.delete(held.slot)
    const own = this.#byTask.get(held.row.task)
    own?.delete(held)
    if (own?.size === 0) this.#byTask.delete(held.row.task)
  }

  /** Calls back with the id of each lease that no call can have from then on; gives the function that ends this. */
  onDrop(watcher: (lease: string) => void): () => void {
    this.#watchers.add(watcher)
    return () => void this.#watchers.delete(watcher)
  }

  has(id: string): boolean {
    return this.#held.has(id)
  }

  get(id: string): Held | undefined {
    return this.#held.get(id)
  }

  served(slot: string): Held | undefined {
    return this.#served.get(slot)
  }

  ofTask(task: string): readonly Held[] {
    return [...(this.#byTask.get(task) ?? [])]
  }

  all(): readonly Held[] {
    return [...this.#held.values()]
  }

  /** Leases whose use has ended. */
  due(now: number, tick: number): readonly Held[] {
    const due: Held[] = []
    for (const held of this.#held.values()) if (!isLive(held, now, tick)) due.push(held)
    return due
  }

  get size(): number {
    return this.#held.size
  }
}

function isLive(held: Held, now: number, tick: number): boolean {
  return now < held.lease.expires && tick < held.endTick
}
