import * as fc from 'fast-check'
import { hash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import {
  consistencyProof,
  continues,
  edgeNodes,
  emptyRoot,
  includes,
  inclusionProof,
  leafHash,
  nodeHash,
  rootOf,
  TreeEdge,
  type HashOf,
} from '../../../src/record/merkle.ts'

const entry = (index: number): Buffer => hash('sha256', `line ${index}`, 'buffer')

/** RFC 6962 §2.1, word for word: the tree head of a list. */
function treeHead(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 0) return emptyRoot
  const [only] = leaves
  if (leaves.length === 1 && only !== undefined) return only
  let k = 1
  while (k * 2 < leaves.length) k *= 2
  return nodeHash(treeHead(leaves.slice(0, k)), treeHead(leaves.slice(k)))
}

function grown(size: number): { readonly leaves: Buffer[]; readonly tree: TreeEdge; readonly hashOf: HashOf } {
  const leaves = Array.from({ length: size }, (_, index) => leafHash(entry(index)))
  const nodes = new Map<string, Buffer>()
  const tree = new TreeEdge()
  for (const leaf of leaves) tree.append(leaf, ({ level, index }, found) => nodes.set(`${level}/${index}`, found))
  const hashOf: HashOf = ({ level, index }) => {
    const found = nodes.get(`${level}/${index}`)
    if (found === undefined) throw new Error(`no node ${level}/${index}`)
    return found
  }
  return { leaves, tree, hashOf }
}

const sizes = fc.integer({ min: 1, max: 300 })

describe('the Merkle tree', () => {
  test('gives the known roots of RFC 6962 for the empty tree and for one empty leaf', () => {
    expect(emptyRoot.toString('hex')).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    expect(hash('sha256', Buffer.of(0))).toBe('6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d')
    expect(new TreeEdge().root).toEqual(emptyRoot)
  })

  test('has the root that the RFC defines, at every size', () => {
    for (let size = 0; size <= 130; size++) {
      const { leaves, tree } = grown(size)
      expect(tree.root, `size ${size}`).toEqual(treeHead(leaves))
      expect(tree.edge.length).toBe(edgeNodes(size).length)
      expect(rootOf(tree.edge)).toEqual(tree.root)
    }
  })

  test('goes on from its edge as if it had never been put away', () => {
    fc.assert(
      fc.property(sizes, sizes, (first, more) => {
        const { leaves, tree } = grown(first + more)
        const taken = grown(first).tree
        const again = new TreeEdge(taken.size, taken.edge)
        for (const leaf of leaves.slice(first)) again.append(leaf)
        expect(again.root).toEqual(tree.root)
      }),
      { numRuns: 50 },
    )
    expect(() => new TreeEdge(3, [emptyRoot])).toThrow(RangeError)
  })

  test('proves every leaf, and nothing else with the same proof', () => {
    fc.assert(
      fc.property(sizes, fc.nat(), fc.nat(), (size, at, bit) => {
        const { leaves, tree, hashOf } = grown(size)
        const index = at % size
        const leaf = leaves[index] ?? emptyRoot
        const path = inclusionProof(index, size, hashOf)
        expect(includes(leaf, index, size, path, tree.root)).toBe(true)
        const other = (index + 1) % size
        if (other !== index) expect(includes(leaf, other, size, path, tree.root)).toBe(false)
        expect(includes(flipped(leaf, bit), index, size, path, tree.root)).toBe(false)
        expect(includes(leaf, index, size, [...path, leaf], tree.root)).toBe(false)
        if (path.length > 0) expect(includes(leaf, index, size, path.slice(1), tree.root)).toBe(false)
        expect(includes(leaf, size, size, path, tree.root)).toBe(false)
      }),
      { numRuns: 300 },
    )
  })

  test('proves that an older tree is the beginning of a newer one, and no other', () => {
    fc.assert(
      fc.property(sizes, fc.nat(), fc.nat(), (size, at, bit) => {
        const { leaves, tree, hashOf } = grown(size)
        const before = 1 + (at % size)
        const old = treeHead(leaves.slice(0, before))
        const path = consistencyProof(before, size, hashOf)
        expect(continues(before, old, size, tree.root, path)).toBe(true)
        expect(continues(before, flipped(old, bit), size, tree.root, path)).toBe(false)
        expect(continues(before, old, size, flipped(tree.root, bit), path)).toBe(false)
        if (before > 1) expect(continues(before - 1, old, size, tree.root, path)).toBe(false)
      }),
      { numRuns: 300 },
    )
  })

  test('takes no entry that is not a SHA-256, and names no leaf that is not there', () => {
    expect(() => leafHash(Buffer.alloc(31))).toThrow(RangeError)
    expect(() => inclusionProof(3, 3, () => emptyRoot)).toThrow(RangeError)
    expect(() => consistencyProof(0, 3, () => emptyRoot)).toThrow(RangeError)
  })
})

function flipped(bytes: Buffer, bit: number): Buffer {
  const copy = Buffer.from(bytes)
  const at = Math.floor(bit / 8) % copy.length
  copy[at] = (copy[at] ?? 0) ^ (1 << (bit % 8))
  return copy
}
