import { readAuthorityEntry } from './authorities.ts'
import { MalformedKeys, readKey, UnusableKey } from '../jwt/keys.ts'
import type { VerifyKey } from '../jwt/keys.ts'
import { shown } from '../rejected.ts'
import { member } from '../strict-json.ts'
import type { Members } from '../strict-json.ts'

/** A SPIFFE bundle document (Trust Domain and Bundle §4) or a plain JWKS (RFC 7517 §5). */
export type KeyFormat = 'bundle' | 'jwks'

/** What the entries of a key document are good for. */
export interface Entries {
  /** What verifies JWT-SVIDs, by `kid`. */
  readonly keys: ReadonlyMap<string, VerifyKey>
  /** What verifies X.509-SVIDs: DER, each once, in the order of the document. */
  readonly authorities: readonly Uint8Array[]
  /** What was left out, wholly or in part, and why; for the operator. */
  readonly leftOut: readonly string[]
}

/** Filled while the entries are read. */
interface Reading {
  readonly keys: Map<string, VerifyKey>
  readonly authorities: Map<string, Uint8Array>
  readonly leftOut: string[]
  /** Each `kid` of the JWT keys and of the WIT keys. */
  readonly jwtKids: Set<string>
  readonly witKids: string[]
}

type Read = (entry: Members, place: string, into: Reading) => void

const longestKid = 256

/** Takes the entries of a key document, gives what they are good for. Throws `MalformedKeys` when no JWT key can be told by its `kid`. */
export function readEntries(entries: readonly Members[], format: KeyFormat): Entries {
  const into: Reading = { keys: new Map(), authorities: new Map(), leftOut: [], jwtKids: new Set(), witKids: [] }
  const read = format === 'bundle' ? readBundleEntry : readJwksEntry
  for (const [at, entry] of entries.entries()) read(entry, `key ${at + 1}`, into)
  checkWitKids(into)
  return { keys: into.keys, authorities: [...into.authorities.values()], leftOut: into.leftOut }
}

const readJwksEntry: Read = (entry, place, into) => {
  const use = member(entry, 'use')
  if (use === undefined || use === 'sig') readJwtKey(entry, place, into)
}

const readBundleEntry: Read = (entry, place, into) => {
  const use = member(entry, 'use')
  if (use === 'jwt-svid') {
    // Trust Domain and Bundle §4.2.1: an unknown type is ignored with all that goes with it, such as a kid that stands elsewhere too
    if (isKeyType(member(entry, 'kty'))) readJwtKey(entry, place, into)
    else into.leftOut.push(`${place}: a key type that is not known here`)
  } else if (use === 'x509-svid') readAuthority(entry, place, into)
  else if (use === 'wit-svid') readWitKey(entry, place, into)
  else into.leftOut.push(`${place}: ${use === undefined ? 'no use' : 'a use that is not known here'}`)
}

function isKeyType(kty: unknown): boolean {
  return kty === 'RSA' || kty === 'EC' || kty === 'OKP' || kty === 'oct'
}

const readJwtKey: Read = (entry, _, { keys, jwtKids, leftOut }) => {
  const kid = member(entry, 'kid')
  if (typeof kid !== 'string' || kid === '' || kid.length > longestKid) throw new MalformedKeys('a key has no usable kid')
  if (jwtKids.has(kid)) throw new MalformedKeys(`two keys have the kid ${shown(kid)}`)
  jwtKids.add(kid)
  leavingOut(shown(kid), leftOut, () => keys.set(kid, readKey(entry, kid)))
}

/** X509-SVID §6.1 forbids a `kid` here; nothing depends on it, so one that stands there is overlooked. */
const readAuthority: Read = (entry, place, { authorities, leftOut }) => {
  leavingOut(place, leftOut, () => {
    const { der, ignored } = readAuthorityEntry(entry)
    authorities.set(Buffer.from(der).toString('latin1'), der)
    if (ignored > 0) leftOut.push(`${place}: all but the first of ${ignored + 1} certificates in x5c`)
  })
}

/** Known, and of no use here as long as no WIT-SVID is verified. */
const readWitKey: Read = (entry, place, { witKids, leftOut }) => {
  const kid = member(entry, 'kid')
  if (typeof kid === 'string' && kid !== '') witKids.push(kid)
  else leftOut.push(`${place}: a WIT key without kid`)
}

/** WIT-SVID §6.1: no other entry has the kid of a WIT key. JWT keys are not in doubt because of it. */
function checkWitKids({ witKids, jwtKids, leftOut }: Reading): void {
  const seen = new Set(jwtKids)
  for (const kid of witKids) {
    if (seen.has(kid)) leftOut.push(`${shown(kid)}: a WIT key with the kid of another key`)
    seen.add(kid)
  }
}

function leavingOut(place: string, leftOut: string[], read: () => unknown): void {
  try {
    read()
  } catch (error) {
    if (!(error instanceof UnusableKey)) throw error
    leftOut.push(`${place}: ${error.message}`)
  }
}
