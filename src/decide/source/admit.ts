/** What a bundle must pass before it judges, wherever it comes from: cheapest first, and said at which step it failed. */

import { createHash } from 'node:crypto'
import { readBundle, readFiles, type Bundle } from '../bundle/bundle.ts'
import type { Verification } from '../bundle/key.ts'
import { orderOf, refuseBackwards, succeeded, type Seen } from '../bundle/order.ts'
import type { Policy, PolicyFault } from '../in-force.ts'
import { reasonOf, type Content } from './source.ts'

export interface AdmitOptions {
  /** Path or URL, for people. */
  readonly place: string
  /** What bundles are verified with, read anew each time; null: unsigned ones are taken on purpose. Throws when a key cannot be used. */
  readonly verification: () => Verification | null
  /** Reads and verifies a bundle; absent: here and now, while nothing else runs. The signal ends it. */
  readonly read?: (content: Content, trust: Verification | null, signal: AbortSignal) => Promise<Bundle>
  /** Compiles and tries a bundle. Throws or rejects when it may not judge. `trial` ends it; null: nobody calls yet. */
  readonly open: (bundle: Bundle, trial: AbortSignal | null) => Policy['engine'] | Promise<Policy['engine']>
  /** What an engine is made of besides its bundle, as text: with other settings the same bundle is another policy. */
  readonly made: string
  /** Oldest signature that is believed, ms; null: any. */
  readonly signedWithin: number | null
  /** Epoch ms. */
  readonly clock: () => number
}

export interface Admitted {
  readonly policy: Policy
  /** From when on its signature is too old, epoch ms; null: never. */
  readonly signedUntil: number | null
  readonly seen: Seen
}

/** A bundle that may not judge, with what is told of it. */
export class Rejected extends Error {
  readonly fault: PolicyFault

  constructor(fault: PolicyFault, cause: unknown) {
    super(fault.message, { cause })
    this.name = 'Rejected'
    this.fault = fault
  }
}

/** A signer's clock may be ahead by so many ms. */
const tolerableAhead = 60_000

/** When it comes. */
export interface Moment {
  readonly seen: Seen | null
  readonly kept: boolean
  readonly present: Policy | null
  /** Whether there may be calls, which must not wait for a trial. */
  readonly called: boolean
  readonly signal: AbortSignal
}

/**
 * Verifies a bundle, holds it against those before it (`seen`), and makes its engine; `present`, the policy in force, lends its own when it
 * is the same. `kept`: it was on our disk. Rejects with Rejected, also when `signal` ends it.
 */
export async function admit(options: AdmitOptions, content: Content, moment: Moment): Promise<Admitted> {
  const { seen, kept, present, called, signal } = moment
  const { place, verification, read, open, made, clock } = options
  const sha256 = digestOf(content)
  let revision: string | null = null
  const step = async <Value>(reason: PolicyFault['reason'], work: () => Value | Promise<Value>): Promise<Value> => {
    try {
      return await work()
    } catch (error) {
      throw new Rejected({ reason, message: reasonOf(error), sha256, revision, source: place }, error)
    }
  }
  const bundle = await step('bundle', () => (read ?? readHere)(content, verification(), signal))
  revision = bundle.revision
  const { signature, digest, content: said } = bundle
  if (signature !== null) await step('backwards', () => refuseBackwards(bundle, seen))
  const signedUntil = await step('age', () => believedUntil(bundle, options))
  const same = present !== null && present.content === said && present.made === made
  const engine = same ? present.engine : await step('activation', () => open(bundle, called ? signal : null))
  const signedBy = signature?.keyId ?? null
  const policy = {
    engine,
    revision,
    digest,
    content: said,
    made,
    source: place,
    kept,
    signedBy,
    order: orderOf(bundle),
    activated: clock(),
  }
  return { policy, signedUntil, seen: succeeded(seen, bundle) }
}

/** What a bundle is called by that could not be read. */
export function digestOf(content: Content): string {
  const hash = createHash('sha256')
  if (content.form === 'packed') return hash.update(content.bytes).digest('hex')
  const names = [...content.files].sort(([one], [other]) => (one < other ? -1 : 1))
  for (const [path, bytes] of names) hash.update(`${path} ${bytes.length}\n`).update(bytes)
  return hash.digest('hex')
}

function readHere(content: Content, trust: Verification | null): Bundle {
  return content.form === 'packed' ? readBundle(content.bytes, trust) : readFiles(content.files, trust)
}

function believedUntil({ signature }: Bundle, { signedWithin, clock }: AdmitOptions): number | null {
  if (signedWithin === null) return null
  const issued = signature?.issued ?? null
  if (issued === null) throw new Error('the signature does not say when it was made (iat), and signed_within asks for that')
  if (issued > clock() + tolerableAhead) throw new Error('the signature was made in the future (iat)')
  if (issued + signedWithin <= clock()) throw new Error('the signature is older than signed_within')
  return issued + signedWithin
}
