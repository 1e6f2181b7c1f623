/** What the thread that evaluates policy tells the one that watches it, in memory that both have. */

import { entrypoints, type Entrypoint } from './engine.ts'

/** What the thread that watches is started with. */
export interface Watching {
  /** See `cells` and `slots`. */
  readonly shared: SharedArrayBuffer
  /** Path of the file that says why the process ended. */
  readonly marker: string
}

/** Places of the shared 32-bit cells: what is evaluated now (0: nothing), whether to stop watching, and the longest evaluation, ms. */
export const cells = { running: 0, closing: 1, stall: 2, count: 4 } as const

/** Behind the cells: which policy has which number, as its digest and revision in Latin-1. */
export const slots = { count: 64, bytes: 256 } as const

/** Bits of `running`: the entrypoint from 1, the slot of its policy, and a counter that tells one evaluation from the next. */
export const bits = { entrypoint: 4, slot: 6 } as const

const step = 1 << (bits.entrypoint + bits.slot)

/**
 * What a host writes around each evaluation: two stores. Whether somebody looks is not its business.
 * Owned by one thread, as evaluations are.
 */
export class Watch {
  readonly #cells: Int32Array
  readonly #slots: Uint8Array
  #policies = 0
  #count = 0

  /** By default nobody looks. */
  constructor(shared: ArrayBufferLike = new ArrayBuffer(cells.count * 4)) {
    this.#cells = new Int32Array(shared, 0, cells.count)
    this.#slots = new Uint8Array(shared, cells.count * 4)
  }

  /** Numbers a policy. The numbers of policies that went long ago are used again. */
  policy(digest: string, revision: string): number {
    const slot = this.#policies++ % slots.count
    const bytes = new Uint8Array(slots.bytes)
    bytes.set(Buffer.from(`${digest} ${revision}`, 'latin1').subarray(0, slots.bytes))
    if (this.#slots.length > 0) this.#slots.set(bytes, slot * slots.bytes)
    return slot
  }

  /** What `begin` takes for an entrypoint of a policy. */
  code(policy: number, entrypoint: string): number {
    return (policy << bits.entrypoint) | (entrypoints.indexOf(entrypoint as Entrypoint) + 1)
  }

  begin(code: number): void {
    this.#count = (this.#count + step) | 0
    Atomics.store(this.#cells, cells.running, this.#count | code)
  }

  end(): void {
    Atomics.store(this.#cells, cells.running, 0)
  }
}

/** Exit status of the thread when it could not end the process itself. */
export const stalledStatus = 113
