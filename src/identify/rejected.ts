import { Refusal } from '../refusal.ts'

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
} as const

export type Rejection = keyof typeof reasons

/** Makes an `identify.rejected` refusal: a fixed sentence for the agent, `detail` for the operator's record. */
export function rejected(why: Rejection, detail: string): Refusal {
  return new Refusal('identify.rejected', { reasons: [reasons[why]], detail })
}

/** Shows a name from a token or key document in `detail`: printable ASCII up to 80 characters, everything else as `?`. */
export function shown(text: string): string {
  const cut = text.length > 80 ? `${text.slice(0, 80)}…` : text
  return `"${cut.replaceAll(/[^\x20-\x7e…]/g, '?')}"`
}
