/** The Merkle tree over a ledger (RFC 6962 §2.1): leaves, edge, root, and proofs of inclusion and consistency. */

import { hash } from 'node:crypto'

/** A node of the tree: `level` 0 are the leaves; the node `index` of a level covers the leaves from index·2^level on. */
export interface NodeId {
  readonly level: number
  readonly index: number
}

/** Gives the hash of a node whose subtree is whole; throws when it is not at hand. */
export type HashOf = (node: NodeId) => Buffer

const leafPrefix = Buffer.of(0)
const nodePrefix = Buffer.of(1)

/** The root of a tree without leaves. */
export const emptyRoot: Buffer = hash('sha256', '', 'buffer')

const leafRoom = Buffer.alloc(33)
const nodeRoom = Buffer.alloc(65)
leafPrefix.copy(leafRoom)
nodePrefix.copy(nodeRoom)

/** The hash of a leaf. `entry`: the 32-byte SHA-256 of a line, which is what the tree of a ledger holds. */
export function leafHash(entry: Uint8Array): Buffer {
  if (entry.length !== 32) throw new RangeError('an entry of the tree is the SHA-256 of a line')
  leafRoom.set(entry, 1)
  return digestOf(leafRoom)
}

/** The hash of the node above two others. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  nodeRoom.set(left, 1)
  nodeRoom.set(right, 33)
  return digestOf(nodeRoom)
}

/** As text and back: half of what it takes to be given a Buffer, and it is done twice for every line. */
function digestOf(bytes: Buffer): Buffer {
  return Buffer.from(hash('sha256', bytes, 'latin1'), 'latin1')
}

/** The nodes whose subtrees are whole in a tree of `size` leaves and have none above them that is whole: largest, and leftmost, first. */
export function edgeNodes(size: number): NodeId[] {
  checkSize(size)
  const nodes: NodeId[] = []
  let begin = 0
  for (let rest = size; rest > 0;) {
    const level = Math.floor(Math.log2(rest))
    const width = 2 ** level
    nodes.push({ level, index: begin / width })
    begin += width
    rest -= width
  }
  return nodes
}

/** The root over the edge of a tree. */
export function rootOf(edge: readonly Buffer[]): Buffer {
  const last = edge.at(-1)
  if (last === undefined) return emptyRoot
  return edge.slice(0, -1).reduceRight((right, left) => nodeHash(left, right), last)
}

/** A tree that grows at its right side and keeps no more than its edge. */
export class TreeEdge {
  #size: number
  readonly #edge: Buffer[]

  /** Goes on from a tree of `size` leaves; throws a RangeError when `edge` cannot be its edge. */
  constructor(size = 0, edge: readonly Buffer[] = []) {
    if (edgeNodes(size).length !== edge.length || edge.some((one) => one.length !== 32))
      throw new RangeError(`not the edge of ${size} leaves`)
    this.#size = size
    this.#edge = [...edge]
  }

  /** Number of leaves. */
  get size(): number {
    return this.#size
  }

  /** Hashes of the edge, largest subtree first. */
  get edge(): readonly Buffer[] {
    return [...this.#edge]
  }

  get root(): Buffer {
    return rootOf(this.#edge)
  }

  /** Adds the hash of a leaf; `whole` is told of every node that is whole by it, the leaf first. */
  append(leaf: Buffer, whole?: (node: NodeId, hash: Buffer) => void): void {
    let index = this.#size
    let top = leaf
    whole?.({ level: 0, index }, top)
    for (let level = 1; index % 2 === 1; level++) {
      const left = this.#edge.pop()
      if (left === undefined) throw new RangeError('the edge is not that of its size')
      index = (index - 1) / 2
      top = nodeHash(left, top)
      whole?.({ level, index }, top)
    }
    this.#edge.push(top)
    this.#size += 1
  }
}

/** The audit path of leaf `index` in the tree of `size` leaves (RFC 6962 §2.1.1), nearest sibling first. Throws a RangeError when there is no such leaf. */
export function inclusionProof(index: number, size: number, hashOf: HashOf): Buffer[] {
  checkSize(size)
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) throw new RangeError(`no leaf ${index} in a tree of ${size}`)
  return descend(index, size, (begin, end) => end - begin === 1, hashOf).path
}

/** Does the path lead from the leaf to the root? (RFC 9162 §2.1.3.2) */
export function includes(leaf: Buffer, index: number, size: number, path: readonly Buffer[], root: Buffer): boolean {
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size) || index < 0 || index >= size) return false
  let found = leaf
  const atRoot = climb(index, size - 1, path, (sibling, left) => {
    found = left ? nodeHash(sibling, found) : nodeHash(found, sibling)
  })
  return atRoot && found.equals(root)
}

