/** One act after the other on the same thing, so that each finds what the one before it left. */
export class Turns {
  /** Key → the last that is under way. Written by `take`. */
  readonly #last = new Map<string, Promise<unknown>>()

  /** Settles as `turn` does, which begins when every earlier turn with this key is over, however it ended. */
  async take<T>(key: string, turn: () => Promise<T>): Promise<T> {
    const mine = Promise.resolve(this.#last.get(key)).then(turn)
    const over = mine.catch(() => null)
    this.#last.set(key, over)
    try {
      return await mine
    } finally {
      if (this.#last.get(key) === over) this.#last.delete(key)
    }
  }
}
