/** Windows of rate limits, in memory and in the state file: a restart gives nothing back. */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { MintRequest, RateLimit } from './mint.ts'

/** Why a call may not pass, and how long it is until it may, ms. */
export interface Limited {
  readonly detail: string
  readonly wait: number
}

/** The calls counted for one key. Its time is cut into slots of a sixteenth of `per`. */
interface Window {
  readonly key: string
  /** Whose call began it, and for which task it counts; null: not for one task. */
  readonly caller: string
  readonly task: string | null
  /** Length of a slot, ms. */
  readonly width: number
  /** Slot number and its calls, oldest first; at most seventeen. */
  slots: [slot: number, calls: number][]
}

/** A call counts in its slot and in the next sixteen: for `per` at least, and for a sixteenth more at most. */
const slotsPerWindow = 16

/** Windows in all, and windows that calls of one caller began. Keys may hold what an agent chose. */
export interface RateCaps {
  readonly all: number
  readonly caller: number
}

const usualCaps: RateCaps = { all: 32_768, caller: 1024 }

/**
 * Sliding windows: never more than `calls` in any `per` ms, on the clock of the requests. A window that counts nothing any more
 * makes room for another; one that counts a single call is never dropped, for dropping it would give that call back. Where there
 * is no room, a new key is refused. A clock put back forgets nothing: what was counted counts as just now.
 */
export class RateTable {
  readonly #caps: RateCaps
  /** By key. Written by `take`, `forget` and `#drop`. */
  readonly #windows = new Map<string, Window>()
  readonly #byCaller = new Map<string, Set<Window>>()
  /** What `writeDirty` has to write and to delete. */
  readonly #dirty = new Set<Window>()
  readonly #gone = new Set<string>()
  /** Where there was no room at all: when somebody looked for some, and when there will be, epoch ms. In between nobody looks again. */
  #looked = Number.POSITIVE_INFINITY
  #room = Number.NEGATIVE_INFINITY
  readonly #put: StatementSync
  readonly #delete: StatementSync

