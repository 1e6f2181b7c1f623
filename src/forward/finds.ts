/** Where an answer held what was lent, told as it is found. */

/** `coded`: in a body that was compressed. */
export type Where = 'body' | 'coded' | 'header' | 'trailer'

/** What was found. */
export interface Find {
  readonly where: Where
  /** The first of its call. */
  readonly first: boolean
}

/** The finds of one call: each place is told once. */
export class Finds {
  /** The body is decoded here. */
  coded = false
  readonly #tell: ((find: Find) => void) | null
  /** Null until something is found, which nearly never is. */
  #told: Set<Where> | null = null

  /** Null: nobody asks. */
  constructor(tell: ((find: Find) => void) | null) {
    this.#tell = tell
  }

  at(where: Exclude<Where, 'coded'>): void {
    const place = where === 'body' && this.coded ? 'coded' : where
    if (this.#told?.has(place) === true) return
    const first = this.#told === null
    this.#told ??= new Set()
    this.#told.add(place)
    this.#tell?.({ where: place, first })
  }
}
