import { WorkloadApiFault } from './fault.ts'
import { Latest } from './latest.ts'
import type { LatestParts, SourceState } from './latest.ts'
import type { Authorities, X509Context, X509Svid } from './x509-context.ts'

/** Which SVID is meant: none of both, the default identity. */
export interface SvidChoice {
  readonly id?: string
  readonly hint?: string
}

/** The X.509-SVIDs and bundles of this workload as they now are. */
export interface X509Source {
  /**
   * The default SVID (Workload API §8), or the one of an ID or hint.
   * Throws `missing`, `expired`, `permission-denied` (redacted), `unavailable` or `closed`.
   */
  svid(choice?: SvidChoice): X509Svid
  /** Everything of the last message, expired SVIDs too; null when there is none or all was redacted. */
  context(): X509Context | null
  /** The authorities of a trust domain; throws `missing` when there is no bundle for it: its peers are untrusted (Workload API §4.6). */
  bundle(trustDomain: string): Authorities
  /** As `bundle`, with null for none. The array object stays the same for as long as the set does. */
  authorities(trustDomain: string): Authorities | null
  /** Epoch ms at which the SVID of that choice expires, which may be past; null when there is none. */
  expires(choice?: SvidChoice): number | null
  state(): SourceState
  /** Called after every change of what is here or of `state`; gives the function that ends it. */
  onChange(listener: () => void): () => void
  close(): void
}

export type X509SourceParts = Omit<LatestParts<X509Context>, 'same'>

/** Resolves when the first update is there; rejects with a `WorkloadApiFault` when there will be none. */
export async function openX509Source(parts: X509SourceParts, signal: AbortSignal | undefined): Promise<X509Source> {
  const latest = new Latest<X509Context>({ ...parts, same: sameContext })
  await latest.ready(signal)
  const authorities = (trustDomain: string): Authorities | null => latest.peek()?.bundles.get(trustDomain) ?? null
  return {
    svid: (choice = {}) => current(latest, choice, parts.clock),
    context: () => latest.peek(),
    bundle(trustDomain) {
      latest.get()
      const found = authorities(trustDomain)
      if (found === null) throw new WorkloadApiFault('missing', 'the Workload API gave no bundle for that trust domain')
      return found
    },
    authorities,
    expires: (choice = {}) => chosen(latest.peek(), choice)?.expires ?? null,
    state: () => latest.state(),
    onChange: (listener) => latest.onChange(listener),
    close: () => latest.close(),
  }
}

/** Good up to its end: not a moment longer, and not one shorter. */
function current(latest: Latest<X509Context>, choice: SvidChoice, clock: () => number): X509Svid {
  const svid = chosen(latest.get(), choice)
  if (svid === null) throw new WorkloadApiFault('missing', 'the Workload API gave no X.509-SVID of that ID or hint')
  if (clock() >= svid.expires) {
    const { kind, why } = latest.state()
    const cause = kind === 'current' ? 'and no newer one came' : why
    throw new WorkloadApiFault('expired', `the X.509-SVID of ${svid.id.id} expired at ${new Date(svid.expires).toISOString()}: ${cause}`)
  }
  return svid
}

function chosen(context: X509Context | null, { id, hint }: SvidChoice): X509Svid | null {
  return context?.svids.find((svid) => (id === undefined || svid.id.id === id) && (hint === undefined || svid.hint === hint)) ?? null
}

/** Servers send everything again when one of several SVIDs is renewed, and sometimes for no reason. */
function sameContext(one: X509Context, other: X509Context): boolean {
  return (
    sameList(one.svids, other.svids, sameSvid) &&
    sameList(one.crl, other.crl, sameBytes) &&
    one.bundles.size === other.bundles.size &&
    // a set that did not change is the same array
    Array.from(one.bundles).every(([trustDomain, set]) => other.bundles.get(trustDomain) === set)
  )
}

function sameSvid(one: X509Svid, other: X509Svid): boolean {
  return one.hint === other.hint && sameList(one.chain, other.chain, sameBytes) && one.key.equals(other.key)
}

function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0
}

function sameList<Item>(one: readonly Item[], other: readonly Item[], same: (a: Item, b: Item) => boolean): boolean {
  return one.length === other.length && one.every((item, index) => index < other.length && same(item, other[index] as Item))
}
