import type { Secret } from '../../secret.ts'
import type { OwnIdentity, OwnSvid } from '../own.ts'
import { certificatesPem } from '../x509/pem.ts'
import { WorkloadApiFault } from '../workload-api/fault.ts'
import { JwtCache } from '../workload-api/jwt-cache.ts'
import { unlessAborted } from '../workload-api/jwt-source.ts'
import type { WorkloadApi } from '../workload-api/workload-api.ts'
import type { X509Context, X509Svid } from '../workload-api/x509-context.ts'

/** Which of the SVIDs of a workload is the one to show; nothing given: the first (Workload API §8). */
export interface Choice {
  /** SPIFFE ID. */
  readonly id: string | null
  /** As the operator of the Workload API set it. */
  readonly hint: string | null
}

/** The SVID of this Countersign as the newest message of the Workload API has it. */
export class StreamedIdentity implements OwnIdentity {
  readonly #choice: Choice
  readonly #clock: () => number
  readonly #tokens: JwtCache
  readonly #listeners = new Set<() => void>()
  // both written by `take` alone
  #svid: X509Svid | null = null
  #shown: OwnSvid | null = null

  /** `clock`: epoch ms. */
  constructor(choice: Choice, clock: () => number, api: Pick<WorkloadApi, 'fetchJwtSvids'>) {
    this.#choice = choice
    this.#clock = clock
    this.#tokens = new JwtCache(({ audience, id }) => api.fetchJwtSvids(audience, id === null ? {} : { id }), clock)
  }

  /** Null when everything was taken back. The same certificate again is no change. */
  take(context: X509Context | null): void {
    const svid = context === null ? null : chosenSvid(context.svids, this.#choice)
    if (svid !== null && this.#svid !== null && sameLeaf(svid, this.#svid)) return
    if (svid === null && this.#svid === null) return
    // what was given under another identity, or under one that was taken back, is not ours any more; a certificate renewed changes nothing of it
    if (svid?.id.id !== this.#svid?.id.id) this.#tokens.clear()
    this.#svid = svid
    this.#shown = svid === null ? null : shownAs(svid)
    for (const listener of this.#listeners) listener()
  }

  current(): OwnSvid | null {
    return this.#shown !== null && this.#clock() < this.#shown.expires ? this.#shown : null
  }

  async token(audience: string, signal: AbortSignal): Promise<Secret> {
    signal.throwIfAborted()
    const { id, hint } = this.#choice
    const asked = this.#tokens.get({ audience: [audience], id: id ?? this.#svid?.id.id ?? null })
    const svids = await unlessAborted(asked, signal)
    const found = svids.find((svid) => hint === null || svid.hint === hint)
    if (found === undefined) throw new WorkloadApiFault('missing', 'the Workload API gave no JWT-SVID of that hint')
    return found.token
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

/** The SVID that is meant; null when it is not given. */
export function chosenSvid(svids: readonly X509Svid[], { id, hint }: Choice): X509Svid | null {
  const found = svids.find((svid) => (id === null || svid.id.id === id) && (hint === null || svid.hint === hint))
  return found ?? null
}

function sameLeaf(one: X509Svid, other: X509Svid): boolean {
  return Buffer.compare(one.chain[0] ?? empty, other.chain[0] ?? empty) === 0
}

const empty = Buffer.alloc(0)

function shownAs({ id, chain, key, expires }: X509Svid): OwnSvid {
  return { id: id.id, cert: certificatesPem(chain), key: key.export({ type: 'pkcs8', format: 'pem' }), expires }
}
