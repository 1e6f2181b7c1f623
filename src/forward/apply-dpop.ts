/** A DPoP-bound token (RFC 9449): the token, and for each request a proof that its key is held. */
import { createHash, createPrivateKey, createPublicKey, randomUUID, type KeyObject } from 'node:crypto'
import { SignJWT, type JWK } from 'jose'
import type { Secret } from '../secret.ts'
import type { Lease } from '../credential/credential.ts'
import { readable, replaced, unavailable } from './apply-text.ts'
import type { Applied, Outgoing } from './outgoing.ts'
import type { Upstream } from './upstream.ts'

/** The nonces that upstreams want to see in the next proof (§9). Written by `noteNonce`. */
const nonces = new WeakMap<Upstream['route'], string>()

/** Keeps what an answer says of the next proof; anything that is no nonce of §8.1 is left out. */
export function noteNonce({ route }: Upstream, value: string | string[] | undefined): void {
  if (typeof value === 'string' && /^[\x21\x23-\x5b\x5d-\x7e]{1,512}$/.test(value)) nonces.set(route, value)
}

/** True for an answer that refuses a proof for the want of a nonce, and gives one (§9). Nothing was done then. */
export function wantsNonce(status: number, challenge: string | string[] | undefined, nonce: string | string[] | undefined): boolean {
  return status === 401 && typeof nonce === 'string' && /(^|[\s,])error="?use_dpop_nonce"?/i.test([challenge].flat().join(', '))
}

/** Keys of leases, read once. */
const keys = new WeakMap<Secret, { readonly key: KeyObject; readonly jwk: JWK }>()

/** The proof names method and URI as they go out, without query and fragment (§4.2), and the token by its hash. */
export async function withProof(lease: Lease, { method, upstream, headers, path }: Outgoing, now: number): Promise<Applied> {
  const pem = lease.parts?.['dpop_key']
  if (pem === undefined) throw unavailable('the key of a DPoP-bound token did not come with it')
  const token = readable(lease.secret)
  const { key, jwk } = keyOf(pem)
  const nonce = nonces.get(upstream.route)
  const proof = await new SignJWT({
    jti: randomUUID(),
    htm: method,
    htu: upstream.route.to.origin + (path.split('?', 1)[0] ?? ''),
    iat: Math.floor(now / 1000),
    ath: createHash('sha256').update(token).digest('base64url'),
    ...(nonce === undefined ? {} : { nonce }),
  })
    .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk })
    .sign(key)
  const carried = replaced(replaced(headers, 'authorization', `DPoP ${token}`), 'dpop', proof)
  return { headers: carried, path }
}

function keyOf(pem: Secret): { readonly key: KeyObject; readonly jwk: JWK } {
  let found = keys.get(pem)
  if (found === undefined) {
    const key = createPrivateKey(pem.reveal())
    const { kty, crv, x, y } = createPublicKey(key).export({ format: 'jwk' })
    keys.set(pem, (found = { key, jwk: { kty: kty ?? '', crv: crv ?? '', x: x ?? '', y: y ?? '' } }))
  }
  return found
}
