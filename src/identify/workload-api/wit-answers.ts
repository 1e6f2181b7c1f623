import { createPrivateKey, createPublicKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { Secret } from '../../secret.ts'
import { member, parseStrictJson } from '../strict-json.ts'
import type { Members } from '../strict-json.ts'
import type { SpiffeId } from '../spiffe-id.ts'
import { boundKey, readClaims, readTimes } from './compact-token.ts'
import { firstOfEachHint, malformed, mandatory, trustDomainKey, workloadId } from './mandatory.ts'
import { witBundlesResponse, witSvidResponse } from './wit-messages.ts'
import type { WitSvidMessage } from './wit-messages.ts'

/** A WIT-SVID of this workload with the private key that it is bound to. */
export interface WitSvid {
  readonly id: SpiffeId
  /** Empty when the operator gave none. */
  readonly hint: string
  readonly token: Secret
  /** Never prints. */
  readonly key: KeyObject
  /** Epoch ms; null when the token does not say. */
  readonly issuedAt: number | null
  /** Epoch ms; the token is worth nothing from then on. */
  readonly expires: number
}

/** For each trust domain, by its name, the text of a JWKS as the endpoint sent it. For WIT-SVIDs only (Workload API §7.2.2). */
export type WitBundles = ReadonlyMap<string, string>

/** Takes a `WITSVIDResponse`; the first is the default identity (Workload API §8). Throws for a message to discard (§4.5). */
export function readWitSvids(bytes: Uint8Array): readonly WitSvid[] {
  const { svids } = witSvidResponse.decode(bytes)
  mandatory(svids.length > 0, 'svids')
  return firstOfEachHint(svids).map(readSvid)
}

/** Takes a `WITBundlesResponse`; throws for a message to discard (Workload API §4.5). */
export function readWitBundles(bytes: Uint8Array): WitBundles {
  const message = witBundlesResponse.decode(bytes)
  mandatory(message.bundles.size > 0, 'bundles')
  const bundles = new Map<string, string>()
  for (const [key, value] of message.bundles) {
    const trustDomain = trustDomainKey(key)
    mandatory(value !== '', `bundles of ${trustDomain}`)
    bundles.set(trustDomain, value)
  }
  return bundles
}

function readSvid(message: WitSvidMessage): WitSvid {
  mandatory(message.spiffeId !== '', 'spiffe_id')
  mandatory(message.witSvid !== '', 'wit_svid')
  mandatory(message.witSvidKey !== '', 'wit_svid_key')
  const id = workloadId(message.spiffeId)
  const claims = readClaims(message.witSvid, id)
  const key = readKey(message.witSvidKey, id)
  if (!isBoundTo(boundKey(claims), key)) throw malformed(`the token of ${id.id} is not bound to its private key`)
  return { id, hint: message.hint, token: new Secret(message.witSvid), key, ...readTimes(claims, id) }
}

/** The errors of JSON and node:crypto are not passed on: they have seen the key. */
function readKey(jwk: string, id: SpiffeId): KeyObject {
  try {
    return createPrivateKey({ format: 'jwk', key: parseStrictJson(jwk) })
  } catch {
    throw malformed(`the private key of ${id.id} is not a private JWK`)
  }
}

/** Every member of the public key, as node:crypto derives it from the private one, stands in the token (RFC 7800 §3.2). */
function isBoundTo(jwk: Members | null, key: KeyObject): boolean {
  if (jwk === null) return false
  return Object.entries(createPublicKey(key).export({ format: 'jwk' })).every(([name, value]) => member(jwk, name) === value)
}
