import type { OwnIdentity, OwnSvid } from '../own.ts'
import { certificatesPem } from '../x509/pem.ts'
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
  readonly #listeners = new Set<() => void>()
  // both written by `take` alone
  #svid: X509Svid | null = null
  #shown: OwnSvid | null = null

  /** `clock`: epoch ms. */
  constructor(choice: Choice, clock: () => number) {
    this.#choice = choice
    this.#clock = clock
  }

  /** Null when everything was taken back. The same certificate again is no change. */
  take(context: X509Context | null): void {
    const svid = context === null ? null : chosenSvid(context.svids, this.#choice)
    if (svid !== null && this.#svid !== null && sameLeaf(svid, this.#svid)) return
    if (svid === null && this.#svid === null) return
    this.#svid = svid
    this.#shown = svid === null ? null : shownAs(svid)
    for (const listener of this.#listeners) listener()
  }

  current(): OwnSvid | null {
    return this.#shown !== null && this.#clock() < this.#shown.expires ? this.#shown : null
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
