/** What OPA lacks: a bundle that was signed once stays signed for ever, so an old one must not come back as the newest. */

import type { Bundle } from './bundle.ts'
import { BundleFault } from './fault.ts'

/** Where a bundle stands among those before and after it. */
export interface Order {
  /** `metadata.countersign.serial` of the manifest; else its revision when that is a whole number; else `iat` of its signature, epoch ms. */
  readonly kind: 'serial' | 'revision' | 'issued'
  readonly value: number
}

/** What is remembered of the bundles that were in force. It has to outlive the process, or a restart forgets it. */
export interface Seen {
  readonly order: Order | null
  /** The latest `iat` of their signatures, epoch ms; absent while none said when it was made. */
  readonly issued?: number
  /** `content` of the bundle in force. */
  readonly digest: string
  /** `content` of those before it, oldest first; at most 256. */
  readonly superseded: readonly string[]
}

const mostSuperseded = 256

/** The order of a bundle by the first that it has: serial, numeric revision, time of signature. Null when it has none. */
export function orderOf(bundle: Bundle): Order | null {
  const { serial } = Object(bundle.manifest.metadata['countersign']) as Readonly<Record<string, unknown>>
  if (typeof serial === 'number') return { kind: 'serial', value: serial }
  const { revision } = bundle.manifest
  if (/^(?:0|[1-9]\d{0,15})$/.test(revision) && Number.isSafeInteger(Number(revision))) return { kind: 'revision', value: Number(revision) }
  const issued = bundle.signature?.issued ?? null
  return issued === null ? null : { kind: 'issued', value: issued }
}

/**
 * Throws BundleFault when `next` would be a step back from what was seen (null: nothing was). In this order:
 *
 * 1. What is in force now may come again, unless it is signed earlier and the signature is all that orders it.
 * 2. Orders of one kind: a lower one is refused, and an equal one with other content.
 * 3. After a bundle with a serial, one without is refused: a serial that could be left out would order nothing.
 * 4. Orders of two kinds cannot be compared. The times of the signatures can: one that was made earlier is refused, or whoever once named
 *    revisions otherwise could be given any bundle of that time.
 * 5. Whatever the orders, content that was superseded is refused.
 */
export function refuseBackwards(next: Bundle, seen: Seen | null): void {
  if (seen === null) return
  const order = orderOf(next)
  const same = next.content === seen.digest
  if (order !== null && order.kind === seen.order?.kind) {
    const named = `${order.kind} ${order.value}`
    if (order.value < seen.order.value) throw new BundleFault(`the bundle has ${named}, older than ${seen.order.value}, which was in force`)
    if (order.value === seen.order.value && !same) throw new BundleFault(`the bundle has ${named}, and so had another that was in force`)
  }
  if (seen.order?.kind === 'serial' && order?.kind !== 'serial') {
    throw new BundleFault(`the bundle has no metadata.countersign.serial; the one in force has ${seen.order.value}`)
  }
  const issued = next.signature?.issued ?? null
  if (!same && order !== null && order.kind !== seen.order?.kind && issued !== null && issued < (seen.issued ?? 0)) {
    throw new BundleFault('the bundle was signed before the one in force, and nothing else tells which of them is older')
  }
  if (!same && seen.superseded.includes(next.content)) throw new BundleFault('the bundle was in force before and was superseded')
}

/** What is seen once `bundle` is in force: the one before it, if it was another, is superseded. */
export function succeeded(seen: Seen | null, bundle: Bundle): Seen {
  const order = orderOf(bundle)
  const digest = bundle.content
  const latest = Math.max(bundle.signature?.issued ?? -1, seen?.issued ?? -1)
  const issued = latest === -1 ? {} : { issued: latest }
  if (seen === null) return { order, ...issued, digest, superseded: [] }
  const before = seen.digest === digest ? seen.superseded : [...seen.superseded, seen.digest]
  return { order, ...issued, digest, superseded: before.filter((one) => one !== digest).slice(-mostSuperseded) }
}
