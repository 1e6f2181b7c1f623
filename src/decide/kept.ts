/** Values that stay in an instance's memory between evaluations, so that what many inputs have in common is read once. */

import type { Standing } from './standing.ts'

/** A standing part as the engine has it. */
export interface Kept {
  readonly standing: Standing
  /** Addresses: where each value belongs, and the value. */
  readonly values: readonly { readonly path: number; readonly value: number }[]
}

/** What of an instance it takes to keep values. */
export interface Keeping {
  /** Parses JSON text at an address and gives the value; all it needs is above the address. Throws when it is not JSON. */
  readonly parse: (text: string, at: number) => number
  /** Where the memory in use ends. */
  readonly end: () => number
}

/** A sidecar has few agents, and each a few tasks at a time; past this all are forgotten, and those in use come back. */
const mostKept = 8
/** One of so many inputs that are not known is looked at, so that callers that never come back cost little. */
const oneOf = 4

/** Owned by one instance. Nothing in here is ever freed or written by an evaluation: values are only read, and forgotten all at once. */
export class KeptValues {
  /** Where inputs are written: above all that is kept. Written by `keep`. */
  floor: number
  readonly #lowest: number
  readonly #keeping: Keeping
  #all: Kept[] = []
  #misses = 0

  constructor(floor: number, keeping: Keeping) {
    this.floor = floor
    this.#lowest = floor
    this.#keeping = keeping
  }

  /** The kept part that stands at a place of a text, letter for letter. */
  find(text: string, at: number): Kept | null {
    for (const kept of this.#all) {
      const { text: standing } = kept.standing
      // equal pieces are compared at once, `startsWith` goes letter by letter
      if (text.slice(at, at + standing.length) === standing) return kept
    }
    return null
  }

  /** Whether an input that was not known is one to keep the part of. */
  due(): boolean {
    return ++this.#misses % oneOf === 0
  }

  keep(standing: Standing): void {
    if (this.#all.length >= mostKept) {
      this.#all = []
      this.floor = this.#lowest
    }
    const values = standing.values.map(({ path, text }) => {
      const parse = (json: string): number => {
        const value = this.#keeping.parse(json, this.floor)
        this.floor = this.#keeping.end()
        return value
      }
      return { path: parse(JSON.stringify(path)), value: parse(text) }
    })
    this.#all.push({ standing, values })
  }
}
