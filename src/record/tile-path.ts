/** Where the tiles of a tree lie (C2SP tlog-tiles): each holds 256 hashes of one level, of eight levels of the tree in turn. */

/** Hashes in a whole tile. */
export const tileWidth = 256
/** Levels of the tree between two levels of tiles. */
export const tileHeight = 8

/** A hash tile, or with `entries` the tile of what the leaves are made of. `width` below 256: a partial one. */
export interface TileId {
  readonly level: number | 'entries'
  readonly index: number
  readonly width: number
}

/** The path below the folder of the ledger. */
export function tilePath({ level, index, width }: TileId): string {
  const digits = String(index)
  const padded = digits.padStart(Math.ceil(digits.length / 3) * 3, '0')
  const groups = padded.match(/\d{3}/g) ?? []
  const last = groups.length - 1
  const name = groups.map((group, at) => (at === last ? group : `x${group}`)).join('/')
  return `tile/${level}/${name}${width === tileWidth ? '' : `.p/${width}`}`
}

const form = /^tile\/(entries|[0-5]?\d)\/((?:x\d{3}\/)*)(\d{3})(?:\.p\/([1-9]\d{0,2}))?$/

/** The tile that a path names; null when it names none, or not in the one form that it has. */
export function tileOf(path: string): TileId | null {
  const match = form.exec(path)
  if (match === null) return null
  const [, level = '', upper = '', lower = '', partial] = match
  const index = Number(`${upper.replaceAll(/[x/]/g, '')}${lower}`)
  const width = partial === undefined ? tileWidth : Number(partial)
  const tile: TileId = { level: level === 'entries' ? level : Number(level), index, width }
  return width <= tileWidth && Number.isSafeInteger(index) && tilePath(tile) === path ? tile : null
}
