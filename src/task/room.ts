/** How many tasks a caller may have open: one cannot fill the memory that its neighbours share. */
import { Refusal } from '../refusal.ts'
import type { State } from '../state/state.ts'

export class Room {
  readonly #state: Pick<State, 'tasks'>
  readonly #most: number
  /** Caller → tasks being opened: they count before they are in the state. Written by `take`. */
  readonly #opening = new Map<string, number>()

  constructor(state: Pick<State, 'tasks'>, most: number) {
    this.#state = state
    this.#most = most
  }

  /** Runs `open` for a caller that has room for one more task; else throws listen.overloaded. */
  async take<T>(caller: string, open: () => Promise<T>): Promise<T> {
    const before = this.#opening.get(caller) ?? 0
    this.#opening.set(caller, before + 1)
    try {
      await this.#check(caller, before)
      return await open()
    } finally {
      const left = (this.#opening.get(caller) ?? 1) - 1
      if (left > 0) this.#opening.set(caller, left)
      else this.#opening.delete(caller)
    }
  }

  async #check(caller: string, opening: number): Promise<void> {
    let open = opening
    for (const state of ['active', 'paused'] as const) open += (await this.#state.tasks({ caller, state, limit: this.#most })).length
    if (open >= this.#most) throw new Refusal('listen.overloaded', { reasons: [`at most ${this.#most} tasks may be open at once`] })
  }
}
