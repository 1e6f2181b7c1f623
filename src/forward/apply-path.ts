/** A credential in the path, between the base path of the route and the path of the call. */
import type { Lease, Placement } from '../credential/credential.ts'
import { readable, unavailable } from './apply-text.ts'
import type { Applied, Outgoing } from './outgoing.ts'

/**
 * Puts the secret in as it is, so it has to be one piece of a segment that every server reads alike: nothing encoded, no slash, no dot segment.
 * What the call's own path says stays below: dot segments were refused when it was parsed.
 */
export function inPath(lease: Lease, placement: Placement & { readonly in: 'path' }, { headers, path, upstream }: Outgoing): Applied {
  const secret = readable(lease.secret)
  if (!/^[A-Za-z0-9._~:@!$&'()*+,=-]+$/.test(secret) || /^\.+$/.test(secret)) throw unavailable('the credential cannot stand in a path')
  const base = upstream.basePath + placement.template.replace('{secret}', () => secret)
  return { headers, path: base + path.slice(upstream.basePath.length), base }
}
