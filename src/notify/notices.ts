/** Notices of policy: written to the ledger, then handed on. What an agent makes policy say again and again is counted. */

import { setTimeout as delay } from 'node:timers/promises'
import type { CallNotice } from '../approve/oblige.ts'
import type { NewId } from '../id.ts'
import type { LedgerEvent } from '../record/record.ts'
import type { NoticeEvent, Notifier } from './notifier.ts'
import { Queue, type Delivery, type QueueOptions } from './queue.ts'

export interface NoticesOptions {
  /** Resolves when the event is in the ledger. */
  readonly event: (event: LedgerEvent) => Promise<void>
  /** Epoch ms. */
  readonly clock: () => number
  readonly newId: NewId
  /** What Countersign calls itself: `source` of the events. */
  readonly source: string
  readonly log: { warn(fields: object, message: string): void; error(fields: object, message: string): void }
  /** Told of every notice that was handed on, or was not. */
  readonly count: (notifier: string, delivery: Delivery) => void
  /** How queues wait before they try again; real time by default. */
  readonly wait?: QueueOptions['wait']
}

/** A notice that was written, and what was counted since. */
interface Said {
  readonly notice: CallNotice
  /** Epoch ms. */
  readonly at: number
  more: number
}

const minute = 60_000
/** Different notices of one task in a minute; the rest counts as one. */
const mostPerTask = 32
const others = 'more notices of this task than are written one by one'
const closingTime = 2000

/**
 * The same notice about one task within a minute is counted, not written again: `times` of the next line, or of a line a minute
 * later, says how often. So an agent cannot fill the ledger, nor anybody's inbox, by being refused.
 */
export class Notices {
  readonly #options: NoticesOptions
  /** Task → addressee and message → what was said. Written by `notify` and `sum`. */
  readonly #said = new Map<string, Map<string, Said>>()
  /** By name. Written by `change`; a queue outlives a reload. */
  readonly #queues = new Map<string, Queue<NoticeEvent>>()
  #timer: NodeJS.Timeout | null = null

  constructor(options: NoticesOptions) {
    this.#options = options
  }

  /** Delivers through these from now on; what waits for one that is gone is dropped. */
  change(notifiers: ReadonlyMap<string, Notifier>): void {
    for (const [name, queue] of this.#queues) {
      if (notifiers.has(name)) continue
      queue.stop()
      this.#queues.delete(name)
    }
    const { log, count, wait = patiently } = this.#options
    for (const [name, notifier] of notifiers) {
      const queue = this.#queues.get(name)
      if (queue === undefined) this.#queues.set(name, new Queue(notifier, { name, log, count, wait }))
      else queue.use(notifier)
    }
  }

  /** Resolves when the notice is in the ledger, or counted; rejects with `record.failed`. */
  async notify(given: CallNotice): Promise<void> {
    const now = this.#options.clock()
    const own = this.#of(given.task)
    const known = own.has(keyOf(given))
    const notice = known || own.size < mostPerTask ? given : { ...given, message: others }
    const key = keyOf(notice)
    const before = own.get(key)
    if (before !== undefined && isFresh(before, now)) {
      before.more++
      return
    }
    const said: Said = { notice, at: now, more: 0 }
    own.set(key, said)
    this.#timer ??= setInterval(() => void this.sum(), minute).unref()
    try {
      await this.#write(notice, 1 + (before?.more ?? 0), now)
    } catch (error) {
      // nobody was told: the next one must not be counted as a repetition
      if (own.get(key) === said) own.delete(key)
      throw error
    }
  }

  /** Writes down what was counted in minutes that are over; runs every minute. Never rejects. */
  async sum(all = false): Promise<void> {
    const now = this.#options.clock()
    const work: Promise<void>[] = []
    for (const [task, own] of this.#said) {
      for (const [key, said] of own) {
        if (!all && isFresh(said, now)) continue
        own.delete(key)
        if (said.more > 0) work.push(this.#write(said.notice, said.more, now))
      }
      if (own.size === 0) this.#said.delete(task)
    }
    for (const done of await Promise.allSettled(work))
      if (done.status === 'rejected') this.#options.log.error({}, 'a number of notices could not be written to the ledger')
  }

  /** Writes what was counted, gives the queues a moment, and stops. */
  async close(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
    await this.sum(true)
    const queues = [...this.#queues.values()]
    const enough = new AbortController()
    const late = delay(closingTime, undefined, { signal: enough.signal, ref: false }).catch(() => undefined)
    await Promise.race([Promise.all(queues.map((queue) => queue.settled())), late])
    enough.abort()
    for (const queue of queues) queue.stop()
    await Promise.all(queues.map((queue) => queue.settled()))
  }

  #of(task: string): Map<string, Said> {
    let own = this.#said.get(task)
    if (own === undefined) this.#said.set(task, (own = new Map()))
    return own
  }

  async #write(notice: CallNotice, times: number, now: number): Promise<void> {
    const { to, message, effect, decision, task, caller, tool, owners, by = 'policy' } = notice
    const detail = { to, message, effect, decision, tool, owners, times }
    await this.#options.event({ kind: 'notification', task, caller, by, detail })
    this.#queues.get(to)?.push(this.#eventOf(notice, { ...detail, task, caller }, now))
  }

  #eventOf({ task }: CallNotice, data: NoticeEvent['data'], now: number): NoticeEvent {
    const { newId, source } = this.#options
    const time = new Date(now).toISOString()
    const kind = { specversion: '1.0', type: 'countersign.notification', datacontenttype: 'application/json' } as const
    return { ...kind, id: newId('e'), source, time, subject: task, data }
  }
}

/** Neither piece holds a line end: both are checked when the decision is read. */
function keyOf({ to, message }: CallNotice): string {
  return `${to}\n${message}`
}

/** A clock put back ends the minute: rather once too often than never. */
function isFresh({ at }: Said, now: number): boolean {
  return now >= at && now - at < minute
}

function patiently(ms: number, signal: AbortSignal): Promise<unknown> {
  return delay(ms, undefined, { signal, ref: false })
}
