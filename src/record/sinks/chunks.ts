/** How many lines go into one upload: the adaptive sizing of OPA's decision log plugin. */

import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { SinkLine } from '../sink.ts'

/** Compresses what is sent; off the event loop. */
export type Compress = (text: string) => Promise<Buffer>

const gzipped = promisify(gzip)

export const compressed: Compress = (text) => gzipped(text)

/** One upload: the first lines of those that were there, as a compressed JSON array. */
export interface Chunk {
  readonly body: Buffer
  readonly lines: number
}

/** Below this share of the limit a chunk was too small. */
const wellUsed = 0.9
const exponentStep = 0.2

/**
 * The limit is on compressed bytes; how many bytes give so many is guessed, and learnt from every chunk that was filled: below 90 % of the
 * limit the guess grows by 2^(x+1), and x by 0.2; at the limit or above it shrinks and the lines are divided anew; in between it is right.
 */
export class Chunks {
  readonly #limit: number
  readonly #compress: Compress
  /** Bytes before compression that a chunk may have. */
  #guess: number
  #up = 0
  #down = 0

  constructor(limit: number, compress: Compress = compressed) {
    this.#limit = limit
    this.#guess = limit
    this.#compress = compress
  }

  /** Bytes before compression that the next chunk may have. */
  get guess(): number {
    return this.#guess
  }

  /** The next chunk, or null when the first line is too large to be sent in any. Takes at least one line. */
  async next(lines: readonly SinkLine[]): Promise<Chunk | null> {
    let most = Number.POSITIVE_INFINITY
    for (;;) {
      const count = Math.min(most, this.#count(lines))
      if (count === 0) return this.#alone(lines)
      const body = await this.#compress(arrayOf(lines.slice(0, count)))
      if (body.length < this.#limit) {
        // what was cut short by the end of the lines says nothing about the guess
        if (count < lines.length && most > count) this.#learn(body.length)
        return { body, lines: count }
      }
      if (count === 1) return this.#alone(lines)
      if (!this.#shrink()) most = 1
    }
  }

  /** One that had no room under the guess: it may still fit once it is compressed, and is then the new measure. */
  async #alone(lines: readonly SinkLine[]): Promise<Chunk | null> {
    const text = arrayOf(lines.slice(0, 1))
    const body = await this.#compress(text)
    if (body.length > this.#limit) return null
    this.#guess = Buffer.byteLength(text) - 2
    this.#grow()
    return { body, lines: 1 }
  }

  #count(lines: readonly SinkLine[]): number {
    let written = 0
    let count = 0
    for (const { line } of lines) {
      const bytes = Buffer.byteLength(line)
      if (bytes + written + 1 >= this.#guess) break
      written += bytes + 1
      count += 1
    }
    return count
  }

  #learn(size: number): void {
    if (size < Math.floor(this.#limit * wellUsed)) this.#grow()
    else this.#down = this.#up
  }

  #grow(): void {
    this.#guess *= Math.floor(2 ** (this.#up + 1))
    this.#up += exponentStep
  }

  /** False when it cannot be smaller: then lines go one by one. */
  #shrink(): boolean {
    if (this.#guess <= this.#limit) return false
    this.#down = Math.max(this.#down, this.#up)
    this.#guess = Math.floor(this.#guess / Math.floor(2 ** (this.#down - this.#up + 1)))
    if (this.#up > 0) this.#up -= exponentStep
    return true
  }
}

/** A JSON array of stored lines, each byte for byte as it is stored. */
export function arrayOf(lines: readonly SinkLine[]): string {
  return `[${lines.map(({ line }) => line).join(',')}]`
}
