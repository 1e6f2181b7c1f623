import { readKey, UnusableKey } from './keys.ts'
import type { VerifyKey } from './keys.ts'
import { shown } from './rejected.ts'
import { isMembers, member, parseStrictJson, wholeNumber } from './strict-json.ts'
import type { Members } from './strict-json.ts'

/** A SPIFFE bundle document (Trust Domain and Bundle §4) or a plain JWKS (RFC 7517 §5). */
export type KeyFormat = 'bundle' | 'jwks'

/** The keys of one trust domain as one document gave them. An empty map means that everything is revoked. */
export interface KeySet {
  readonly format: KeyFormat
  readonly keys: ReadonlyMap<string, VerifyKey>
  /** `spiffe_sequence`; null when absent. */
  readonly sequence: bigint | null
  /** `spiffe_refresh_hint` in ms; null when absent. */
  readonly refreshHint: number | null
  /** For each key of ours that must not be used: which and why. */
  readonly leftOut: readonly string[]
}

/** A key document that cannot be used at all; the message is for the operator. */
export class MalformedKeys extends Error {
  constructor(why: string, cause?: unknown) {
    super(why, cause === undefined ? undefined : { cause })
    this.name = 'MalformedKeys'
  }
}

const spiffeUses: ReadonlySet<unknown> = new Set(['jwt-svid', 'x509-svid', 'wit-svid'])
const longestKid = 256

/**
 * Takes the text of a key document and its format (null: told by its members), gives the keys that verify JWT-SVIDs.
 * Throws `MalformedKeys`. A bundle gives its `use: jwt-svid` keys, other uses are ignored (Trust Domain and Bundle §4.2.2);
 * a JWKS gives keys with `use` absent or `sig`.
 * An unusable key is left out and named; the rest counts, because refusing the document would keep alive the keys that it withdraws.
 * A `kid` that two keys share, or none, refuses the document: nobody can say which key was meant.
 */
export function readKeySet(text: string, format: KeyFormat | null): KeySet {
  const document = readDocument(text)
  const keys = member(document, 'keys')
  if (!Array.isArray(keys)) throw new MalformedKeys('the key document has no array "keys"')
  const entries = keys.map((entry: unknown) => {
    if (!isMembers(entry)) throw new MalformedKeys('an entry of "keys" is not an object')
    return entry
  })
  const read = format ?? formatOf(document, entries)
  return { format: read, ...readEntries(entries.filter((entry) => isOurs(entry, read))), ...readSpiffe(document, text) }
}

function readDocument(text: string): Members {
  try {
    return parseStrictJson(text)
  } catch (error) {
    throw new MalformedKeys('the key document is not strict JSON', error)
  }
}

function formatOf(document: Members, entries: readonly Members[]): KeyFormat {
  const marked = Object.hasOwn(document, 'spiffe_sequence') || Object.hasOwn(document, 'spiffe_refresh_hint')
  return marked || entries.some((entry) => spiffeUses.has(member(entry, 'use'))) ? 'bundle' : 'jwks'
}

function isOurs(entry: Members, format: KeyFormat): boolean {
  const use = member(entry, 'use')
  return format === 'bundle' ? use === 'jwt-svid' : use === undefined || use === 'sig'
}

function readEntries(entries: readonly Members[]): Pick<KeySet, 'keys' | 'leftOut'> {
  const keys = new Map<string, VerifyKey>()
  const leftOut: string[] = []
  const seen = new Set<string>()
  for (const entry of entries) {
    const kid = member(entry, 'kid')
    if (typeof kid !== 'string' || kid === '' || kid.length > longestKid) throw new MalformedKeys('a key has no usable kid')
    if (seen.has(kid)) throw new MalformedKeys(`two keys have the kid ${shown(kid)}`)
    seen.add(kid)
    try {
      keys.set(kid, readKey(entry, kid))
    } catch (error) {
      if (!(error instanceof UnusableKey)) throw error
      leftOut.push(`${shown(kid)}: ${error.message}`)
    }
  }
  return { keys, leftOut }
}

function readSpiffe(document: Members, text: string): Pick<KeySet, 'sequence' | 'refreshHint'> {
  const hint = member(document, 'spiffe_refresh_hint')
  if (hint !== undefined && !(typeof hint === 'number' && Number.isSafeInteger(hint) && hint >= 0)) {
    throw new MalformedKeys('spiffe_refresh_hint is not a whole number of seconds')
  }
  return { sequence: readSequence(document, text), refreshHint: hint === undefined ? null : hint * 1000 }
}

function readSequence(document: Members, text: string): bigint | null {
  if (!Object.hasOwn(document, 'spiffe_sequence')) return null
  try {
    return wholeNumber(text, 'spiffe_sequence')
  } catch (error) {
    throw new MalformedKeys('spiffe_sequence is not a whole number', error)
  }
}
