/** Facts that people and their systems give from outside: in the ledger before they count, and judged by at once. */
import {
  mostOfKey,
  signalName,
  signalScopes,
  type SignalBook,
  type SignalRow,
  type SignalScope,
  type SignalValue,
} from './state/signals.ts'
import type { Awaitable, TaskRow } from './state/state.ts'

/** A signal that cannot be given, with what to do about it. */
export class SignalFault extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'SignalFault'
  }
}

export interface Given {
  readonly scope: SignalScope
  readonly key: string
  readonly name: string
  readonly value: SignalValue
  readonly source: string
  /** ms. */
  readonly ttl: number
  /** `person:<name>`. */
  readonly by: string
  readonly reason: string
  /** How the person came in. */
  readonly method?: string
}

export interface SignalsOptions {
  readonly book: SignalBook
  readonly task: (id: string) => Awaitable<TaskRow | null>
  /** Epoch ms. */
  readonly clock: () => number
  readonly event: (event: SignalEvent) => Promise<void>
  /** Has open work judged again, and calls that wait. */
  readonly changed: (whose: { readonly task?: string; readonly caller?: string }) => void
}

export interface SignalEvent {
  readonly kind: 'signal.given' | 'signal.withdrawn'
  readonly task?: string
  readonly caller?: string
  readonly by: string
  readonly detail: Readonly<Record<string, unknown>>
}

/** The longest that a fact counts without being given again, ms. */
export const longestTtl = 7 * 86_400_000

const printable = /^[^\p{C}\p{Zl}\p{Zp}]{1,256}$/u

/** What changes signals; an agent has no way here. */
export class Signals {
  readonly #options: SignalsOptions

  constructor(options: SignalsOptions) {
    this.#options = options
  }

  /** Throws SignalFault for what is malformed, for a task that is not there, and where too many are given already. */
  async give(given: Given): Promise<SignalRow> {
    const { book, clock, event } = this.#options
    check(given)
    const { ttl, method, ...what } = given
    const whose = await this.#whose(given)
    const at = clock()
    const row: SignalRow = { ...what, at, expires: at + ttl }
    const { by, ...detail } = row
    const others = await book.signals(given)
    if (others.length >= mostOfKey && !others.some(({ name }) => name === given.name)) throw tooMany(given)
    await event({ kind: 'signal.given', ...whose, by, detail: { ...detail, method } })
    if ((await book.give(row)) === null) throw tooMany(given)
    this.#options.changed(whose)
    return row
  }

  /** Null when there is none. It counts no more before that is in the ledger. */
  async withdraw(
    { scope, key, name }: Pick<Given, 'scope' | 'key' | 'name'>,
    { by, reason, method }: Pick<Given, 'by' | 'reason' | 'method'>,
  ): Promise<SignalRow | null> {
    const { book, event, changed } = this.#options
    const row = await book.withdraw(scope, key, name)
    if (row === null) return null
    const whose = scope === 'caller' ? { caller: key } : scope === 'task' ? await this.#ofTask(key) : {}
    changed(whose)
    await event({ kind: 'signal.withdrawn', ...whose, by, detail: { scope, key, name, reason, method } })
    return row
  }

  async #whose({ scope, key }: Given): Promise<{ readonly task?: string; readonly caller?: string }> {
    if (scope === 'resource') return {}
    if (scope === 'caller') return { caller: key }
    const task = await this.#options.task(key)
    if (task === null || task.ended !== null) throw new SignalFault('there is no such task, or it has ended')
    return { task: task.id, caller: task.caller }
  }

  async #ofTask(id: string): Promise<{ readonly task: string; readonly caller?: string }> {
    const task = await this.#options.task(id)
    return { task: id, ...(task !== null && { caller: task.caller }) }
  }
}

function tooMany({ scope }: Given): SignalFault {
  return new SignalFault(`too many signals are given for this ${scope}: withdraw one first`)
}

function check({ scope, key, name, value, source, ttl }: Given): void {
  if (!signalScopes.includes(scope)) throw new SignalFault(`a signal is given for a ${signalScopes.join(', a ')}`)
  if (!/^[^\p{C}\p{Zl}\p{Zp}]{1,4096}$/u.test(key)) throw new SignalFault(`the ${scope} must be one line of text`)
  if (!signalName.test(name)) throw new SignalFault('the name must be of a-z, 0-9, "_" and "-", such as malware-scan')
  const known =
    typeof value === 'boolean' ||
    (typeof value === 'number' && Number.isFinite(value)) ||
    (typeof value === 'string' && printable.test(value))
  if (!known) throw new SignalFault('the value must be true, false, a number, or one line of at most 256 characters')
  if (!printable.test(source)) throw new SignalFault('the source must be one line of at most 256 characters')
  if (!Number.isSafeInteger(ttl) || ttl < 1000 || ttl > longestTtl) throw new SignalFault('ttl must be from 1s to 7d')
}
