import { readEntries } from './bundle-entries.ts'
import type { Entries, KeyFormat } from './bundle-entries.ts'
import { MalformedKeys } from '../jwt/keys.ts'
import { shown } from '../rejected.ts'
import { isTrustDomain } from '../spiffe-id.ts'
import { isMembers, member, parseStrictJson } from '../strict-json.ts'
import type { Members } from '../strict-json.ts'

/** The keys of one trust domain as one document gave them. Nothing in `keys` and `authorities` means that everything is revoked. */
export interface KeySet extends Entries {
  readonly format: KeyFormat
  /** `spiffe_sequence`; null when absent. */
  readonly sequence: bigint | null
  /** `spiffe_refresh_hint` in ms; null when absent. */
  readonly refreshHint: number | null
}

const spiffeUses: ReadonlySet<unknown> = new Set(['jwt-svid', 'x509-svid', 'wit-svid'])

/** Importing a key takes its time, and whoever is federated with may serve another document every second. */
const mostEntries = 256

/**
 * Takes the text of a key document and its format (null: told by its members), gives what verifies SVIDs. Throws `MalformedKeys`.
 * A bundle gives the keys of its `jwt-svid` entries and the authorities of its `x509-svid` entries; what has another `use`, or none, is
 * ignored (Trust Domain and Bundle §4.2.2). A JWKS gives keys with `use` absent or `sig`.
 * An unusable entry is left out and named; the rest counts, because refusing the document would keep alive the keys that it withdraws.
 * A `kid` that two JWT keys share, or none, refuses the document: nobody can say which key was meant.
 */
export function readKeySet(text: string, format: KeyFormat | null): KeySet {
  return readDocument(parse(text), format)
}

/**
 * Takes the text of a SPIFFE bundle map (Trust Domain and Bundle §5), gives its bundles by trust domain; throws `MalformedKeys`.
 * It is taken as a whole or not at all (App. B.1): a name twice, a name that is no trust domain, or one malformed bundle refuses it.
 * The refresh hints of the bundles inside count for nothing (§5.1.1).
 */
export function readBundleMap(text: string): ReadonlyMap<string, KeySet> {
  const bundles = member(parse(text), 'trust_domains')
  if (!isMembers(bundles)) throw new MalformedKeys('the bundle map has no object "trust_domains"')
  const read = new Map<string, KeySet>()
  for (const name of Object.keys(bundles)) {
    if (!isTrustDomain(name)) throw new MalformedKeys(`the bundle map names ${shown(name)}, which is no trust domain`)
    read.set(name, readMapped(name, member(bundles, name)))
  }
  return read
}

/**
 * The same for one trust domain: its bundle in a map. A map is the state of the world (App. B.1): one that no longer names the trust
 * domain has ended the relationship, and its bundle is empty. Throws `MalformedKeys`.
 */
export function readMappedBundle(text: string, trustDomain: string): KeySet {
  const leftOut = ['the bundle map does not name the trust domain']
  const absent: KeySet = { format: 'bundle', keys: new Map(), authorities: [], sequence: null, refreshHint: null, leftOut }
  return readBundleMap(text).get(trustDomain) ?? absent
}

function readMapped(name: string, bundle: unknown): KeySet {
  if (!isMembers(bundle)) throw new MalformedKeys(`the bundle of ${shown(name)} is not an object`)
  try {
    return { ...readDocument(bundle, 'bundle'), refreshHint: null }
  } catch (error) {
    if (error instanceof MalformedKeys) throw new MalformedKeys(`the bundle of ${shown(name)}: ${error.message}`, error.cause)
    throw error
  }
}

function parse(text: string): Members {
  try {
    return parseStrictJson(text, 'spiffe_sequence')
  } catch (error) {
    throw new MalformedKeys('the key document is not strict JSON', error)
  }
}

function readDocument(document: Members, format: KeyFormat | null): KeySet {
  const keys = member(document, 'keys')
  if (!Array.isArray(keys)) throw new MalformedKeys('the key document has no array "keys"')
  if (keys.length > mostEntries) throw new MalformedKeys(`the key document has more than ${mostEntries} keys`)
  const entries = keys.map((entry: unknown) => {
    if (!isMembers(entry)) throw new MalformedKeys('an entry of "keys" is not an object')
    return entry
  })
  const read = format ?? formatOf(document, entries)
  return { format: read, ...readEntries(entries, read), sequence: sequenceOf(document), refreshHint: hintOf(document) }
}

function formatOf(document: Members, entries: readonly Members[]): KeyFormat {
  const marked = Object.hasOwn(document, 'spiffe_sequence') || Object.hasOwn(document, 'spiffe_refresh_hint')
  return marked || entries.some((entry) => spiffeUses.has(member(entry, 'use'))) ? 'bundle' : 'jwks'
}

function sequenceOf(document: Members): bigint | null {
  const sequence = member(document, 'spiffe_sequence')
  if (sequence === undefined) return null
  if (typeof sequence !== 'bigint') throw new MalformedKeys('spiffe_sequence is not a whole number')
  return sequence
}

function hintOf(document: Members): number | null {
  const hint = member(document, 'spiffe_refresh_hint')
  if (hint === undefined) return null
  if (typeof hint !== 'number' || !Number.isSafeInteger(hint) || hint < 0) {
    throw new MalformedKeys('spiffe_refresh_hint is not a whole number of seconds')
  }
  return hint * 1000
}
