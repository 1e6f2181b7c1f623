/** Where in a task each tool was called, and where what it read came from: bounded, and one live record each. */
import type { MintRequest } from '../state/mint.ts'
import type { Source, Span, TaskFacts } from '../state/state.ts'

const mostTools = 512
const mostClasses = 64

/** A source as a file has it, maybe from before reads were counted: then there was one at least. */
export type KeptSource = Omit<Source, 'reads'> & Partial<Pick<Source, 'reads'>>

/** Written by the state when it mints. */
export class Trail {
  /** Tool → first and last step, 1 being the first call of the task. Past the cap the rest stands together under `*`. */
  readonly steps: Record<string, [first: number, last: number]> = Object.create(null)
  /** Data class → its latest read. Past the cap no class is added: one without a source has no known age and never heals. */
  readonly sources: Record<string, Source> = Object.create(null)
  #tools = 0
  #classes = 0

  constructor(steps: Readonly<Record<string, Span>> = {}, sources: Readonly<Record<string, KeptSource>> = {}) {
    for (const name in steps) {
      const [first, last] = steps[name] ?? [0, 0]
      this.steps[name] = [first, last]
      this.#tools++
    }
    for (const name in sources) {
      const source = sources[name]
      if (source !== undefined) this.#remember(name, { ...source, reads: source.reads ?? 1 })
    }
  }

  /** One more permitted call of a task that had these facts. */
  add({ step: { tool, at }, data }: MintRequest, { step: before, sensitivity }: TaskFacts): void {
    const step = before + 1
    this.#walk(tool, step)
    for (const name of data) {
      if (name === 'public') continue
      const last = this.sources[name]
      // what was read before anybody kept sources came from who knows where
      const only = last === undefined ? !sensitivity.includes(name) : last.only && last.tool === tool
      this.#remember(name, { tool, at, step, only, reads: (last?.reads ?? 0) + 1 })
    }
  }

  /** What was raised without a read, say by what an answer holds, came from no tool alone. True when that is news. */
  raised(classes: readonly string[]): boolean {
    let news = false
    for (const name of classes) {
      const source = this.sources[name]
      if (source?.only !== true) continue
      this.sources[name] = { ...source, only: false }
      news = true
    }
    return news
  }

  /** A person cleared what was read. */
  forgetSources(): void {
    for (const name in this.sources) delete this.sources[name]
    this.#classes = 0
  }

  #walk(tool: string, step: number): void {
    const known = this.steps[tool]
    if (known !== undefined) known[1] = step
    else if (this.#tools < mostTools) {
      this.steps[tool] = [step, step]
      this.#tools++
    } else if (this.steps['*'] === undefined) this.steps['*'] = [step, step]
    else this.steps['*'][1] = step
  }

  #remember(name: string, source: Source): void {
    if (this.sources[name] === undefined && this.#classes++ >= mostClasses) return
    this.sources[name] = source
  }
}

/** The widest that each tool may have been called at, for a task whose file holds counts alone: it may have been any step. */
export function anywhere(counts: Readonly<Record<string, number>>, steps: number): Record<string, Span> {
  return Object.fromEntries(Object.keys(counts).map((name) => [name, [1, steps]]))
}
