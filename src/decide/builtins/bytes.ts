/** Bytes that become text of the policy language. */

import { BuiltinLimit } from './builtin.ts'

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Throws BuiltinLimit for what is no UTF-8: a text of such bytes has no counterpart here. */
export function utf8(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes)
  } catch {
    throw new BuiltinLimit('bytes that are no UTF-8 are no text here')
  }
}

/** Puts the bytes of `%41` in place. Undefined for a percent sign without two digits. Throws BuiltinLimit for what is no UTF-8 then. */
export function unescapePercent(value: string): string | undefined {
  if (!value.includes('%')) return value
  if (/%(?![0-9a-fA-F]{2})/.test(value)) return undefined
  const pieces: Buffer[] = []
  let start = 0
  for (let at = value.indexOf('%'); at !== -1; at = value.indexOf('%', start)) {
    pieces.push(Buffer.from(value.slice(start, at)), Buffer.from(value.slice(at + 1, at + 3), 'hex'))
    start = at + 3
  }
  return utf8(Buffer.concat([...pieces, Buffer.from(value.slice(start))]))
}
