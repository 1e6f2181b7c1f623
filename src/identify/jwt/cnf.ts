import type { Confirmation } from '../identify.ts'
import { rejected, shown } from '../rejected.ts'
import { isMembers, member } from '../strict-json.ts'
import type { Members } from '../strict-json.ts'

/**
 * Takes the claims of a token, gives what its sender has to prove (RFC 7800 §3.1); null for a plain bearer token.
 * Throws `identify.rejected` for a `cnf` with anything in it but exactly one of `jkt` (RFC 9449 §6.1) and `x5t#S256` (RFC 8705 §3.1):
 * a confirmation that is not understood must not pass for none.
 */
export function readConfirmation(claims: Members): Confirmation | null {
  const cnf = member(claims, 'cnf')
  if (cnf === undefined) return null
  if (!isMembers(cnf)) throw rejected('confirmation', 'cnf is not an object')
  const [name, ...more] = Object.keys(cnf)
  if (name === undefined || more.length > 0) throw rejected('confirmation', 'cnf does not have exactly one member')
  if (name !== 'jkt' && name !== 'x5t#S256') throw rejected('confirmation', `cnf has ${shown(name)}`)
  const digest = member(cnf, name)
  if (typeof digest !== 'string' || !isDigest(digest)) throw rejected('confirmation', `cnf: ${name} is not a SHA-256 in base64url`)
  return name === 'jkt' ? { jkt: digest } : { x5tS256: digest }
}

/** 32 bytes as base64url in their one canonical spelling. */
function isDigest(text: string): boolean {
  return text.length === 43 && Buffer.from(text, 'base64url').toString('base64url') === text
}
