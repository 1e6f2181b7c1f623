/** A second reading of JSON text for its keys, which the parser of the platform may get wrong. */

import { endOfString } from './json-scan.ts'

/**
 * Reads text that the parser accepted once more, for its keys. V8 guesses a key from objects it saw before and compares the guess
 * with the text before unescaping (V8 issue 521080746, nodejs/node#63785): after `{"\\\\u0061":0}`, the key of `{"\\u0061mount":9}`
 * comes out as the six characters of its escape. An agent could so hide a member from policy. A string read alone has no such guess.
 */
export class Reading {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  value(): unknown {
    switch (this.#next()) {
      case 0x7b:
        return this.#object()
      case 0x5b:
        return this.#array()
      case 0x22:
        return this.#string()
      default:
        return this.#word()
    }
  }

  #object(): Record<string, unknown> {
    const members = Object.create(null) as Record<string, unknown>
    for (this.#at++; this.#next() !== 0x7d;) {
      const key = this.#string()
      this.#next()
      this.#at++ // the colon
      members[key] = this.value()
      if (this.#next() === 0x2c) this.#at++
    }
    this.#at++
    return members
  }

  #array(): unknown[] {
    const items: unknown[] = []
    for (this.#at++; this.#next() !== 0x5d;) {
      items.push(this.value())
      if (this.#next() === 0x2c) this.#at++
    }
    this.#at++
    return items
  }

  #string(): string {
    const start = this.#at
    this.#at = endOfString(this.#text, start) + 1
    return JSON.parse(this.#text.slice(start, this.#at)) as string
  }

  /** A number or a name: all up to the next mark or blank. */
  #word(): unknown {
    const start = this.#at
    while (this.#at < this.#text.length && !/[\s,\]}]/.test(this.#text.charAt(this.#at))) this.#at++
    return JSON.parse(this.#text.slice(start, this.#at))
  }

  /** Skips blanks; the unit that follows. */
  #next(): number {
    for (;;) {
      const unit = this.#text.charCodeAt(this.#at)
      if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && unit !== 0x09) return unit
      this.#at++
    }
  }
}
