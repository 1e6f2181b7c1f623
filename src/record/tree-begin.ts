/** Where the tree of a ledger goes on at a start. */

import { checkedStatement, readCheckpointLine, type CheckpointLine } from './checkpoint-line.ts'
import { edgeNodes, nodeHash, type HashOf, type NodeId } from './merkle.ts'
import { LedgerTree, type TreeBegin } from './ledger-tree.ts'
import type { Log } from './ledger-options.ts'
import type { Recovered } from './recover.ts'
import { readStored } from './stored-line.ts'
import { tileHeight, tileWidth } from './tile-path.ts'
import { tileHashes } from './tiles.ts'

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

/** The tree over all lines that were recovered; the tiles that the last of them made whole are written again. */
export function treeOf(dir: string, recovered: Recovered, checkpoint: CheckpointLine | null, log: Log): LedgerTree {
  const failed = (error: unknown): void =>
    log.warn(
      { cause: error instanceof Error ? error.message : 'unknown' },
      'tiles of the ledger cannot be written: readers make them from its lines',
    )
  const { first, hashes } = recovered.recent
  const size = checkpoint === null ? 0 : checkpoint.seq - 1
  const tree = new LedgerTree(dir, beginOf(dir, size, checkpoint, recovered), failed)
  for (const hash of hashes.slice(size + 1 - first)) tree.wrote(hash)
  tree.acknowledged(recovered.head.seq)
  return tree
}

function beginOf(dir: string, size: number, checkpoint: CheckpointLine | null, { recent }: Recovered): TreeBegin {
  if (checkpoint === null) return { size: 0, edge: [], entries: [], nodes: [] }
  const checked = checkedStatement(checkpoint)
  if (typeof checked === 'string') throw new Error(checked)
  const { edge } = checked
  const whole = size - (size % tileWidth)
  const entries = recent.hashes.slice(whole + 1 - recent.first, size + 1 - recent.first).map((hash) => Buffer.from(hash, 'hex'))
  return { size, edge, entries, nodes: higherNodes(tileHashes(dir, size), size, edge) }
}

/** The nodes of the tiles above the lowest that are not whole; none of a tile that does not lead to the edge that was signed. */
function higherNodes(hashOf: HashOf, size: number, edge: readonly Buffer[]): [NodeId, Buffer][] {
  const found: [NodeId, Buffer][] = []
  for (let level = tileHeight; 2 ** level <= size; level += tileHeight) {
    const count = Math.floor(size / 2 ** level)
    const first = count - (count % tileWidth)
    try {
      const nodes = Array.from({ length: count - first }, (_, at): [NodeId, Buffer] => {
        const node = { level, index: first + at }
        return [node, hashOf(node)]
      })
      if (leadToEdge(nodes, level, size, edge)) found.push(...nodes)
    } catch {
      // neither tiles nor lines have it any more: that tile stays unwritten
    }
  }
  return found
}

function leadToEdge(nodes: readonly (readonly [NodeId, Buffer])[], level: number, size: number, edge: readonly Buffer[]): boolean {
  const hashes = nodes.map(([, hash]) => hash)
  for (const [at, node] of edgeNodes(size).entries()) {
    if (node.level < level || node.level >= level + tileHeight) continue
    let over = hashes.splice(0, 2 ** (node.level - level))
    while (over.length > 1)
      over = Array.from({ length: over.length / 2 }, (_, pair) => nodeHash(over[pair * 2] as Buffer, over[pair * 2 + 1] as Buffer))
    if (over[0]?.equals(edge[at] ?? Buffer.alloc(0)) !== true) return false
  }
  return true
}
