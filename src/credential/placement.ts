import { z } from 'zod'
import type { Placement } from './credential.ts'

/** Headers that frame or route the message: a credential never goes there. */
const framing = new Set(
  'connection content-encoding content-length content-type expect host keep-alive proxy-connection te trailer transfer-encoding upgrade via'.split(
    ' ',
  ),
)

const headerName = z
  .string()
  .regex(/^[A-Za-z0-9!#$%&'*+.^`|~-]{1,64}$/, 'must be a header name')
  .refine((name) => !framing.has(name.toLowerCase()), 'a credential cannot go into this header')

/** `apply` of a provider: where its credential goes on the upstream request. */
export const Apply = z
  .union([
    z.strictObject({
      header: headerName,
      prefix: z
        .string()
        .regex(/^[\x20-\x7e]{0,64}$/, 'must be printable ASCII')
        .default(''),
    }),
    z.strictObject({ query: z.string().regex(/^[A-Za-z0-9._~-]{1,64}$/, 'must be a plain parameter name') }),
    z.strictObject({ basic: z.string().regex(/^[\x20-\x39\x3b-\x7e]{0,128}$/, 'must be printable ASCII without a colon') }),
  ])
  .prefault({ header: 'Authorization', prefix: 'Bearer ' })
  .describe('Where the credential goes: { header, prefix }, { query } or { basic: user }. Default: Authorization: Bearer.')

export type Apply = z.infer<typeof Apply>

/** Turns the setting into what `forward` applies; header names come out in lower case. */
export function placementOf(apply: Apply): Placement {
  if ('header' in apply) return { in: 'header', name: apply.header.toLowerCase(), prefix: apply.prefix }
  if ('query' in apply) return { in: 'query', name: apply.query }
  return { in: 'basic', user: apply.basic }
}

/** True when this text can be put there as it is: nothing empty, nothing that could end a header line. */
export function fits(text: string, placement: Placement): boolean {
  if (text.length === 0) return false
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code < 0x20 || code === 0x7f || (placement.in === 'header' && code > 0x7e)) return false
  }
  return true
}
