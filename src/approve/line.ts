/** Calls that wait before they may have a permit: who is behind whom, and what became of those before. */
import type { Question } from '../decide/decide.ts'
import type { Call } from '../listen/call.ts'
import { Refusal } from '../refusal.ts'

/** Why a call that waits is judged again. */
export type Woken = 'fact' | 'dependency' | 'time'

/** One call that waits. */
export class Place {
  readonly question: Question
  /** Grows with each that begins to wait: nobody is behind one that came later. */
  readonly number: number
  /** It waits for a fact, or behind another; else for a person. */
  deferred = false
  /** How many wait one behind the other up to this one, it included. */
  depth = 1
  permitted = false
  /** When its waiting ends, however often it begins again; on the clock that nobody can set, ms. */
  until = Infinity
  /** Facts may have changed since it was judged last. */
  stale = false
  /** Ends its wait; null while it does not wait. */
  wake: (() => void) | null = null
  /** Resolves when the call is over, answered or refused. */
  readonly over: Promise<void>
  readonly leave: () => void

  constructor(question: Question, number: number) {
    this.question = question
    this.number = number
    const { promise, resolve } = Promise.withResolvers<void>()
    this.over = promise
    this.leave = resolve
  }
}

/** What changed: of one task, of one caller, or anything. */
export interface Changed {
  readonly task?: string
  readonly caller?: string
}

/** What became of calls of one caller that waited; the oldest are forgotten. */
interface Past {
  readonly calls: Map<string, { readonly task: string; readonly permitted: boolean }>
  /** Of the newest call that was forgotten, epoch ms. */
  since: number
}

const mostOfCaller = 256
const mostCallers = 4096

/** The one register of them; it outlives a configuration. Nobody looks at it while it is empty. */
export class Line {
  readonly #clock: () => number
  /** By call. Written by `enter` and `leave`. */
  readonly #places = new Map<string, Place>()
  /** Task → those of it that wait, in order. Written by `enter` and `leave`. */
  readonly #ofTask = new Map<string, Set<Place>>()
  readonly #past = new Map<string, Past>()
  /** Calls before it may have waited in an earlier process, epoch ms. */
  #since: number
  #next = 0
  #closed = false

  constructor(clock: () => number) {
    this.#clock = clock
    this.#since = clock()
  }

  get size(): number {
    return this.#places.size
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Calls of one caller that wait for a fact, or behind another. */
  deferredOf(caller: string): number {
    let count = 0
    for (const { deferred, question } of this.#places.values()) if (deferred && question.caller.id === caller) count++
    return count
  }

  /** Calls of a task that wait, in their order: for a fact or another call, else for a person. */
  heldOf(task: string): readonly Place[] {
    return [...(this.#ofTask.get(task) ?? [])].filter(({ permitted }) => !permitted)
  }

  /** Whether a call may have to wait behind another. */
  concerns({ call, task, target: { tool, resource } }: Question): boolean {
    if ((call.carried?.dependsOn ?? null) !== null) return true
    if (this.#places.size === 0 || resource === null || tool.effect === 'read') return false
    for (const { deferred, question } of this.#ofTask.get(task.row.id) ?? [])
      if (deferred && question.target.resource === resource) return true
    return false
  }

  /** From now on others may wait behind this call, until `leave`. */
  enter(question: Question): Place {
    const place = new Place(question, this.#next++)
    const task = question.task.row.id
    this.#places.set(question.call.id, place)
    const own = this.#ofTask.get(task)
    if (own === undefined) this.#ofTask.set(task, new Set([place]))
    else own.add(place)
    return place
  }

  /**
   * The call that this one has to wait for: the one that it declares (`Countersign-Depends-On`), and for what changes a resource the last
   * deferred one of its task on the same resource. Null: none. Throws `approve.deferred` when the declared one was refused, or is not known.
   */
  ahead(place: Place): Place | null {
    const declared = this.#declared(place)
    const { task, target } = place.question
    let found = declared
    if (target.resource === null || target.tool.effect === 'read') return found
    for (const other of this.#ofTask.get(task.row.id) ?? []) {
      if (other.number >= place.number || !other.deferred || other.question.target.resource !== target.resource) continue
      if (found === null || other.depth >= found.depth) found = other
    }
    return found
  }

  /** The call is over. */
  leave({ id }: Pick<Call, 'id'>): void {
    const place = this.#places.get(id)
    if (place === undefined) return
    const { question, permitted } = place
    const task = question.task.row.id
    this.#places.delete(id)
    const own = this.#ofTask.get(task)
    own?.delete(place)
    if (own?.size === 0) this.#ofTask.delete(task)
    this.#remember(question.caller.id, id, { task, permitted })
    place.leave()
  }

  /** Has those judged again that rest on what changed. */
  wake({ task, caller }: Changed): void {
    if (this.#places.size === 0) return
    for (const place of (task === undefined ? this.#places.values() : this.#ofTask.get(task)) ?? []) {
      if (caller !== undefined && place.question.caller.id !== caller) continue
      place.stale = true
      place.wake?.()
    }
  }

  /** From now on nobody waits. */
  close(): void {
    this.#closed = true
    for (const { wake } of this.#places.values()) wake?.()
  }

  #declared({ question, number }: Place): Place | null {
    const { call, caller, task } = question
    const id = call.carried?.dependsOn ?? null
    if (id === null) return null
    const other = this.#places.get(id)
    if (other !== undefined && other.question.task.row.id === task.row.id && other.number < number) return other
    const past = this.#past.get(caller.id)
    const was = past?.calls.get(id)
    if (was?.task === task.row.id) {
      if (was.permitted) return null
      throw heldBack('the call that it depends on was refused', 'never')
    }
    // one that never waited is not known here, and was allowed or refused at once
    const at = timeOf(id)
    if (other !== undefined || was !== undefined || at < Math.max(past?.since ?? 0, this.#since) || at > this.#clock())
      throw heldBack('the call that it depends on is not known', 'never')
    return null
  }

  #remember(caller: string, id: string, what: { readonly task: string; readonly permitted: boolean }): void {
    let past = this.#past.get(caller)
    if (past === undefined) {
      if (this.#past.size >= mostCallers) this.#forget()
      this.#past.set(caller, (past = { calls: new Map(), since: 0 }))
    }
    past.calls.set(id, what)
    const [oldest] = past.calls.keys()
    if (past.calls.size <= mostOfCaller || oldest === undefined) return
    past.calls.delete(oldest)
    // of the same ms there may be others
    past.since = Math.max(past.since, timeOf(oldest) + 1)
  }

  /** All that is known of the caller that has been here longest. */
  #forget(): void {
    const [oldest] = this.#past.keys()
    if (oldest === undefined) return
    this.#past.delete(oldest)
    this.#since = this.#clock() + 1
  }
}

/** The refusal of a call that waits, or would have to. */
export function heldBack(reason: string, retry: 'never' | 'later'): Refusal {
  return new Refusal('approve.deferred', { reasons: [reason], retry })
}

const digits = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/** Epoch ms at which an id was made. */
function timeOf(id: string): number {
  let ms = 0
  for (const digit of id.slice(2, 12)) ms = ms * 32 + digits.indexOf(digit)
  return ms
}
