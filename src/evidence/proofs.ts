/** That each line of a set is in the tree of a checkpoint (RFC 6962 §2.1.1). */
import { hash } from 'node:crypto'
import { isRecord } from '../author/json-path.ts'
import { edgeNodes, inclusionProof, leafHash, TreeEdge, type HashOf, type NodeId } from '../record/merkle.ts'
import { canonicalText, readCanonical } from './canonical.ts'
import { base64 } from './envelope.ts'
import { EvidenceFault } from './fault.ts'
import { readLine } from './line.ts'
import { regionsOf, type Extent } from './regions.ts'

export interface Proof {
  readonly seq: number
  /** Nearest sibling first. */
  readonly path: readonly Buffer[]
}

export interface Proofs {
  readonly size: number
  readonly root: Buffer
  readonly proofs: readonly Proof[]
}

/** The text of `proofs.json` for these line numbers. Throws RangeError when a hash is not at hand. */
export function proofsText(seqs: readonly number[], { size, root, hashOf }: { size: number; root: string; hashOf: HashOf }): string {
  const proofs = seqs.map((seq) => ({ seq, path: inclusionProof(seq - 1, size, hashOf).map((one) => one.toString('base64')) }))
  return canonicalText({ proofs, root, size })
}

/** Reads `proofs.json`; null when it is not of that form. */
export function readProofs(bytes: Uint8Array): Proofs | null {
  const value = readCanonical(bytes)
  if (!isRecord(value) || Object.keys(value).length !== 3 || !Array.isArray(value['proofs'])) return null
  const { size } = value
  const root = base64(value['root'])
  if (root?.length !== 32 || typeof size !== 'number' || !Number.isSafeInteger(size)) return null
  const proofs: Proof[] = []
  for (const one of value['proofs'] as readonly unknown[]) {
    if (!isRecord(one) || Object.keys(one).length !== 2 || !Array.isArray(one['path']) || typeof one['seq'] !== 'number') return null
    const path = one['path'].map((step) => base64(step))
    if (!path.every((step) => step?.length === 32)) return null
    proofs.push({ seq: one['seq'], path: path.filter((step) => step !== null) })
  }
  return { size, root, proofs }
}

/** The leaf of a line. `bytes` are without its LF. */
export function leafOf(bytes: Uint8Array): Buffer {
  return leafHash(hash('sha256', bytes, 'buffer'))
}

/** The hashes of the tree up to an extent, computed from its lines: for one whose tiles are gone and whose first lines too. Reads all of it. */
export async function hashesFromLines(extent: Extent): Promise<HashOf> {
  const levels = new Map<number, Map<number, Buffer>>()
  const keep = ({ level, index }: NodeId, found: Buffer): void => {
    const row = levels.get(level) ?? new Map<number, Buffer>()
    levels.set(level, row.set(index, found))
  }
  let tree: TreeEdge | null = null
  for await (const region of regionsOf(extent)) {
    for (let start = 0, end = region.indexOf(10); end >= 0; start = end + 1, end = region.indexOf(10, start)) {
      const bytes = region.subarray(start, end)
      tree ??= beginning(bytes, keep)
      tree.append(leafOf(bytes), keep)
    }
  }
  return ({ level, index }) => {
    const found = levels.get(level)?.get(index)
    if (found === undefined) throw new RangeError(`the hash of node ${level}/${index} is not at hand`)
    return found
  }
}

/** The tree before the first line that is there: of a ledger whose beginning was removed that line is a checkpoint, which states its edge. */
function beginning(first: Buffer, keep: (node: NodeId, found: Buffer) => void): TreeEdge {
  const line = readLine(first)
  if (line === null) throw new EvidenceFault('damaged', 'the first line of the ledger cannot be read: verify it')
  if (line.seq === 1) return new TreeEdge()
  const stated = line.own['edge']
  const edge = (Array.isArray(stated) ? stated : []).map((one) => base64(one)).filter((one) => one !== null)
  const nodes = edgeNodes(line.seq - 1)
  for (const [at, node] of nodes.entries()) {
    const found = edge[at]
    if (found !== undefined) keep(node, found)
  }
  return new TreeEdge(line.seq - 1, edge)
}
