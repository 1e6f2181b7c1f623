/** One act after the other on the same thing: each finds what the one before left. */
export class Turns {
  /** Key → the last that is under way. Written by `take`. */
  readonly #last = new Map<string, Promise<unknown>>()

  /** Settles as `act` does, which begins when every earlier act with this key is over. */
  async take<T>(key: string, act: () => Promise<T>): Promise<T> {
    const turn = Promise.resolve(this.#last.get(key)).then(act)
    const over = turn.catch(() => null)
    this.#last.set(key, over)
    try {
      return await turn
    } finally {
      if (this.#last.get(key) === over) this.#last.delete(key)
    }
  }
}
