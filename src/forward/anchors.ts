/**
 * Finds many texts at once in bytes (after Wu and Manber, 1994): looks at two bytes where a match would end, and by what they are skips as far as
 * no match can begin. How far, says a table that fits the innermost cache.
 */

/** Entries of the table: two bytes of ASCII have one each, others share. */
const size = 1 << 14

/** Told of a match: which of the texts, and where it begins. */
export type Found = (which: number, at: number) => void

export class Anchors {
  /** Bytes of each text that are looked for; at least 2. */
  readonly length: number
  readonly #texts: readonly Buffer[]
  readonly #shift: Uint8Array
  /** By the last two bytes: the texts that end so. */
  readonly #ending = new Map<number, number[]>()

  /** Of each text only as many bytes count as the shortest has; they must be ASCII or latin-1. */
  constructor(texts: readonly Buffer[]) {
    this.#texts = texts
    this.length = Math.min(255, ...texts.map((text) => text.length))
    this.#shift = new Uint8Array(size).fill(Math.max(1, this.length - 1))
    for (const [which, text] of texts.entries()) this.#enter(which, text)
  }

  #enter(which: number, text: Buffer): void {
    const { length } = this
    for (let end = 1; end < length; end++) {
      const slot = slotOf(text[end - 1] ?? 0, text[end] ?? 0)
      this.#shift[slot] = Math.min(this.#shift[slot] ?? 0, length - 1 - end)
    }
    const last = slotOf(text[length - 2] ?? 0, text[length - 1] ?? 0)
    const others = this.#ending.get(last)
    if (others === undefined) this.#ending.set(last, [which])
    else others.push(which)
  }

  /** Tells of every match, in no order. */
  search(bytes: Uint8Array, found: Found): void {
    const quarter = bytes.length >> 2
    if (quarter < 4 * this.length) this.#from(bytes, this.length - 1, bytes.length, found)
    else this.#quarters(bytes, quarter, found)
  }

  /** Looks where a match would end, from `at` up to `end`. */
  #from(bytes: Uint8Array, at: number, end: number, found: Found): void {
    const shift = this.#shift
    while (at < end) {
      const step = shift[(((bytes[at - 1] as number) << 7) ^ (bytes[at] as number)) & (size - 1)] as number
      at += step === 0 ? this.#compare(bytes, at, found) : step
    }
  }

  /** Four searches side by side: each waits for memory, and none for another, so that this is twice as fast. */
  #quarters(bytes: Uint8Array, quarter: number, found: Found): void {
    const shift = this.#shift
    const [half, third, end] = [2 * quarter, 3 * quarter, bytes.length]
    let [a, b, c, d] = [this.length - 1, quarter, half, third]
    while (a < quarter && b < half && c < third && d < end) {
      const stepA = shift[(((bytes[a - 1] as number) << 7) ^ (bytes[a] as number)) & (size - 1)] as number
      const stepB = shift[(((bytes[b - 1] as number) << 7) ^ (bytes[b] as number)) & (size - 1)] as number
      const stepC = shift[(((bytes[c - 1] as number) << 7) ^ (bytes[c] as number)) & (size - 1)] as number
      const stepD = shift[(((bytes[d - 1] as number) << 7) ^ (bytes[d] as number)) & (size - 1)] as number
      a += stepA === 0 ? this.#compare(bytes, a, found) : stepA
      b += stepB === 0 ? this.#compare(bytes, b, found) : stepB
      c += stepC === 0 ? this.#compare(bytes, c, found) : stepC
      d += stepD === 0 ? this.#compare(bytes, d, found) : stepD
    }
    this.#from(bytes, a, quarter, found)
    this.#from(bytes, b, half, found)
    this.#from(bytes, c, third, found)
    this.#from(bytes, d, end, found)
  }

  /** Compares with what may end there; gives the step to the next place. */
  #compare(bytes: Uint8Array, last: number, found: Found): number {
    const at = last - this.length + 1
    for (const which of this.#ending.get(slotOf(bytes[last - 1] ?? 0, bytes[last] ?? 0)) ?? [])
      if (standsAt(this.#texts[which] as Buffer, this.length, bytes, at)) found(which, at)
    return 1
  }
}

function slotOf(before: number, last: number): number {
  return ((before << 7) ^ last) & (size - 1)
}

function standsAt(text: Buffer, length: number, bytes: Uint8Array, at: number): boolean {
  for (let index = 0; index < length; index++) if (text[index] !== bytes[at + index]) return false
  return true
}
