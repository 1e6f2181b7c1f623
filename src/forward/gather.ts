/** Bytes that come in pieces and are needed in one: an upstream that sends them one by one makes it cost no more. */

const empty = Buffer.alloc(0)
const smallest = 4096

export class Gather {
  #room: Buffer = empty
  #length = 0

  get length(): number {
    return this.#length
  }

  add(piece: Uint8Array): void {
    const needed = this.#length + piece.length
    if (needed > this.#room.length) {
      const grown = Buffer.allocUnsafe(Math.max(smallest, needed, 2 * this.#room.length))
      this.#room.copy(grown, 0, 0, this.#length)
      this.#room = grown
    }
    this.#room.set(piece, this.#length)
    this.#length = needed
  }

  /** All of it so far; nothing must be added as long as the answer is in use. */
  get bytes(): Buffer {
    return this.#room.subarray(0, this.#length)
  }

  /** Gives all of it and begins anew. */
  take(): Buffer {
    const { bytes } = this
    this.#room = empty
    this.#length = 0
    return bytes
  }
}
