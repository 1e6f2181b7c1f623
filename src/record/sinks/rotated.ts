/** The old files of a sink: `<path>.<number of their last line>`, compressed, and the oldest removed. */

import { createReadStream, createWriteStream } from 'node:fs'
import { readdir, rename, rm, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import type { Log } from '../ledger-options.ts'

export interface RotatedOptions {
  readonly keep: number
  readonly gzip: boolean
  readonly log: Log
}

export class Rotated {
  readonly #path: string
  readonly #options: RotatedOptions
  /** Compressing and removing, one after the other. */
  #work: Promise<void> = Promise.resolve()

  constructor(path: string, options: RotatedOptions) {
    this.#path = path
    this.#options = options
  }

  /**
   * Moves the file away; the rest goes on by itself. `last`: the number of its last line. Lines that are given again after a kill have
   * smaller numbers than the old files have: it never comes before them, or the oldest to be removed would be the newest.
   */
  async take(last: number): Promise<void> {
    const newest = (await this.#old()).at(-1)
    const [number, again] = newest === undefined || newest.last < last ? [last, 0] : [newest.last, newest.again + 1]
    await rename(this.#path, `${this.#path}.${String(number).padStart(12, '0')}${again === 0 ? '' : `-${again}`}`)
    this.#work = this.#work.then(() => this.#tidy())
  }

  /** Resolves when nothing is left to do. */
  settled(): Promise<void> {
    return this.#work
  }

  /** What a kill left half done is done again. Never rejects: the files are there, larger or more than they were meant to be. */
  async #tidy(): Promise<void> {
    const { keep, gzip, log } = this.#options
    const folder = dirname(this.#path)
    try {
      const names = (await this.#old()).map(({ name }) => name)
      for (const name of names.slice(0, Math.max(0, names.length - keep))) await unlink(join(folder, name))
      if (!gzip) return
      for (const name of names.slice(Math.max(0, names.length - keep))) if (!name.endsWith('.gz')) await compress(join(folder, name))
    } catch (error) {
      log.warn(
        { file: this.#path, cause: error instanceof Error ? error.name : 'unknown' },
        'old files of a record sink could not be tidied up',
      )
    }
  }

  /** Oldest first. */
  async #old(): Promise<{ readonly name: string; readonly last: number; readonly again: number }[]> {
    const own = basename(this.#path)
    const old = /^\.(\d{12})(?:-(\d+))?(?:\.gz)?$/
    const rows = (await readdir(dirname(this.#path))).flatMap((name) => {
      const match = name.startsWith(own) ? old.exec(name.slice(own.length)) : null
      return match === null ? [] : [{ name, last: Number(match[1]), again: Number(match[2] ?? 0) }]
    })
    return rows.sort((a, b) => a.last - b.last || a.again - b.again)
  }
}

async function compress(path: string): Promise<void> {
  const unfinished = `${path}.gz.part`
  await rm(unfinished, { force: true })
  await pipeline(createReadStream(path), createGzip(), createWriteStream(unfinished, { mode: 0o600, flags: 'wx' }))
  await rename(unfinished, `${path}.gz`)
  await unlink(path)
}
