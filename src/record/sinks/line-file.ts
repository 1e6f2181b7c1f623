/** A file of whole lines that is appended to, and that somebody else may move away. */

import { constants } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { SinkFault } from '../sink.ts'
import { readStored } from '../stored-line.ts'

export interface LineFileOptions {
  /** Epoch ms. */
  readonly clock: () => number
  /** Whether an append ends on the disk. */
  readonly fsync: boolean
}

const { O_APPEND, O_CREAT, O_RDWR, O_NOFOLLOW, O_NONBLOCK } = constants
const newline = 0x0a
const step = 65_536
/** As readers of the ledger have it. */
const mostLine = 16 * 1024 * 1024

/** Owned by one sink, which calls it for one thing after the other. */
export class LineFile {
  readonly #path: string
  readonly #options: LineFileOptions
  #handle: FileHandle | null = null
  #size = 0
  #born = 0
  #last = 0
  #place = ''

  constructor(path: string, options: LineFileOptions) {
    this.#path = path
    this.#options = options
  }

  /** Bytes. */
  get size(): number {
    return this.#size
  }

  /** When its first line was made, epoch ms. */
  get born(): number {
    return this.#born
  }

  /** Number of its last line; 0 when it has none, or one that is none of a ledger. */
  get last(): number {
    return this.#last
  }

  /** Opens the file, anew when the one that is open is not at its path any more; cuts off a line that a kill left unfinished. */
  async reopen(): Promise<void> {
    if (this.#handle !== null) {
      const there = await placeOf(this.#path)
      if (there === this.#place) return
      await this.close()
    }
    // a link, or a pipe that nobody reads, is not what the operator named
    const handle = await open(this.#path, O_APPEND | O_CREAT | O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0o600)
    try {
      const found = await handle.stat()
      if (!found.isFile()) throw new SinkFault('disk', 'what is there is not a file')
      this.#size = await wholeLines(handle, found.size)
      if (this.#size < found.size) await handle.truncate(this.#size)
      this.#born = this.#size === 0 ? this.#options.clock() : await firstTime(handle, this.#options.clock)
      this.#last = await lastNumber(handle, this.#size)
      this.#place = `${found.dev}:${found.ino}`
      this.#handle = handle
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  /** Appends whole lines, the last of which has the number `last`; what could not be written whole is taken back. */
  async append(text: string, last: number): Promise<void> {
    const handle = this.#handle
    if (handle === null) throw new SinkFault('disk', 'the file is not open')
    const bytes = Buffer.from(text)
    if (this.#size === 0) this.#born = this.#options.clock()
    try {
      await handle.appendFile(bytes)
      if (this.#options.fsync) await handle.sync()
      this.#size += bytes.length
      this.#last = last
    } catch (error) {
      await handle.truncate(this.#size).catch(() => undefined)
      throw error
    }
  }

  async close(): Promise<void> {
    const handle = this.#handle
    this.#handle = null
    this.#size = 0
    this.#last = 0
    await handle?.close()
  }
}

/** Tells whether a path still leads to the same file; null when nothing is there. */
async function placeOf(path: string): Promise<string | null> {
  try {
    const { dev, ino } = await stat(path)
    return `${dev}:${ino}`
  } catch {
    return null
  }
}

/** Bytes up to the end of the last whole line of the first `size` bytes. */
async function wholeLines(handle: FileHandle, size: number): Promise<number> {
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - step)
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(end - start), 0, end - start, start)
    const last = buffer.subarray(0, bytesRead).lastIndexOf(newline)
    if (last >= 0) return start + last + 1
    end = start
  }
  return 0
}

/** `size`: bytes up to the end of the last whole line. */
async function lastNumber(handle: FileHandle, size: number): Promise<number> {
  if (size === 0) return 0
  const begin = await wholeLines(handle, size - 1)
  if (size - begin > mostLine) return 0
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(size - begin), 0, size - begin, begin)
  return readStored(buffer.toString('utf8', 0, bytesRead - 1))?.seq ?? 0
}

/** The time of the first line, which outlives a restart; now, when it says none. */
async function firstTime(handle: FileHandle, clock: () => number): Promise<number> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(512), 0, 512, 0)
  const time = /^\{"decision_id":"[^"\\]*","timestamp":"([^"\\]*)"/.exec(buffer.toString('utf8', 0, bytesRead))?.[1]
  const at = Date.parse(time ?? '')
  return Number.isNaN(at) ? clock() : at
}
