import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { diskTiles, type TileFiles } from '../../src/record/tile-files.ts'
import { tilePath } from '../../src/record/tile-path.ts'
import { rootOver, sha256 } from './ledger-writer.ts'

/** The tiles of a disk that fails, or waits, as a test says. */
export class TileDisk implements TileFiles {
  /** Null: no failure. */
  trouble: (path: string) => string | null = () => null
  /** Waited for before each write. */
  gate: Promise<void> = Promise.resolve()
  /** Paths that writing was tried of. */
  readonly tried: string[] = []
  readonly #files: TileFiles

  constructor(dir: string) {
    this.#files = diskTiles(dir)
  }

  async write(path: string, bytes: Uint8Array): Promise<void> {
    this.tried.push(path)
    await this.gate
    const code = this.trouble(path)
    if (code !== null) throw Object.assign(new Error(code), { code })
    await this.#files.write(path, bytes)
  }

  remove(path: string): Promise<void> {
    return this.#files.remove(path)
  }
}

/** SHA-256 of each line of a text. */
export function entriesOf(text: string): Buffer[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => createHash('sha256').update(line).digest())
}

export const leafOf = (entry: Buffer): Buffer => sha256(Buffer.of(0), entry)

/** The size that the note beside the lines states; 0 when there is none. */
export function laidSize(dir: string): number {
  const path = join(dir, 'checkpoint')
  return existsSync(path) ? Number(readFileSync(path, 'utf8').split('\n')[1]) : 0
}

/** Every tile of a tree of `size`: its path and its bytes, by other code than the product's. `entries`: of all lines. */
export function tilesOf(entries: readonly Buffer[], size: number): Map<string, Buffer> {
  const found = new Map<string, Buffer>()
  const put = (level: number | 'entries', hashes: readonly Buffer[]): void => {
    for (let index = 0; index * 256 < hashes.length; index++) {
      const own = hashes.slice(index * 256, index * 256 + 256)
      const bytes = level === 'entries' ? own.map((one) => Buffer.concat([Buffer.of(0, 32), one])) : own
      found.set(tilePath({ level, index, width: own.length }), Buffer.concat(bytes))
    }
  }
  let hashes = entries.slice(0, size).map(leafOf)
  put('entries', entries.slice(0, size))
  for (let level = 0; hashes.length > 0; level++) {
    put(level, hashes)
    const whole = Math.floor(hashes.length / 256)
    hashes = Array.from({ length: whole }, (_, at) => rootOver(hashes.slice(at * 256, at * 256 + 256)))
  }
  return found
}

/** The tiles of a folder are those of the note that lies there. Gives its size. */
export function expectTiles(dir: string, text: string): number {
  const size = laidSize(dir)
  for (const [path, bytes] of tilesOf(entriesOf(text), size)) expect(readFileSync(join(dir, path)).equals(bytes), path).toBe(true)
  return size
}

/** Writes segments of small lines, so many in each; gives the text of all. */
export function smallSegments(dir: string, counts: readonly number[]): string {
  mkdirSync(dir, { recursive: true })
  let first = 1
  let all = ''
  for (const count of counts) {
    const text = Array.from({ length: count }, (_, at) => `{"n":${first + at}}\n`).join('')
    writeFileSync(join(dir, `${String(first).padStart(12, '0')}.ndjson`), text)
    first += count
    all += text
  }
  return all
}
