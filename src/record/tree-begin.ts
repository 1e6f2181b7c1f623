/** Where the tree of a ledger goes on at a start. */

import { checkedStatement, readCheckpointLine, type CheckpointLine } from './checkpoint-line.ts'
import { LedgerTree, type TreeBegin } from './ledger-tree.ts'
import { edgeNodes, leafHash, subtreeHash } from './merkle.ts'
import type { Recovered } from './recover.ts'
import { readStored } from './stored-line.ts'
import { tileHeight, tileWidth } from './tile-path.ts'
import type { GrowingTile, TileStoreOptions } from './tile-store.ts'
import { readTile, tilesAt } from './tiles.ts'

/**
 * The last checkpoint of a ledger that goes on; null for a new one. Throws an Error when it is not of format 2, or says of itself what
 * is not so: nothing may be signed on top of that.
 */
export function lastCheckpointOf({ checkpoint, head }: Recovered): CheckpointLine | null {
  if (head.seq === 0) return null
  const stored = checkpoint === null ? null : readStored(checkpoint.text)
  if (checkpoint === null || stored === null) throw new Error('this ledger has lines and no checkpoint: move it away, and verify it')
  if (!/"format":[2-9]/.test(checkpoint.text))
    throw new Error('this ledger is of format 1: give record.ledger.path a new folder, and verify this one with the release that wrote it')
  const line = readCheckpointLine(checkpoint.text, stored)
  if ('fault' in line) throw unsound(line.detail)
  const checked = checkedStatement(line)
  if (typeof checked === 'string') throw unsound(checked)
  return line
}

function unsound(why: string): Error {
  return new Error(`the last checkpoint of this ledger is not sound (${why}): verify it`)
}

/** The tree over all lines that were recovered; the tiles that the last of them made whole are written again. Reads few tiles, and no line. */
export function treeOf(options: TileStoreOptions, recovered: Recovered, checkpoint: CheckpointLine | null): LedgerTree {
  const { first, hashes } = recovered.recent
  const size = checkpoint === null ? 0 : checkpoint.seq - 1
  const tree = new LedgerTree(options, beginOf(options.dir, size, checkpoint, recovered))
  for (const hash of hashes.slice(size + 1 - first)) tree.wrote(hash)
  tree.acknowledged(recovered.head.seq)
  return tree
}

function beginOf(dir: string, size: number, checkpoint: CheckpointLine | null, { recent }: Recovered): TreeBegin {
  if (checkpoint === null) return { size: 0, edge: [], growing: [] }
  const checked = checkedStatement(checkpoint)
  if (typeof checked === 'string') throw new Error(checked)
  const { edge } = checked
  const { whole: index, partial } = tilesAt(0, size)
  // lines that somebody took away may be missing at its beginning
  const missing = Math.min(partial, Math.max(0, recent.first - (index * tileWidth + 1)))
  const from = index * tileWidth + missing + 1 - recent.first
  const entries = recent.hashes.slice(from, from + partial - missing).map((hash) => Buffer.from(hash, 'hex'))
  const growing: GrowingTile[] = [
    { level: 'entries', index, missing, hashes: entries },
    { level: 0, index, missing, hashes: entries.map(leafHash) },
  ]
  for (let level = 1; tileWidth ** level <= size; level++) growing.push(higherTile(dir, level, size, edge))
  return { size, edge, growing }
}

/** A tile above the lowest as it lies there; without its hashes when it does not lead to the edge that was signed. */
function higherTile(dir: string, level: number, size: number, edge: readonly Buffer[]): GrowingTile {
  const { whole: index, partial } = tilesAt(level, size)
  if (partial === 0) return { level, index, missing: 0, hashes: [] }
  const tile = readTile(dir, level, index, partial)
  if (tile === null || !leadsToEdge(tile, level, size, edge)) return { level, index, missing: partial, hashes: [] }
  return { level, index, missing: 0, hashes: Array.from({ length: partial }, (_, at) => tile.subarray(at * 32, (at + 1) * 32)) }
}

/** The hashes of a tile that is not whole are all under nodes of the edge. */
function leadsToEdge(tile: Buffer, level: number, size: number, edge: readonly Buffer[]): boolean {
  let at = 0
  for (const [place, node] of edgeNodes(size).entries()) {
    if (node.level < level * tileHeight || node.level >= (level + 1) * tileHeight) continue
    const end = at + 32 * 2 ** (node.level - level * tileHeight)
    if (!subtreeHash(tile.subarray(at, end)).equals(edge[place] ?? Buffer.alloc(0))) return false
    at = end
  }
  return at === tile.length
}
