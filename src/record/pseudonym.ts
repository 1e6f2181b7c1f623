/** Names of people as values that tell one from another and tell nobody who it is. */

import { createHmac } from 'node:crypto'

/** Gives the same pseudonym for the same text, in one deployment. */
export type Pseudonym = (text: string) => string

/** HMAC-SHA-256 (RFC 2104) under the key of the deployment: whoever holds the key can tell whether a text is behind a pseudonym, and nobody else. */
export function pseudonymsOf(key: Uint8Array): Pseudonym {
  if (key.length < 32) throw new RangeError('a key of pseudonyms has 32 bytes')
  return (text) => `hmac-sha256:${createHmac('sha256', key).update(text, 'utf8').digest('hex')}`
}

/** The same value with every text, number and truth value in it hashed; names of members and null stay. */
export function pseudonymized(value: unknown, pseudonym: Pseudonym): unknown {
  if (typeof value === 'string') return pseudonym(value)
  if (Array.isArray(value)) return value.map((one) => pseudonymized(one, pseudonym))
  if (value === null || value === undefined) return value
  if (typeof value !== 'object') return pseudonym(JSON.stringify(value))
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, pseudonymized(one, pseudonym)]))
}
