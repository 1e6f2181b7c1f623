/** Hashes of a ledger's tree out of its tiles (C2SP tlog-tiles), read as they are asked for. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { nodeHash, type HashOf } from '../record/merkle.ts'

const width = 256

/** For the tree of `size` lines. What it gives throws a RangeError when a tile is not there or too short: then hashes come from the lines. */
export function tileHashes(dir: string, size: number): HashOf {
  const tiles = new Map<string, Buffer>()
  const tileOf = (level: number, index: number): Buffer => {
    const name = `${level}/${index}`
    const known = tiles.get(name)
    if (known !== undefined) return known
    const entries = Math.min(width, Math.floor(size / width ** level) - index * width)
    const read = readTile(join(dir, 'tile', String(level), tilePath(index)), entries)
    tiles.set(name, read)
    return read
  }
  return ({ level, index }) => {
    const [row, above] = [Math.floor(level / 8), level % 8]
    const first = index * 2 ** above
    const tile = tileOf(row, Math.floor(first / width))
    return folded(tile, first % width, 2 ** above)
  }
}

function readTile(path: string, entries: number): Buffer {
  for (const place of entries === width ? [path] : [`${path}.p/${entries}`, path]) {
    try {
      const bytes = readFileSync(place)
      if (bytes.length >= entries * 32) return bytes
    } catch {
      // the next place may have it
    }
  }
  throw new RangeError(`the tile ${path} is not there`)
}

/** The root over `count` hashes of a tile, a power of two. */
function folded(tile: Buffer, first: number, count: number): Buffer {
  let row = Array.from({ length: count }, (_, at) => tile.subarray((first + at) * 32, (first + at + 1) * 32))
  if (row.some((one) => one.length !== 32)) throw new RangeError('a tile is too short')
  while (row.length > 1) row = row.flatMap((one, at) => (at % 2 === 0 ? [nodeHash(one, row[at + 1] ?? one)] : []))
  return row[0] ?? tile.subarray(0, 0)
}

/** Groups of three digits, all but the last with an `x` before them. */
function tilePath(index: number): string {
  const digits = String(index)
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/\d{3}/g) ?? []
  return groups.map((group, at) => (at === groups.length - 1 ? group : `x${group}`)).join('/')
}
