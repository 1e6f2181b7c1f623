/** Shows tokens that verified here to the Workload API (ValidateJWTSVID), which must agree. */
import { hash } from 'node:crypto'
import { Refusal } from '../../refusal.ts'
import type { Caller } from '../identify.ts'
import { rejected } from '../rejected.ts'
import { WorkloadApiFault } from '../workload-api/fault.ts'
import type { WorkloadApi } from '../workload-api/workload-api.ts'

export interface OracleOptions {
  readonly api: Pick<WorkloadApi, 'validateJwtSvid'>
  readonly audience: string
  /** Epoch ms. */
  readonly clock: () => number
}

/** A token that was refused is refused again for so long, ms, without a question: its holder must not be able to aim us at the Workload API. */
const refusedFor = 10_000
const mostRefused = 1024

/** One question a token: calls at the same time share it. */
export class Oracle {
  readonly #options: OracleOptions
  /** Questions under way, by digest of the token. Written by `agree` alone. */
  readonly #asked = new Map<string, Promise<void>>()
  /** By digest of the token, oldest first. Written by `#ask` alone. */
  readonly #refused = new Map<string, { readonly refusal: Refusal; readonly at: number }>()

  constructor(options: OracleOptions) {
    this.#options = options
  }

  /** Resolves when the Workload API takes the token for one of the same workload; rejects with `identify.rejected`, or `identify.unavailable`. */
  agree(token: string, { id }: Pick<Caller, 'id'>): Promise<void> {
    const digest = hash('sha256', token)
    const known = this.#refused.get(digest)
    if (known !== undefined && Math.abs(this.#options.clock() - known.at) < refusedFor) return Promise.reject(known.refusal)
    let asked = this.#asked.get(digest)
    if (asked === undefined) {
      asked = this.#ask(digest, token, id).finally(() => this.#asked.delete(digest))
      this.#asked.set(digest, asked)
    }
    return asked
  }

  async #ask(digest: string, token: string, id: string): Promise<void> {
    this.#refused.delete(digest)
    const refusal = await this.#answer(token, id)
    if (refusal === null) return
    if (refusal.code === 'identify.rejected') {
      const [oldest] = this.#refused.keys()
      if (oldest !== undefined && this.#refused.size >= mostRefused) this.#refused.delete(oldest)
      this.#refused.set(digest, { refusal, at: this.#options.clock() })
    }
    throw refusal
  }

  async #answer(token: string, id: string): Promise<Refusal | null> {
    const { api, audience } = this.#options
    try {
      const said = await api.validateJwtSvid(token, audience)
      return said.id.id === id ? null : rejected('signature', `the Workload API takes the token for one of ${said.id.id}`)
    } catch (error) {
      if (!(error instanceof WorkloadApiFault)) throw error
      if (error.code === 'invalid-token') return rejected('signature', `the Workload API does not accept the token: ${error.message}`)
      return new Refusal('identify.unavailable', {
        detail: `the Workload API could not be asked about a token: ${error.message}`,
        cause: error,
      })
    }
  }
}
