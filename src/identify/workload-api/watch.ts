import type { Backoff } from './backoff.ts'
import { faultOf } from './connection.ts'
import type { StreamListener } from './connection.ts'
import { messageOf } from './fault.ts'
import type { WorkloadApiFault } from './fault.ts'
import { statuses } from './grpc.ts'

/** What a watch tells. The same news is told once, except that every update and every discarded message is. */
export type WatchEvent<Value> =
  /** The state as it now is, whole: what it does not hold is gone (Workload API §4.3, §4.4). */
  | { readonly kind: 'update'; readonly value: Value }
  /** The endpoint says that there is nothing (any more) for this workload: stop using what was there at once. It is asked again. */
  | { readonly kind: 'redacted'; readonly why: string }
  /** The endpoint cannot be reached or cannot answer: what was there stays good until it expires. It is asked again. */
  | { readonly kind: 'unavailable'; readonly why: string }
  /** A message broke the specification and changes nothing (Workload API §4.5). The stream goes on. */
  | { readonly kind: 'discarded'; readonly why: string }
  /** The endpoint will not serve this stream (Workload Endpoint §6), or the client was closed (`fault.code`): it is not asked again. */
  | { readonly kind: 'ended'; readonly why: string; readonly fault: WorkloadApiFault }

export type WatchListener<Value> = (event: WatchEvent<Value>) => void

/** A watch that runs; after `close` it tells nothing more. */
export interface Watch {
  close(): void
}

/** As its client sees it: `end` says why it ends, where `close` says nothing. */
export interface OwnWatch extends Watch {
  end(fault: WorkloadApiFault): void
}

/** Time for waiting, apart from the time of day. */
export interface Pace {
  /** Ms that only grow. */
  now(): number
  /** Gives the function that calls it off. */
  after(ms: number, act: () => void): () => void
}

export interface WatchParts<Value> {
  /** Asks anew; gives the function that cancels. */
  readonly open: (listener: StreamListener) => () => void
  /** Throws for a message to discard. `before` is the state that the message replaces; null at first and after a redaction. */
  readonly read: (bytes: Uint8Array, before: Value | null) => Value
  readonly listener: WatchListener<Value>
  readonly backoff: Backoff
  readonly pace: Pace
  /** Ms after which a stream that has not said anything is given up (Workload API §4.3: the first message comes without delay). */
  readonly patience: number
}

export const realPace: Pace = {
  now: () => performance.now(),
  after(ms, act) {
    const timer = setTimeout(act, ms).unref()
    return () => clearTimeout(timer)
  },
}

/** Keeps one stream open for as long as it is not closed (Workload API §4.2), and says what it means. */
export function startWatch<Value>(parts: WatchParts<Value>): OwnWatch {
  const running = new RunningWatch(parts)
  running.start()
  return running
}

class RunningWatch<Value> implements OwnWatch {
  readonly #parts: WatchParts<Value>
  // written by #ask, #take, #over, #again, #tell and close alone
  #value: Value | null = null
  #closed = false
  /** True when the stream at hand gave an update. */
  #fed = false
  #heard = false
  #cancel: () => void = () => undefined
  #stopTimer: () => void = () => undefined
  #lastRush = Number.NEGATIVE_INFINITY
  #told = ''

  constructor(parts: WatchParts<Value>) {
    this.#parts = parts
  }

  start(): void {
    this.#ask()
  }

  close(): void {
    this.#closed = true
    this.#stopTimer()
    this.#cancel()
  }

  end(fault: WorkloadApiFault): void {
    if (this.#closed) return
    this.close()
    this.#tell({ kind: 'ended', why: fault.message, fault })
  }

  #ask(): void {
    this.#fed = false
    this.#heard = false
    const cancel = this.#parts.open({
      message: (bytes) => this.#take(bytes),
      end: (code, details) => this.#over(code, details),
    })
    this.#cancel = cancel
    this.#stopTimer = this.#parts.pace.after(this.#parts.patience, () => {
      cancel()
      this.#over(statuses.deadlineExceeded, 'it said nothing')
    })
  }

  #take(bytes: Uint8Array): void {
    if (this.#closed) return
    if (!this.#heard) this.#stopTimer()
    this.#heard = true
    let value: Value
    try {
      value = this.#parts.read(bytes, this.#value)
    } catch (error) {
      this.#tell({ kind: 'discarded', why: messageOf(error) })
      return
    }
    this.#value = value
    this.#fed = true
    this.#parts.backoff.reset()
    this.#tell({ kind: 'update', value })
  }

  #over(code: number, details: string): void {
    if (this.#closed) return
    this.#stopTimer()
    const fault = faultOf(code, details)
    if (fault.code === 'invalid-argument' || fault.code === 'unimplemented') {
      this.end(fault)
      return
    }
    const denied = fault.code === 'permission-denied'
    if (denied) this.#value = null
    this.#again(denied)
    if (denied) this.#tell({ kind: 'redacted', why: fault.message })
    else if (code !== statuses.ok) this.#tell({ kind: 'unavailable', why: fault.message })
    else if (!this.#fed) this.#tell({ kind: 'unavailable', why: 'the Workload API ended the stream without a usable message' })
  }

  /** At once when the stream was a good one and this does not happen all the time; else after a wait. */
  #again(denied: boolean): void {
    const { backoff, pace } = this.#parts
    const now = pace.now()
    const rush = this.#fed && !denied && now - this.#lastRush >= backoff.step
    if (rush) this.#lastRush = now
    this.#stopTimer = pace.after(rush ? 0 : backoff.next(), () => this.#ask())
  }

  /** Last in every act, for a listener may close this watch. What a listener throws is its own: it goes to the process, not to the stream. */
  #tell(event: WatchEvent<Value>): void {
    const news = event.kind === 'redacted' || event.kind === 'unavailable' ? `${event.kind} ${event.why}` : ''
    if (news !== '' && news === this.#told) return
    if (event.kind !== 'discarded') this.#told = news
    try {
      this.#parts.listener(event)
    } catch (error) {
      queueMicrotask(() => {
        throw error
      })
    }
  }
}
