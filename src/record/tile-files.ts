/** The files that tiles lie in: written aside and renamed, off the event loop; listed with their sizes. */

import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { tileOf, tileWidth, type TileId } from './tile-path.ts'

/** Bytes of a hash. */
const hashBytes = 32
/** Bytes of an entry in its bundle: after its length. */
const entryBytes = 34
/** Files that are looked at side by side. */
const abreast = 16

/** What writing tiles rests on; tests hand in ones that fail. Paths are below the folder of the ledger. */
export interface TileFiles {
  /** A reader finds all of it or what was there before. Rejects as the file system does. */
  write(path: string, bytes: Uint8Array): Promise<void>
  /** Removes a file or a folder; one that is not there is fine. */
  remove(path: string): Promise<void>
}

export function diskTiles(dir: string): TileFiles {
  return {
    write: async (path, bytes) => {
      const whole = join(dir, path)
      try {
        await writeAside(whole, bytes)
      } catch (error) {
        if (!isCode(error, 'ENOENT')) throw error
        await mkdir(dirname(whole), { recursive: true, mode: 0o700 })
        await writeAside(whole, bytes)
      }
    },
    remove: (path) => rm(join(dir, path), { recursive: true, force: true }),
  }
}

async function writeAside(path: string, bytes: Uint8Array): Promise<void> {
  const aside = `${path}.new`
  await writeFile(aside, bytes, { mode: 0o600 })
  await rename(aside, path)
}

/** How long the file of a tile is. */
export function tileBytes({ level, width }: TileId): number {
  return width * (level === 'entries' ? entryBytes : hashBytes)
}

/** Entries as tlog-tiles bundles them: each after its length, big-endian, 16 bits. */
export function bundle(entries: readonly Buffer[]): Buffer {
  return Buffer.concat(entries.flatMap((entry) => [Buffer.of(0, entry.length), entry]))
}

/** The entries of a bundle of 32-byte ones. */
export function unbundle(bytes: Buffer): Buffer[] {
  return Array.from({ length: bytes.length / entryBytes }, (_, at) => bytes.subarray(at * entryBytes + 2, (at + 1) * entryBytes))
}

/** The tiles of a level that lie there: the numbers of whole ones that are as long as they should be, and the paths of partial ones. */
export interface LyingTiles {
  readonly whole: ReadonlySet<number>
  readonly partial: readonly string[]
}

/** Rejects when a folder cannot be read; one that is not there holds none. */
export async function lyingTiles(dir: string, level: TileId['level']): Promise<LyingTiles> {
  const whole = new Set<number>()
  const partial: string[] = []
  const paths = await filesBelow(dir, `tile/${level}`)
  for (let at = 0; at < paths.length; at += abreast)
    await Promise.all(
      paths.slice(at, at + abreast).map(async (path) => {
        const tile = tileOf(path)
        if (tile === null) return
        if (tile.width < tileWidth) partial.push(path)
        else if ((await sizeOf(join(dir, path))) === tileBytes(tile)) whole.add(tile.index)
      }),
    )
  return { whole, partial }
}

async function filesBelow(dir: string, path: string): Promise<string[]> {
  const found: string[] = []
  let entries
  try {
    entries = await readdir(join(dir, path), { withFileTypes: true })
  } catch (error) {
    if (isCode(error, 'ENOENT')) return []
    throw error
  }
  for (const entry of entries) {
    const below = `${path}/${entry.name}`
    if (entry.isDirectory()) found.push(...(await filesBelow(dir, below)))
    else found.push(below)
  }
  return found
}

/** Null when it is not there. */
async function sizeOf(path: string): Promise<number | null> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (isCode(error, 'ENOENT')) return null
    throw error
  }
}

export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
