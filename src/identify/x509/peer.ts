/** Makes a caller of the certificates that a TLS client presented. */
import type { TlsPeer } from '../../listen/call.ts'
import type { Caller } from '../identify.ts'
import { rejected } from '../rejected.ts'
import type { Rejection } from '../rejected.ts'
import { claimedId, InvalidSvid, verifyX509Svid } from './svid.ts'
import type { Invalidity, X509Svid } from './svid.ts'

const rejections: Readonly<Record<Invalidity, Rejection>> = {
  malformed: 'certificate-malformed',
  id: 'certificate-id',
  usage: 'certificate-usage',
  weak: 'certificate-weak',
  unknown: 'certificate-unknown',
  expired: 'certificate-expired',
  early: 'certificate-early',
  chain: 'certificate-chain',
  constraints: 'certificate-chain',
}

/** What was found out about a connection, and with which authorities; written by `peerCaller` alone, gone with the connection. */
interface Found {
  readonly trustDomain: string
  readonly authorities: readonly Uint8Array[]
  readonly svid: X509Svid
  readonly caller: Caller
}

const found = new WeakMap<TlsPeer, Found>()

/**
 * The caller that a TLS peer proves at `now` (epoch ms). Null for "not mine": no certificate, one without a SPIFFE ID, or of a trust domain
 * for which `bundleOf` has null. Throws `identify.rejected` for an ID that is malformed and a chain that does not verify.
 * A connection is verified again only when the authorities of its trust domain are another array.
 */
export function peerCaller(peer: TlsPeer, bundleOf: (trustDomain: string) => readonly Uint8Array[] | null, now: number): Caller | null {
  const known = found.get(peer)
  if (known !== undefined && bundleOf(known.trustDomain) === known.authorities && now >= known.svid.notBefore && now < known.svid.expires)
    return known.caller
  const [leaf] = peer.chain
  if (leaf === undefined) return null
  try {
    const id = claimedId(leaf)
    const authorities = id === null ? null : bundleOf(id.trustDomain)
    if (authorities === null) return null
    const svid = verifyX509Svid(peer.chain, authorities, now)
    const caller = callerOf(svid)
    found.set(peer, { trustDomain: svid.id.trustDomain, authorities, svid, caller })
    return caller
  } catch (error) {
    if (error instanceof InvalidSvid) throw rejected(rejections[error.why], `client certificate: ${error.message}`)
    throw error
  }
}

function callerOf({ id, expires, thumbprint }: X509Svid): Caller {
  return {
    id: id.id,
    trustDomain: id.trustDomain,
    method: 'x509-svid',
    confirmed: 'mtls',
    issuer: null,
    expires,
    proof: `sha256:${Buffer.from(thumbprint, 'base64url').toString('hex')}`,
    claims: {},
  }
}