/** The proof that the tree of `before` leaves is the beginning of that of `size` (RFC 6962 §2.1.2). */
export function consistencyProof(before: number, size: number, hashOf: HashOf): Buffer[] {
  checkSize(size)
  if (!Number.isSafeInteger(before) || before < 1 || before > size) throw new RangeError(`no tree of ${before} leaves in one of ${size}`)
  const { begin, end, path } = descend(before - 1, size, (_, last) => last === before, hashOf)
  // whoever has the root of the first tree needs no other where that is a node of the second
  return begin === 0 ? path : [rangeHash(begin, end, hashOf), ...path]
}

/** Is the tree of `size` leaves under `root` a continuation of that of `before` under `rootBefore`? (RFC 9162 §2.1.4.2) */
export function continues(before: number, rootBefore: Buffer, size: number, root: Buffer, path: readonly Buffer[]): boolean {
  if (!Number.isSafeInteger(before) || !Number.isSafeInteger(size) || before < 1 || before > size) return false
  if (before === size) return path.length === 0 && rootBefore.equals(root)
  const [first, ...steps] = isPowerOfTwo(before) ? [rootBefore, ...path] : path
  if (first === undefined) return false
  let at = before - 1
  let last = size - 1
  while (at % 2 === 1) {
    at = Math.floor(at / 2)
    last = Math.floor(last / 2)
  }
  let old = first
  let found = first
  const atRoot = climb(at, last, steps, (sibling, left) => {
    if (left) old = nodeHash(sibling, old)
    found = left ? nodeHash(sibling, found) : nodeHash(found, sibling)
  })
  return atRoot && old.equals(rootBefore) && found.equals(root)
}

/** The hash over 2^n hashes of one level that stand one after the other; throws an Error when they are not so many. */
export function subtreeHash(hashes: Buffer): Buffer {
  if (hashes.length === 32) return hashes
  const half = hashes.length / 2
  if (!Number.isInteger(Math.log2(hashes.length / 32))) throw new Error('these hashes are not those of a whole subtree')
  return nodeHash(subtreeHash(hashes.subarray(0, half)), subtreeHash(hashes.subarray(half)))
}

/**
 * Goes up from node `at` of a level whose last node is `last`, and takes the hashes of a path: `take` is told of each sibling, and whether it
 * stands to the left. False when the path does not end at the root.
 */
function climb(at: number, last: number, path: readonly Buffer[], take: (sibling: Buffer, left: boolean) => void): boolean {
  for (const sibling of path) {
    if (last === 0 || sibling.length !== 32) return false
    const left = at % 2 === 1 || at === last
    take(sibling, left)
    // a last node without a sibling is the same one on the level above
    if (left)
      while (at % 2 === 0 && at !== 0) {
        at = Math.floor(at / 2)
        last = Math.floor(last / 2)
      }
    at = Math.floor(at / 2)
    last = Math.floor(last / 2)
  }
  return last === 0
}

/** Goes down to leaf `index` until `there`; gives the range that it ends at, and the hashes beside the way, the nearest first. */
function descend(index: number, size: number, there: (begin: number, end: number) => boolean, hashOf: HashOf) {
  const path: Buffer[] = []
  let begin = 0
  let end = size
  while (!there(begin, end)) {
    const middle = begin + split(end - begin)
    if (index < middle) {
      path.push(rangeHash(middle, end, hashOf))
      end = middle
    } else {
      path.push(rangeHash(begin, middle, hashOf))
      begin = middle
    }
  }
  return { begin, end, path: path.reverse() }
}

/** The root of the leaves from `begin` to before `end`, of which `begin` is where a subtree of that size would begin. */
function rangeHash(begin: number, end: number, hashOf: HashOf): Buffer {
  const edge: Buffer[] = []
  let at = begin
  for (const { level } of edgeNodes(end - begin)) {
    edge.push(hashOf({ level, index: at / 2 ** level }))
    at += 2 ** level
  }
  return rootOf(edge)
}

/** The largest power of two below `count`, which is at least two. */
function split(count: number): number {
  const power = 2 ** Math.floor(Math.log2(count))
  return power === count ? power / 2 : power
}

function isPowerOfTwo(count: number): boolean {
  return 2 ** Math.floor(Math.log2(count)) === count
}

function checkSize(size: number): void {
  if (!Number.isSafeInteger(size) || size < 0) throw new RangeError('a tree has a whole number of leaves')
}
