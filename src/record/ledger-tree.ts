/** The tree of a ledger that is being written: it holds what was acknowledged, and nothing that may still be taken back. */

import { leafHash, TreeEdge, type NodeId } from './merkle.ts'
import { TileWriter, type Partials } from './tile-writer.ts'

/** Where a tree goes on. */
export interface TreeBegin {
  readonly size: number
  readonly edge: readonly Buffer[]
  /** Entries of the last tile that is not whole, oldest first. */
  readonly entries: readonly Buffer[]
  /** Nodes of the higher tiles that are not whole, by level and index. */
  readonly nodes: readonly (readonly [NodeId, Buffer])[]
}

export class LedgerTree {
  readonly #edge: TreeEdge
  readonly #tiles: TileWriter
  /** Hashes (hex) of lines that were written and not acknowledged. */
  #fresh: string[] = []
  readonly #whole: (node: NodeId, hash: Buffer) => void

  constructor(dir: string, begin: TreeBegin, failed: (error: unknown) => void) {
    this.#edge = new TreeEdge(begin.size, begin.edge)
    this.#tiles = new TileWriter(dir, failed)
    this.#whole = (node, hash) => this.#tiles.node(node, hash)
    for (const [node, hash] of begin.nodes) this.#tiles.node(node, hash)
    const first = begin.size - begin.entries.length
    for (const [at, entry] of begin.entries.entries()) {
      this.#tiles.entry(entry)
      this.#tiles.node({ level: 0, index: first + at }, leafHash(entry))
    }
  }

  get size(): number {
    return this.#edge.size
  }

  get root(): Buffer {
    return this.#edge.root
  }

  get edge(): readonly Buffer[] {
    return this.#edge.edge
  }

  /** A line was written. */
  wrote(hash: string): void {
    this.#fresh.push(hash)
  }

  /** What was written up to this number counts. */
  acknowledged(upTo: number): void {
    const count = Math.min(upTo - this.#edge.size, this.#fresh.length)
    for (let at = 0; at < count; at++) {
      const entry = Buffer.from(this.#fresh[at] ?? '', 'hex')
      this.#tiles.entry(entry)
      this.#edge.append(leafHash(entry), this.#whole)
    }
    if (count === this.#fresh.length) this.#fresh.length = 0
    else if (count > 0) this.#fresh.splice(0, count)
  }

  /** What was written and not acknowledged is gone. */
  takenBack(): void {
    this.#fresh.length = 0
  }

  partials(): Partials {
    return this.#tiles.partials()
  }

  lay(partials: Partials, note: string): void {
    this.#tiles.lay(partials, note)
  }
}