  constructor(db: DatabaseSync, clock: () => number, caps: RateCaps = usualCaps) {
    this.#caps = caps
    this.#put = db.prepare('INSERT INTO rates (key, counted) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET counted = excluded.counted')
    this.#delete = db.prepare('DELETE FROM rates WHERE key = ?')
    for (const { counted } of db.prepare('SELECT counted FROM rates').all()) {
      if (typeof counted === 'string') this.#keep(JSON.parse(counted) as Window)
    }
    if (this.#windows.size > 0) this.#sweep(this.#windows.values(), clock())
  }

  /** Null when the call may pass all of its limits; nothing is counted. */
  limited({ limits = [], now, task, caller }: MintRequest): Limited | null {
    let fresh = 0
    for (const limit of limits) {
      const window = this.#windows.get(keyOf(limit, task, caller))
      if (window === undefined) fresh++
      else {
        slide(window, now)
        const free = freeAt(window, limit.calls)
        if (free > now) return { detail: `${limit.scope} "${limit.key}": ${limit.calls} in ${limit.per} ms`, wait: free - now }
      }
    }
    return fresh === 0 ? null : this.#crowded(caller, fresh, now)
  }

  /** Counts a call that `limited` let pass in the same tick. */
  take({ limits = [], now, task, caller }: MintRequest): void {
    for (const limit of limits) {
      const key = keyOf(limit, task, caller)
      let window = this.#windows.get(key)
      if (window === undefined) {
        const width = Math.ceil(limit.per / slotsPerWindow)
        this.#keep((window = { key, caller, task: limit.scope === 'task' ? task : null, width, slots: [] }))
      }
      const slot = Math.floor(now / window.width)
      const last = window.slots.at(-1)
      if (last?.[0] === slot) last[1]++
      else window.slots.push([slot, 1])
      this.#dirty.add(window)
    }
  }

  /** The task has ended: nobody will call under it again. */
  forget(task: string, caller: string): void {
    for (const window of this.#byCaller.get(caller) ?? []) if (window.task === task) this.#drop(window)
  }

  get size(): number {
    return this.#windows.size
  }

  get dirty(): number {
    return this.#dirty.size + this.#gone.size
  }

  /** Writes what is dirty; the marks stay until `clean`, for the transaction may yet fail. */
  writeDirty(): void {
    for (const key of this.#gone) this.#delete.run(key)
    for (const window of this.#dirty) this.#put.run(window.key, JSON.stringify(window))
  }

  clean(): void {
    this.#dirty.clear()
    this.#gone.clear()
  }

  /** Makes room for `fresh` windows of a caller, or says when there will be some. */
  #crowded(caller: string, fresh: number, now: number): Limited | null {
    const own = this.#byCaller.get(caller)
    if (own !== undefined && own.size + fresh > this.#caps.caller) {
      const free = this.#sweep(own, now)
      if (own.size + fresh > this.#caps.caller) return { detail: 'too many keys of this caller are limited at once', wait: free - now }
    }
    if (this.#windows.size + fresh <= this.#caps.all) return null
    if (now < this.#looked || this.#room <= now) {
      this.#looked = now
      this.#room = this.#sweep(this.#windows.values(), now)
    }
    if (this.#windows.size + fresh <= this.#caps.all) return null
    return { detail: 'too many keys are limited at once', wait: this.#room - now }
  }

  /** Drops what is idle; the time at which the first of the rest will be. */
  #sweep(windows: Iterable<Window>, now: number): number {
    let first = Number.POSITIVE_INFINITY
    for (const window of windows) {
      slide(window, now)
      const idle = idleAt(window)
      if (idle <= now) this.#drop(window)
      else first = Math.min(first, idle)
    }
    return first
  }

  #keep(window: Window): void {
    this.#windows.set(window.key, window)
    this.#gone.delete(window.key)
    let own = this.#byCaller.get(window.caller)
    if (own === undefined) this.#byCaller.set(window.caller, (own = new Set()))
    own.add(window)
  }

  #drop(window: Window): void {
    this.#windows.delete(window.key)
    this.#dirty.delete(window)
    this.#gone.add(window.key)
    const own = this.#byCaller.get(window.caller)
    own?.delete(window)
    if (own?.size === 0) this.#byCaller.delete(window.caller)
  }
}

/** None of the pieces holds a line end: keys are checked when the decision is read, ids are ours or SPIFFE IDs. */
function keyOf({ key, scope, per }: RateLimit, task: string, caller: string): string {
  return `${scope}\n${scope === 'task' ? task : scope === 'caller' ? caller : ''}\n${per}\n${key}`
}

/** Leaves the slots that still count at `now`. */
function slide(window: Window, now: number): void {
  const { slots, width } = window
  const slot = Math.floor(now / width)
  const newest = slots.at(-1)?.[0] ?? slot
  if (newest > slot) window.slots = [[slot, slots.reduce((sum, [, calls]) => sum + calls, 0)]]
  else if ((slots[0]?.[0] ?? slot) < slot - slotsPerWindow) window.slots = slots.filter(([at]) => at >= slot - slotsPerWindow)
}

/** When one more call may pass, epoch ms: so many slots must have gone that fewer than `calls` are left. */
function freeAt({ slots, width }: Window, calls: number): number {
  let left = slots.reduce((sum, [, counted]) => sum + counted, 0)
  let free = Number.NEGATIVE_INFINITY
  for (const [slot, counted] of slots) {
    if (left < calls) break
    left -= counted
    free = goneAt(slot, width)
  }
  return free
}

/** When nothing counts any more, epoch ms. */
function idleAt({ slots, width }: Window): number {
  return goneAt(slots.at(-1)?.[0] ?? Number.NEGATIVE_INFINITY, width)
}

function goneAt(slot: number, width: number): number {
  return (slot + slotsPerWindow + 1) * width
}
