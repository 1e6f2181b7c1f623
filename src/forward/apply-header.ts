/** A credential in a header: by itself, as the password of a Basic pair, or as a cookie. */
import type { Lease, Placement } from '../credential/credential.ts'
import { readable, replaced, unavailable } from './apply-text.ts'
import type { Applied, Outgoing } from './outgoing.ts'

/** Names that frame or route a message: no lease is placed there. */
const reserved: ReadonlySet<string> = new Set([
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'upgrade',
  'expect',
  'te',
  'trailer',
])

/** Whatever of the same name came from the agent is dropped. */
export function inHeader(lease: Lease, placement: Placement & { readonly in: 'header' }, { headers, path }: Outgoing): Applied {
  const name = placement.name.toLowerCase()
  if (reserved.has(name)) throw unavailable(`a lease cannot be placed in ${name}`)
  const secret = readable(lease.secret)
  return { headers: replaced(headers, name, placement.prefix + secret), path }
}

/** RFC 7617. The user is the configured one, or the one that came with the credential. */
export function inBasic(lease: Lease, placement: Placement & { readonly in: 'basic' }, { headers, path }: Outgoing): Applied {
  const user = placement.user ?? lease.user
  if (user === undefined) throw unavailable('no user name came with the credential')
  if (!/^[\x20-\x39\x3b-\x7e]*$/.test(user)) throw unavailable('the user name that came with the credential cannot stand in a Basic pair')
  const pair = Buffer.from(`${user}:${readable(lease.secret)}`).toString('base64')
  return {
    headers: replaced(headers, 'authorization', `Basic ${pair}`),
    path,
  }
}

/** RFC 6265 §4.1.1 `cookie-octet`, and so nothing that could begin another cookie. The agent's own cookies never get here. */
export function inCookie(lease: Lease, placement: Placement & { readonly in: 'cookie' }, { headers, path }: Outgoing): Applied {
  const secret = readable(lease.secret)
  if (!/^[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+$/.test(secret))
    throw unavailable('the credential holds bytes that no cookie can carry')
  return { headers: replaced(headers, 'cookie', `${placement.name}=${secret}`), path }
}
