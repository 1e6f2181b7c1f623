/**
 * Gives again what policy answered, to calls that are alike in all that the answer rests on. What that is, is found out by watching one
 * evaluation in an instance of its own, between calls. See docs/design/0019-answers-that-are-given-again.md.
 */

import type { Frame, Framed } from '../frame.ts'
import { framedText } from '../frame.ts'
import { encodeInput } from '../input-text.ts'
import { PolicyInstance, type Mould } from '../instance.ts'
import type { Watch } from '../watch.ts'
import { answers, rememberedOf, type Remembered } from './answers.ts'
import { hook } from './hooked.ts'

export interface MemoOptions {
  readonly wasm: Uint8Array
  readonly mould: Mould
  /** The document of an answer, frozen. */
  readonly read: (answer: string) => unknown
  /** Told of each evaluation. */
  readonly watch: Watch
  readonly log: { warn(o: object, m: string): void }
}

/** An evaluation that may be watched: what it was asked and what it answered. */
export interface Evaluated {
  readonly framed: Framed
  readonly entrypoint: number
  /** For the watch. */
  readonly code: number
  readonly answer: string
}

/** Most answers of one frame: calls of one tool come out in a few ways. */
const mostAnswers = 4
/** Evaluations of a frame before one is watched, which takes as long as many of them. */
const worthWatching = 8
/** Evaluations that may be watched before any answer was given again, of one frame and of all, and what each call adds to that. */
const mostWatched = { frame: 4, all: 64 } as const
const earned = { frame: { given: 1 / 64, evaluated: 1 / 1024 }, all: { given: 1 / 256, evaluated: 1 / 256 } } as const
/** As for the instances that judge. */
const retiredBytes = 16 * 1024 * 1024

/** What is remembered of the calls of one frame. */
interface Known {
  readonly entrypoint: number
  /** The one that was given last comes first. */
  readonly all: Remembered[]
  evaluated: number
  credit: number
}

/** Owned by one host: of another policy, or other data, there is another. */
export class Memo {
  readonly #options: MemoOptions
  /** Gone with the task that the frame is of. */
  #known = new WeakMap<Frame, Known>()
  /** The policy as a module that tells; null before it is first wanted. */
  #hooked: Promise<Mould | null> | null = null
  #instance: PolicyInstance | null = null
  #next: Evaluated | null = null
  #watching: Promise<void> = Promise.resolve()
  #credit: number = mostWatched.all
  #given = 0
  #closed = false

  constructor(options: MemoOptions) {
    this.#options = options
  }

  /** How many inputs were answered from here. */
  get given(): number {
    return this.#given
  }

  /** What is known for this input; undefined when it has to be evaluated. Throws EngineFailure for an input that no engine takes. */
  find(framed: Framed, entrypoint: number): { readonly document: unknown } | undefined {
    const known = this.#known.get(framed.frame)
    if (known === undefined || known.entrypoint !== entrypoint) return undefined
    const { all } = known
    for (let at = 0; at < all.length; at++) {
      const one = all[at]
      if (one === undefined || !answers(one, framed)) continue
      this.#given++
      if (at > 0) [all[0], all[at]] = [one, all[0] ?? one]
      known.credit = Math.min(mostWatched.frame, known.credit + earned.frame.given)
      this.#credit = Math.min(mostWatched.all, this.#credit + earned.all.given)
      return one
    }
    return undefined
  }

  /** An input was evaluated: it may be watched once more, later. */
  evaluated(one: Evaluated): void {
    let known = this.#known.get(one.framed.frame)
    if (known === undefined) {
      known = { entrypoint: one.entrypoint, all: [], evaluated: 0, credit: mostWatched.frame }
      this.#known.set(one.framed.frame, known)
    }
    known.evaluated++
    known.credit = Math.min(mostWatched.frame, known.credit + earned.frame.evaluated)
    this.#credit = Math.min(mostWatched.all, this.#credit + earned.all.evaluated)
    if (this.#closed || this.#next !== null || known.evaluated < worthWatching || known.entrypoint !== one.entrypoint) return
    if (known.credit < 1 || this.#credit < 1) return
    known.credit--
    this.#credit--
    this.#next = one
    this.#watching = this.#watchNext(one, known)
  }

  /** Resolves when nothing is watched, or about to be. */
  async settled(): Promise<void> {
    await this.#watching
  }

  close(): void {
    this.#closed = true
    this.#instance = null
  }

  async #watchNext(one: Evaluated, known: Known): Promise<void> {
    try {
      const mould = await (this.#hooked ??= this.#prepare())
      // not in the turn of a call
      await new Promise((resolve) => setImmediate(resolve))
      if (mould !== null && !this.#closed) this.#watch(mould, one, known)
      else this.#closed = true
    } catch (error) {
      this.#options.log.warn({ error: error instanceof Error ? error.message : String(error) }, 'no answer of policy is given again')
      this.#closed = true
    } finally {
      this.#next = null
    }
  }

  /** The module that tells is not the one that judges: then nothing that it told counts. */
  #forget(): void {
    this.#closed = true
    this.#known = new WeakMap()
    this.#options.log.warn({}, 'no answer of policy is given again: a watched evaluation answered otherwise')
  }

  async #prepare(): Promise<Mould | null> {
    const { wasm, mould } = this.#options
    const hooked = await hook(wasm)
    if (hooked === null) return null
    return { ...mould, module: await WebAssembly.compile(hooked.bytes), told: hooked.told, print: () => undefined }
  }

  #watch(mould: Mould, { framed, entrypoint, code, answer }: Evaluated, known: Known): void {
    const { watch, read } = this.#options
    const input = encodeInput(framedText(framed))
    watch.begin(code)
    try {
      const instance = (this.#instance ??= new PolicyInstance(mould))
      const seen = instance.evaluateWatched(entrypoint, framed, input)
      if (instance.memoryBytes > retiredBytes) this.#instance = null
      if (seen.seen !== null && seen.answer !== answer) return this.#forget()
      const one = seen.seen === null ? null : rememberedOf(framed, seen.seen, read(answer))
      if (one === null || !answers(one, framed)) return
      if (known.all.length >= mostAnswers) known.all.pop()
      known.all.unshift(one)
    } catch {
      // nothing is known of an evaluation that threw, or was too long to be watched; its instance is unfit
      this.#instance = null
    } finally {
      watch.end()
    }
  }
}
