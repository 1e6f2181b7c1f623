/** Hashes and their keyed forms. MD5 and SHA-1 are not lent: no decision should rest on them. */

import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { withText, withTexts } from './argument.ts'
import type { Builtin } from './builtin.ts'

export const hashBuiltins: Readonly<Record<string, Builtin>> = {
  'crypto.hmac.equal': withTexts((a, b) => String(equal(Buffer.from(a), Buffer.from(b)))),
  'crypto.hmac.sha256': withTexts((message, key) => hmac('sha256', message, key)),
  'crypto.hmac.sha512': withTexts((message, key) => hmac('sha512', message, key)),
  'crypto.sha256': withText((value) => JSON.stringify(createHash('sha256').update(value).digest('hex'))),
}

function hmac(algorithm: 'sha256' | 'sha512', message: string, key: string): string {
  return JSON.stringify(createHmac(algorithm, key).update(message).digest('hex'))
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}
