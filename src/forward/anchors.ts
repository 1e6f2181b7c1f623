/**
 * Finds many texts at once in bytes. Of what it goes through it reads one word of four bytes, skips as many words as still leave one in every
 * text that it looks for, and reads the next: so it does not wait for what it found, and most of the bytes are never read.
 */

const wordBytes = 4
/** The filter has an entry for so many upper bits of a hash: it says no to all but a few hundredths of the words that are in no text. */
const shift = 32 - 14
/** The same of another hash, asked where the first says yes. */
const secondShift = 32 - 12
/** The upper bits of a product with one of these depend on all of the word. */
const multiplier = -1_640_531_535
const secondMultiplier = -2_048_144_777

/** Shorter texts may lie between two words. */
export const shortestAnchor = 2 * wordBytes - 1

/** Told of a match: which of the texts, and where it begins. One match may be told twice. */
export type Found = (which: number, at: number) => void

export class Anchors {
  /** Bytes of each text that are looked for. */
  readonly length: number
  readonly #texts: readonly Buffer[]
  /** Words from one that is read to the next. */
  readonly #step: number
  /** By hash: 1 where a text holds such a word. */
  readonly #filter = new Uint8Array(2 ** (32 - shift))
  readonly #second = new Uint8Array(2 ** (32 - secondShift))
  /** All words of all texts, sorted; and of each the text and the place in it. */
  readonly #words: Int32Array
  readonly #which: Uint16Array
  readonly #place: Uint8Array

  /** Of each text only as many bytes count as the shortest has, which must be `shortestAnchor` at least. */
  constructor(texts: readonly Buffer[]) {
    this.#texts = texts
    this.length = Math.min(255, ...texts.map((text) => text.length))
    this.#step = Math.floor((this.length - wordBytes + 1) / wordBytes)
    const all = texts.flatMap((text, which) =>
      Array.from({ length: this.length - wordBytes + 1 }, (_, place) => ({ word: wordIn(text, place), which, place })),
    )
    all.sort((a, b) => a.word - b.word)
    this.#words = Int32Array.from(all, ({ word }) => word)
    this.#which = Uint16Array.from(all, ({ which }) => which)
    this.#place = Uint8Array.from(all, ({ place }) => place)
    for (const { word } of all) {
      this.#filter[Math.imul(word, multiplier) >>> shift] = 1
      this.#second[Math.imul(word, secondMultiplier) >>> secondShift] = 1
    }
  }

  /** Tells of every match, in no order. */
  search(bytes: Uint8Array, found: Found): void {
    const first = -bytes.byteOffset & (wordBytes - 1)
    if (bytes.length < first + wordBytes) return
    const words = new Int32Array(bytes.buffer, bytes.byteOffset + first, (bytes.length - first) >> 2)
    const filter = this.#filter
    const second = this.#second
    const step = this.#step
    const end = words.length
    for (let at = skip(words, 0, end, step, filter); at < end; at = skip(words, at + step, end, step, filter)) {
      const word = words[at] as number
      if (second[Math.imul(word, secondMultiplier) >>> secondShift] === 1) this.#compare(bytes, first + at * wordBytes, word, found)
    }
  }

  /** Compares what stands there with every text that holds this word. */
  #compare(bytes: Uint8Array, at: number, word: number, found: Found): void {
    for (let index = this.#first(word); this.#words[index] === word; index++) {
      const which = this.#which[index] ?? 0
      const begin = at - (this.#place[index] ?? 0)
      if (begin >= 0 && standsAt(this.#texts[which] as Buffer, this.length, bytes, begin)) found(which, begin)
    }
  }

  /** The first of the sorted words that is no less. */
  #first(word: number): number {
    let [low, high] = [0, this.#words.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#words[middle] as number) < word) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** The next word that the filter knows. By itself, and with its end at hand, this is three times as fast as inside of the loop that needs it. */
function skip(words: Int32Array, from: number, end: number, step: number, filter: Uint8Array): number {
  let at = from
  while (at < end && filter[Math.imul(words[at] as number, multiplier) >>> shift] === 0) at += step
  return at
}

/** As a word of an `Int32Array` reads it on this machine. */
function wordIn(text: Buffer, place: number): number {
  return new Int32Array(Uint8Array.prototype.slice.call(text, place, place + wordBytes).buffer)[0] ?? 0
}

function standsAt(text: Buffer, length: number, bytes: Uint8Array, at: number): boolean {
  for (let index = 0; index < length; index++) if (text[index] !== bytes[at + index]) return false
  return true
}
