/** One change of a task after the other, so that each sees what the one before it left. */
export class Turns {
  /** Task id → the last of its turns that are under way. Written by `take`. */
  readonly #last = new Map<string, Promise<unknown>>()

  /** Runs `turn` when the turns of this task before it are over, however they ended. */
  async take<T>(task: string, turn: () => Promise<T>): Promise<T> {
    const mine = Promise.resolve(this.#last.get(task)).then(turn)
    const over = mine.catch(() => null)
    this.#last.set(task, over)
    try {
      return await mine
    } finally {
      if (this.#last.get(task) === over) this.#last.delete(task)
    }
  }
}
