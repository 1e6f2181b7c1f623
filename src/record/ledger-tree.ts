/** The tree of a ledger that is being written: it holds what was acknowledged, and nothing that may still be taken back. */

import { leafHash, TreeEdge, type NodeId } from './merkle.ts'
import { tileWidth } from './tile-path.ts'
import { TileStore, type GrowingTile, type Partials, type TileStoreOptions } from './tile-store.ts'

/** Where a tree goes on. */
export interface TreeBegin {
  readonly size: number
  readonly edge: readonly Buffer[]
  /** The tiles that are not whole. */
  readonly growing: readonly GrowingTile[]
}

export class LedgerTree {
  readonly #edge: TreeEdge
  readonly #tiles: TileStore
  /** Hashes (hex) of lines that were written and not acknowledged. */
  #fresh: string[] = []
  readonly #whole: (node: NodeId, hash: Buffer) => void

  constructor(options: TileStoreOptions, { size, edge, growing }: TreeBegin) {
    this.#edge = new TreeEdge(size, edge)
    this.#tiles = new TileStore(options, growing)
    this.#whole = (node, hash) => this.#tiles.node(node, hash)
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

  /** Number of the first line that tiles are still made from. */
  get needed(): number {
    const { size } = this.#edge
    return Math.min(this.#tiles.needed, size - (size % tileWidth) + 1)
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
      this.#tiles.entry(this.#edge.size, entry)
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

  /** Resolves when the tiles of what was laid by now are there, or could not be written. */
  settled(): Promise<void> {
    return this.#tiles.settled()
  }

  close(): Promise<void> {
    return this.#tiles.close()
  }
}
