import type { Lease } from './credential.ts'
import { fits } from './placement.ts'

/** A text of fewer bytes cannot be told from other text where it comes back in an answer. */
const shortest = 8
/** No header of a usual server takes more, and looking for it in answers would hold up every call. Bytes. */
const longest = 16_384

/**
 * Why a credential that came cannot be used; null when it can. What goes into a header could otherwise end its line; what an agent is not to see
 * must be found again in answers; and a placeholder is what every agent knows. The text is for the operator, and holds none of the credential.
 */
export function unusable({ placement, secret, user, parts = {}, standing }: Lease): string | null {
  const named = (placement.in === 'basic' && placement.user === null) || placement.in === 'sigv4'
  if (user === undefined ? named : !/^[\x20-\x39\x3b-\x7e]{1,512}$/.test(user))
    return 'its user name is missing, or cannot be put on a request'
  if (placement.in === 'tls') return null
  const text = secret.reveal()
  // the session of SigV4 is sent beside it; no other part is
  const beside = placement.in === 'sigv4' ? Object.values(parts).map((part) => part.reveal()) : []
  if (!fits(text, placement) || !beside.every((part) => fits(part, header))) return 'what came cannot be put on a request'
  if ([text, ...beside].some((one) => Buffer.byteLength(one) > longest)) return `what came has more than ${longest} bytes`
  if (placement.in === 'placeholder' && text === placement.text) return 'what came is the placeholder'
  // what stands is what the operator chose
  return !standing && Buffer.byteLength(text) < shortest ? `what came has fewer than ${shortest} bytes` : null
}

const header = { in: 'header', name: '', prefix: '' } as const
