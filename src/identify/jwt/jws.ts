/** Reads the compact form of signed tokens (RFC 7515 §7.1), strictly. What the parts must say is for the reader of each kind of token. */
import { verifySignature } from './algorithms.ts'
import type { Algorithm } from './algorithms.ts'
import type { VerifyKey } from './keys.ts'
import { rejected, shown } from '../rejected.ts'
import type { Rejection } from '../rejected.ts'
import { member, parseStrictJson } from '../strict-json.ts'
import type { Members } from '../strict-json.ts'

/** What a signature is checked over and with. */
export interface SignedPart {
  readonly algorithm: Algorithm
  /** The bytes that the signature is over: both encoded parts as they came. */
  readonly signed: Uint8Array
  readonly signature: Uint8Array
}

/** A token that is not well formed; the message is for the operator. Each reader says to the agent what it should have been. */
export class MalformedToken extends Error {
  constructor(why: string) {
    super(why)
    this.name = 'MalformedToken'
  }
}

/** Bytes; longer tokens are refused unread. */
const longestToken = 8192
const longestKid = 256

/**
 * Takes a token, gives what the readers of its header and claims make of them; they run in this order, each before the next part is
 * decoded. Throws `MalformedToken`.
 */
export function readCompact<Header extends object, Claims extends object>(
  token: string,
  readHeader: (header: Members) => Header,
  readClaims: (claims: Members) => Claims,
): Header & Claims & Omit<SignedPart, 'algorithm'> {
  if (token.length > longestToken) throw new MalformedToken('longer than 8 KiB')
  const [header = '', claims = '', signature = '', ...more] = token.split('.', 4)
  if (header === '' || claims === '' || signature === '' || more.length > 0) throw new MalformedToken('not three parts')
  return {
    ...readHeader(readPart(header, 'header')),
    ...readClaims(readPart(claims, 'claims')),
    signed: Buffer.from(token.slice(0, header.length + 1 + claims.length), 'latin1'),
    signature: decode(signature, 'signature'),
  }
}

/** The `kid` of a header: it is required, so that one key and no other is tried. Throws `MalformedToken`. */
export function readKid(header: Members): string {
  const kid = member(header, 'kid')
  if (typeof kid !== 'string' || kid === '' || kid.length > longestKid) throw new MalformedToken('no usable kid')
  return kid
}

/** Throws `identify.rejected` for `why` unless the key is for the token's algorithm and verifies its signature. */
export function checkSignature(token: SignedPart, key: VerifyKey, why: Rejection): void {
  if (!key.algorithms.includes(token.algorithm)) throw rejected(why, `the key ${shown(key.kid)} is not for ${token.algorithm}`)
  const fault = signatureFault(token, key)
  if (fault !== null) throw rejected(why, fault)
}

/** Why the signature is not one of the key, which is for the token's algorithm; null when it is. */
export function signatureFault({ algorithm, signed, signature }: SignedPart, { key, signatureBytes }: VerifyKey): string | null {
  if (signature.length !== signatureBytes) return 'the signature does not have the length of its key'
  return verifySignature(algorithm, key, signed, signature) ? null : 'the signature does not verify'
}

/** Runs a reader, and refuses with `why` what it calls malformed. */
export function wellFormed<Read>(why: Rejection, read: () => Read): Read {
  try {
    return read()
  } catch (error) {
    if (error instanceof MalformedToken) throw rejected(why, error.message)
    throw error
  }
}

function readPart(part: string, what: string): Members {
  try {
    return parseStrictJson(decode(part, what))
  } catch (error) {
    if (error instanceof SyntaxError) throw new MalformedToken(`${what}: not strict JSON`)
    throw error
  }
}

/** RFC 7515 §2: base64url without padding or white space. Encoding it again shows every other spelling, stray bits too. */
function decode(part: string, what: string): Buffer {
  const bytes = Buffer.from(part, 'base64url')
  if (bytes.toString('base64url') !== part) throw new MalformedToken(`${what}: not canonical base64url`)
  return bytes
}
