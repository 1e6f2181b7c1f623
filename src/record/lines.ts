/** Reads the whole lines of a file in bounded memory. */

import { read, readSync } from 'node:fs'
import { promisify } from 'node:util'

/** One line without its newline, and where it begins. `bytes` is only valid until the next line is asked for. */
export interface RawLine {
  readonly bytes: Buffer
  readonly offset: number
}

const chunkBytes = 65_536
/** Longer than any line that is written; what goes beyond is not a ledger. */
const mostLine = 16 * 1024 * 1024

/** Cuts chunks into lines. Owns what is left of the last one. */
export class LineSplitter {
  #rest: Buffer[] = []
  #restBytes = 0
  #offset: number

  constructor(offset: number) {
    this.#offset = offset
  }

  /** Where the line that is not finished yet begins. */
  get offset(): number {
    return this.#offset
  }

  /** Bytes of the line that is not finished yet. */
  get unfinished(): number {
    return this.#restBytes
  }

  /** Takes the next chunk, which it may keep; throws when a line has no end. */
  *push(chunk: Buffer): Generator<RawLine> {
    let at = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, at)) {
      const piece = chunk.subarray(at, end)
      const bytes = this.#restBytes === 0 ? piece : Buffer.concat([...this.#rest, piece])
      const offset = this.#offset
      this.#rest = []
      this.#restBytes = 0
      this.#offset += bytes.length + 1
      at = end + 1
      yield { bytes, offset }
    }
    if (at === chunk.length) return
    this.#rest.push(chunk.subarray(at))
    this.#restBytes += chunk.length - at
    if (this.#restBytes > mostLine) throw new RangeError(`a line is longer than ${mostLine} bytes`)
  }
}

/** The whole lines of an open file from `offset` on, read on this thread: for start, before anything is served. */
export function* linesNow(fd: number, offset: number): Generator<RawLine> {
  const splitter = new LineSplitter(offset)
  for (let position = offset; ;) {
    const chunk = Buffer.allocUnsafe(chunkBytes)
    const count = readSync(fd, chunk, 0, chunkBytes, position)
    if (count === 0) return
    position += count
    yield* splitter.push(chunk.subarray(0, count))
  }
}

// plain descriptors: a reader that its consumer forgets leaks one, where a FileHandle would end the process
const readAt = promisify(read)

/** Reads what has been appended since the last call; gives nothing when there is nothing. */
export class LineReader {
  readonly #fd: number
  readonly #splitter: LineSplitter
  readonly #chunk: number
  #position: number

  constructor(fd: number, offset = 0, chunk = chunkBytes) {
    this.#fd = fd
    this.#chunk = chunk
    this.#position = offset
    this.#splitter = new LineSplitter(offset)
  }

  get unfinished(): number {
    return this.#splitter.unfinished
  }

  /** The whole lines up to the present end of the file, as many at once as a chunk ends. They must be taken before the next are asked for. */
  async *read(): AsyncGenerator<Iterable<RawLine>> {
    for (;;) {
      const chunk = Buffer.allocUnsafe(this.#chunk)
      const { bytesRead } = await readAt(this.#fd, chunk, 0, this.#chunk, this.#position)
      if (bytesRead === 0) return
      this.#position += bytesRead
      yield this.#splitter.push(chunk.subarray(0, bytesRead))
    }
  }
}
