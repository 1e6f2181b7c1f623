/** The end of listening: what is in flight finishes, within a deadline. */
import { Bag } from '../bag.ts'
import { Refusal } from '../refusal.ts'
import type { HttpCall } from './http-call.ts'
import type { Port } from './port.ts'

/** How long calls that were cut at the deadline get to be recorded and answered. */
const farewell = 1000

/** Calls in flight. Calls enter when they arrive and leave when the request path is done with them. */
export class InFlight {
  readonly calls = new Bag<HttpCall>()
  #waiting: (() => void)[] = []

  leave(call: HttpCall): void {
    this.calls.delete(call)
    if (this.calls.size > 0) return
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  /** Resolves when nothing is in flight or `ms` have passed. */
  async empty(ms: number): Promise<void> {
    if (this.calls.size === 0) return
    const idle = Promise.withResolvers<void>()
    this.#waiting.push(idle.resolve)
    const timer = setTimeout(idle.resolve, ms)
    await idle.promise
    clearTimeout(timer)
  }
}

/** Takes the ports, what is in flight, and how long it may take to finish (ms). Resolves when every connection is closed. */
export async function drain(ports: readonly Port[], inFlight: InFlight, deadline: number): Promise<void> {
  const closed = Promise.all(ports.map((port) => port.close()))
  for (const call of inFlight.calls.list()) call.last()
  await inFlight.empty(deadline)
  for (const call of inFlight.calls.list()) call.cut(new Refusal('listen.draining'))
  await inFlight.empty(farewell)
  for (const port of ports) port.destroy()
  await closed
}
