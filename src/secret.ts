import { inspect } from 'node:util'

/**
 * A value that can be used but never printed: every way of turning it into text gives `[secret]`.
 * Its only door is `reveal`, so that a search for that word lists every use.
 */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  /** The value itself, for the one place that puts it on the wire. Never keep or log the result. */
  reveal(): string {
    return this.#value
  }

  toString(): string {
    return '[secret]'
  }

  toJSON(): string {
    return '[secret]'
  }

  [Symbol.toPrimitive](): string {
    return '[secret]'
  }

  [inspect.custom](): string {
    return '[secret]'
  }
}
