/** Walks strict JSON byte by byte without building values: what is spliced must stay what it was to the byte. */

/** Why a document cannot be spliced. The message names the rule and never repeats bytes of the document. */
export class SpliceFault extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'SpliceFault'
  }
}

/** Stands on one byte of the document and only ever moves forward. Every step refuses what RFC 8259 does not derive. */
export class Tokens {
  at = 0
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** Skips blanks; the byte that follows, or -1 at the end. */
  next(): number {
    for (;;) {
      const byte = this.#bytes[this.at] ?? -1
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return byte
      this.at++
    }
  }

  /** Skips blanks and this byte; false when another stands there. */
  take(wanted: number): boolean {
    if (this.next() !== wanted) return false
    this.at++
    return true
  }

  /** Skips a string, from its quote on; true when it holds an escape. */
  string(): boolean {
    if (this.next() !== 0x22) throw notJson()
    let escaped = false
    for (this.at++; ; this.at++) {
      const byte = this.#bytes[this.at] ?? -1
      if (byte === 0x22) break
      if (byte < 0x20) throw notJson()
      if (byte === 0x5c) {
        escaped = true
        this.#escape()
      }
    }
    this.at++
    return escaped
  }

  /** Skips a number, `true`, `false` or `null`. */
  scalar(): void {
    switch (this.next()) {
      case 0x74:
        return this.#word('true')
      case 0x66:
        return this.#word('false')
      case 0x6e:
        return this.#word('null')
      default:
        return this.#number()
    }
  }

  /** From the backslash to the last byte of the escape. Half a surrogate pair is refused: readers make different texts of it. */
  #escape(): void {
    const kind = this.#bytes[++this.at] ?? -1
    if (kind !== 0x75) {
      if (!simpleEscapes.has(kind)) throw notJson()
      return
    }
    const unit = this.#unit()
    if (unit < 0xd800 || unit > 0xdfff) return
    const paired = this.#bytes[this.at + 1] === 0x5c && this.#bytes[this.at + 2] === 0x75
    if (unit > 0xdbff || !paired) throw new SpliceFault('a lone surrogate')
    this.at += 2
    const low = this.#unit()
    if (low < 0xdc00 || low > 0xdfff) throw new SpliceFault('a lone surrogate')
  }

  /** The four digits after a `u`. */
  #unit(): number {
    let unit = 0
    for (let digit = 0; digit < 4; digit++) unit = unit * 16 + hexDigit(this.#bytes[++this.at] ?? -1)
    return unit
  }

  #word(word: string): void {
    for (let index = 0; index < word.length; index++) if (this.#bytes[this.at++] !== word.charCodeAt(index)) throw notJson()
  }

  /** RFC 8259 §6. */
  #number(): void {
    if (this.#bytes[this.at] === 0x2d) this.at++
    if (this.#bytes[this.at] === 0x30) this.at++
    else this.#digits()
    if (this.#bytes[this.at] === 0x2e) {
      this.at++
      this.#digits()
    }
    if (((this.#bytes[this.at] ?? 0) | 0x20) !== 0x65) return
    const sign = this.#bytes[++this.at]
    if (sign === 0x2b || sign === 0x2d) this.at++
    this.#digits()
  }

  #digits(): void {
    const start = this.at
    while (isDigit(this.#bytes[this.at] ?? -1)) this.at++
    if (this.at === start) throw notJson()
  }
}

export function notJson(): SpliceFault {
  return new SpliceFault('not JSON')
}

/** `" \ / b f n r t` */
const simpleEscapes: ReadonlySet<number> = new Set([0x22, 0x5c, 0x2f, 0x62, 0x66, 0x6e, 0x72, 0x74])

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39
}

function hexDigit(byte: number): number {
  if (isDigit(byte)) return byte - 0x30
  const letter = byte | 0x20
  if (letter < 0x61 || letter > 0x66) throw notJson()
  return letter - 0x57
}
