/** A chain of decoders as what undici's handlers pause and resume. */
import type { Duplex } from 'node:stream'
import type { Dispatcher } from 'undici'

type Controller = Dispatcher.DispatchController

/** Its pause stops the last decoder; the decoders before it fill up, and then undici is paused in its turn. */
export class Flow implements Controller {
  readonly #source: Controller
  #chain: readonly Duplex[] = []
  #paused = false
  #ended = false

  constructor(source: Controller) {
    this.#source = source
  }

  get begun(): boolean {
    return this.#chain.length > 0
  }

  get aborted(): boolean {
    return this.#source.aborted
  }

  get paused(): boolean {
    return this.#paused || this.#source.paused
  }

  get reason(): Error | null {
    return this.#source.reason
  }

  abort(reason: Error): void {
    this.#source.abort(reason)
  }

  pause(): void {
    this.#paused = true
    if (this.begun) this.#chain.at(-1)?.pause()
    else this.#source.pause()
  }

  resume(): void {
    this.#paused = false
    if (this.begun) this.#chain.at(-1)?.resume()
    else this.#source.resume()
  }

  /** Takes the decoders, the first to be used first, and who is told of what they give, of its end, and of the first fault. */
  begin(chain: readonly Duplex[], data: (piece: Buffer) => void, end: () => void, fault: () => void): void {
    this.#chain = chain
    for (const [index, stage] of chain.entries()) {
      stage.on('error', fault)
      const next = chain[index + 1]
      if (next !== undefined) stage.pipe(next)
    }
    const last = chain.at(-1)
    last?.on('data', data)
    last?.on('end', end)
    if (this.#paused) last?.pause()
    chain[0]?.on('drain', () => {
      if (!this.#ended) this.#source.resume()
    })
  }

  write(chunk: Buffer): void {
    if (this.#chain[0]?.write(chunk) === false) this.#source.pause()
  }

  end(): void {
    this.#ended = true
    this.#chain[0]?.end()
  }

  close(): void {
    this.#ended = true
    for (const stage of this.#chain) stage.destroy()
  }
}
