/** What a JSON Web Token says, unverified: who a caller is was proven before policy, from tokens that were verified. */

import { withText } from './argument.ts'
import { BuiltinLimit, type Builtin } from './builtin.ts'
import { utf8 } from './bytes.ts'

export const tokenBuiltins: Readonly<Record<string, Builtin>> = {
  'io.jwt.decode': withText(decode),
}

/** `[header, payload, signature]`, the signature in hexadecimal (RFC 7515 §3.1). A token inside a token is decoded instead of the outer. */
function decode(token: string): string | undefined {
  const [first, second, third, ...more] = token.split('.').map(decodeBase64)
  if (first === undefined || second === undefined || more.length > 0) return undefined
  const header = utf8(first)
  const members = objectOf(header)
  if (members === undefined || 'enc' in members) return undefined
  const payload = utf8(second)
  if ('cty' in members && typeof members['cty'] !== 'string') throw new BuiltinLimit('the content type of a token must be a text')
  if (members['cty'] === 'JWT') return decode(payload.replace(/^["']+|["']+$/g, ''))
  if (objectOf(payload) === undefined || third === undefined) return undefined
  return `[${header},${payload},"${third.toString('hex')}"]`
}

/** With padding or without; line ends do not count. */
function decodeBase64(text: string): Buffer | undefined {
  const bare = text.replace(/[\r\n]/g, '')
  const padded = text.endsWith('=') ? bare : bare + '='.repeat((4 - (bare.length % 4)) % 4)
  return padded.length % 4 === 0 && /^[A-Za-z0-9_-]*={0,2}$/.test(padded) ? Buffer.from(padded, 'base64url') : undefined
}

/** Asks only whether it is an object and what its header says; the engine reads the text itself. */
function objectOf(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined
  } catch {
    return undefined
  }
}
