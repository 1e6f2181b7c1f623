import { Refusal } from '../refusal.ts'
import type { RefusalOptions } from '../refusal.ts'

/** What the agent is told; coarse on purpose, and never a quote of what it sent. */
const reasons = {
  malformed: 'the token is not a well-formed JWT-SVID',
  algorithm: 'the token is signed with an algorithm that is not accepted',
  subject: "the token's subject is not the SPIFFE ID of a workload",
  unknown: 'the token is not from a trust domain known here',
  audience: 'the token is for another audience',
  expired: 'the token has expired',
  early: 'the token is not valid yet',
  long: 'the token is valid for longer than is accepted',
  signature: 'the token could not be verified with the keys of its trust domain',
  form: 'the token is not a well-formed JWT',
  key: 'the token could not be verified with the keys of its issuer',
  required: "the token's claims are not those that are required here",
  mapping: "the token's claims do not make the SPIFFE ID of a workload",
  withdrawn: 'the token is no longer valid at its issuer',
  repeated: 'a header that carries credentials was sent more than once',
  scheme: 'the token was sent under an authorization scheme that is not accepted',
  conflict: 'the request carries tokens of different callers',
  'certificate-malformed': 'the client certificate is not well-formed',
  'certificate-id': 'the client certificate does not carry the SPIFFE ID of a workload, once',
  'certificate-usage': 'the client certificate is not one that a workload may identify itself with',
  'certificate-weak': 'the client certificate has a key or a signature that is not accepted',
  'certificate-unknown': 'the client certificate is not from a trust domain known here',
  'certificate-expired': 'the client certificate has expired',
  'certificate-early': 'the client certificate is not valid yet',
  'certificate-chain': 'the client certificate could not be verified with the authorities of its trust domain',
  mismatch: 'the client certificate and the token are of different callers',
  confirmation: 'the token asks its sender for a proof that is not known here',
  unproven: 'the token is bound to a key, and the request does not prove that its sender holds it',
  unbound: 'the token was sent as DPoP and is not bound to a DPoP key',
  proof: 'the DPoP proof is not well-formed, or not made with the key that the token is bound to',
  elsewhere: 'the DPoP proof is for another method, URI or token',
  stale: 'the DPoP proof is too old, or ahead of our clock: make a new one for every request',
  replayed: 'the DPoP proof was used before: make a new one for every request, also when trying again',
  nonce: 'the DPoP proof needs the nonce in the header DPoP-Nonce: make a new one with it',
} as const

export type Rejection = keyof typeof reasons

/** Makes an `identify.rejected` refusal: a fixed sentence for the agent, `detail` for the operator's record. */
export function rejected(why: Rejection, detail: string, more: Pick<RefusalOptions, 'headers' | 'retry'> = {}): Refusal {
  return new Refusal('identify.rejected', { reasons: [reasons[why]], detail, ...more })
}

/** Shows a name from a token or key document in `detail`: printable ASCII up to 80 characters, everything else as `?`. */
export function shown(text: string): string {
  const cut = text.length > 80 ? `${text.slice(0, 80)}…` : text
  return `"${cut.replaceAll(/[^\x20-\x7e…]/g, '?')}"`
}
