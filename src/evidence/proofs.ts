/** That each line of a set is in the tree of a checkpoint (RFC 6962 §2.1.1). */
import { hash } from 'node:crypto'
import { isRecord } from '../author/json-path.ts'
import { inclusionProof, leafHash, type HashOf } from '../record/merkle.ts'
import { canonicalText, readCanonical } from './canonical.ts'
import { base64 } from './envelope.ts'

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
