/** What a sink is given next: lines read ahead, no more of them than one batch. */

import type { LedgerWatch, TailLine } from './tail.ts'
import { tail } from './tail.ts'
import type { BatchSize, SinkLine } from './sink.ts'

export interface IntakeOptions {
  readonly dir: string
  readonly watch: LedgerWatch
  /** The line before the first that is wanted. */
  readonly after: number
  readonly size: BatchSize
  readonly signal: AbortSignal
  /** Whether the sink is to have a line. */
  readonly wants: (line: string) => boolean
  /** Told of lines that are not there any more; `first` and `last` are numbers. */
  readonly gap: (first: number, last: number) => void
}

/** Owned by one feed. Reads only while it is asked to, so that a sink that hangs holds one batch and no more. */
export class Intake {
  readonly #options: IntakeOptions
  readonly #lines: SinkLine[] = []
  #characters = 0
  #seq: number
  #reader: AsyncGenerator<TailLine, void> | null = null
  #hurried = false
  #wake: (() => void) | null = null

  constructor(options: IntakeOptions) {
    this.#options = options
    this.#seq = options.after
  }

  /** Lines that wait, oldest first. */
  get lines(): readonly SinkLine[] {
    return this.#lines
  }

  /** The last line that was looked at, wanted or not. */
  get seq(): number {
    return this.#seq
  }

  /** Resolves when there is a batch to give, when lines were passed over and none is left to wait for, or on abort. Rejects when reading fails. */
  async fill(): Promise<void> {
    const { size, signal, watch } = this.#options
    const before = this.#seq
    let lingered = size.linger === 0
    while (!signal.aborted && this.#lines.length < size.lines && this.#characters < size.characters) {
      if (this.#seq < watch.position().seq) {
        if (!(await this.#read())) return
        continue
      }
      if (this.#lines.length === 0 && this.#seq > before) return
      if (this.#lines.length > 0 && (lingered || this.#hurried)) return
      lingered = (await this.#moved(this.#lines.length > 0 ? size.linger : null)) === 'waited'
    }
  }

  /** Lets go of the first lines; gives the number of the last line before those that are left. */
  pass(count: number): number {
    for (const { line } of this.#lines.splice(0, count)) this.#characters -= line.length
    const next = this.#lines[0]
    return next === undefined ? this.#seq : next.seq - 1
  }

  /** From now on no batch waits to become full. */
  hurry(): void {
    this.#hurried = true
    this.#wake?.()
  }

  /** Ends a reader that its consumer left waiting. */
  close(): void {
    void this.#reader?.return()
    this.#reader = null
  }

  /** False at the end, which is an abort. */
  async #read(): Promise<boolean> {
    const { dir, watch, signal, wants, gap } = this.#options
    this.#reader ??= tail(dir, { fromSeq: this.#seq + 1, follow: true, signal, watch })
    try {
      const { done, value } = await this.#reader.next()
      if (done === true) return false
      const { seq, line } = value
      if (seq <= this.#seq) return true
      if (seq > this.#seq + 1) gap(this.#seq + 1, seq - 1)
      this.#seq = seq
      if (!wants(line)) return true
      this.#lines.push(value)
      this.#characters += line.length
      return true
    } catch (error) {
      this.#reader = null
      throw error
    }
  }

  /** Resolves when there is a line more, on abort or `hurry`, or after so many ms. */
  async #moved(ms: number | null): Promise<'moved' | 'waited'> {
    const { watch, signal } = this.#options
    const { promise, resolve } = Promise.withResolvers<'moved' | 'waited'>()
    const unsubscribe = watch.subscribe((now) => {
      if (now > this.#seq) resolve('moved')
    })
    const stopped = (): void => resolve('moved')
    signal.addEventListener('abort', stopped, { once: true })
    this.#wake = stopped
    const timer = ms === null ? null : setTimeout(() => resolve('waited'), ms)
    if (watch.position().seq > this.#seq || signal.aborted) resolve('moved')
    try {
      return await promise
    } finally {
      unsubscribe()
      signal.removeEventListener('abort', stopped)
      this.#wake = null
      if (timer !== null) clearTimeout(timer)
    }
  }
}
