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

const parameterName = z.string().regex(/^[A-Za-z0-9._~-]{1,64}$/, 'must be a plain parameter name')

/** Segments of a path with `{secret}` in one of them; what surrounds it cannot turn into another path. */
const pathTemplate = z
  .string()
  .max(256)
  .regex(/^(\/[A-Za-z0-9._~:@!$&'()*+,={}-]+)+$/, 'must be a path like /bot{secret}: no empty segment, no query, nothing encoded')
  .refine((path) => path.replace('{secret}', '').search(/[{}]/) === -1 && path.includes('{secret}'), 'must hold {secret} exactly once')
  .refine((path) => !path.split('/').some((segment) => /^\.+(\{secret\})?\.*$/.test(segment)), 'no segment may be made of dots')

const pointer = z
  .string()
  .max(256)
  .regex(/^(\/([^~/*]|~[01])+)+$/u, 'must be a JSON pointer to a member, like /api_key')

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
    z.strictObject({ query: parameterName }),
    z.strictObject({ basic: z.string().regex(/^[\x20-\x39\x3b-\x7e]{0,128}$/, 'must be printable ASCII without a colon') }),
    z.strictObject({ basic: z.strictObject({ from: z.literal('credential') }) }),
    z.strictObject({ cookie: z.string().regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$/, 'must be a cookie name') }),
    z.strictObject({
      placeholder: z.string().regex(/^[A-Za-z0-9._~+/=-]{16,256}$/, 'must be 16 to 256 letters, digits or ._~+/=-'),
      at: z
        .array(z.union([z.strictObject({ header: headerName }), z.strictObject({ query: parameterName })]))
        .min(1)
        .max(16)
        .optional(),
    }),
    z.strictObject({ path: pathTemplate }),
    z.strictObject({ body: z.union([z.strictObject({ json: pointer }), z.strictObject({ form: parameterName })]) }),
    z.strictObject({ tls: z.literal(true) }),
    z.strictObject({
      sigv4: z.strictObject({
        service: z.string().regex(/^[a-z0-9-]{1,64}$/, 'must be the signing name of a service, like s3'),
        region: z.string().regex(/^[a-z0-9-]{1,64}$/, 'must be a region, like eu-central-1'),
      }),
    }),
  ])
  .prefault({ header: 'Authorization', prefix: 'Bearer ' })
  .describe(
    'Where the credential goes: { header, prefix }, { query }, { basic: user }, { basic: { from: credential } }, { cookie }, { placeholder, at }, { path }, { body: { json } }, { body: { form } }, { tls: true } or { sigv4: { service, region } }. Default: Authorization: Bearer.',
  )

export type Apply = z.infer<typeof Apply>

/** Turns the setting into what `forward` applies; header names come out in lower case. */
export function placementOf(apply: Apply): Placement {
  if ('header' in apply) return { in: 'header', name: apply.header.toLowerCase(), prefix: apply.prefix }
  if ('query' in apply) return { in: 'query', name: apply.query }
  if ('basic' in apply) return { in: 'basic', user: typeof apply.basic === 'string' ? apply.basic : null }
  if ('cookie' in apply) return { in: 'cookie', name: apply.cookie }
  if ('placeholder' in apply) return { in: 'placeholder', text: apply.placeholder, ...(apply.at && { at: apply.at.map(placeOf) }) }
  if ('path' in apply) return { in: 'path', template: apply.path }
  if ('body' in apply) return { in: 'body', ...apply.body }
  if ('tls' in apply) return { in: 'tls' }
  return { in: 'sigv4', ...apply.sigv4 }
}

/** As `header:<name in lower case>` or `query:<name>`. */
function placeOf(at: { readonly header: string } | { readonly query: string }): string {
  return 'header' in at ? `header:${at.header.toLowerCase()}` : `query:${at.query}`
}

/** RFC 6265 §4.1.1 `cookie-octet`. */
const cookieText = /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+$/
/** What stands in a path as it is, and is read there in one way only. */
const pathText = /^[A-Za-z0-9._~:@!$&'()*+,=-]+$/

/** True when this text can be put there as it is: nothing empty, nothing that could end a header line, a cookie or a path segment. */
export function fits(text: string, placement: Placement): boolean {
  if (text.length === 0) return false
  if (placement.in === 'tls') return true // the text of a key has lines; no byte of it is sent
  if (placement.in === 'cookie') return cookieText.test(text)
  if (placement.in === 'path') return pathText.test(text)
  const plain = placement.in === 'header' || placement.in === 'placeholder' || placement.in === 'sigv4'
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code < 0x20 || code === 0x7f || (plain && code > 0x7e)) return false
  }
  return true
}
