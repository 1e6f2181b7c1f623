import { Secret } from '../../secret.ts'
import { parseSpiffeId } from '../spiffe-id.ts'
import type { SpiffeId } from '../spiffe-id.ts'
import { readAudience, readClaims, readTimes } from './compact-token.ts'
import { jwtBundlesResponse, jwtSvidResponse, validateJwtSvidResponse } from './jwt-messages.ts'
import type { JwtSvidMessage } from './jwt-messages.ts'
import { firstOfEachHint, malformed, mandatory, trustDomainKey, workloadId } from './mandatory.ts'
import type { JsonObject } from './struct.ts'

/** A JWT-SVID of this workload: a bearer token, so it is kept where it cannot print. */
export interface JwtSvid {
  readonly id: SpiffeId
  /** Empty when the operator gave none. */
  readonly hint: string
  readonly token: Secret
  readonly audience: readonly string[]
  /** Epoch ms; null when the token does not say. */
  readonly issuedAt: number | null
  /** Epoch ms; the token is worth nothing from then on. */
  readonly expires: number
}

/** For each trust domain, by its name, the text of a JWKS as the endpoint sent it. For JWT-SVIDs only (Workload API §6.2.2). */
export type JwtBundles = ReadonlyMap<string, string>

/** What the endpoint says of a token that it found valid. */
export interface ValidatedJwtSvid {
  readonly id: SpiffeId
  /** Objects in it have no prototype. */
  readonly claims: JsonObject
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Takes a `JWTBundlesResponse`; throws for a message to discard (Workload API §4.5). */
export function readJwtBundles(bytes: Uint8Array): JwtBundles {
  const message = jwtBundlesResponse.decode(bytes)
  mandatory(message.bundles.size > 0, 'bundles')
  const bundles = new Map<string, string>()
  for (const [key, value] of message.bundles) {
    const trustDomain = trustDomainKey(key)
    mandatory(value.length > 0, `bundles of ${trustDomain}`)
    bundles.set(trustDomain, text(value, trustDomain))
  }
  return bundles
}

/** Takes a `JWTSVIDResponse` and what was asked for; throws when the answer is something else. */
export function readJwtSvids(
  bytes: Uint8Array,
  asked: { readonly audience: readonly string[]; readonly id: string | null },
): readonly JwtSvid[] {
  const { svids } = jwtSvidResponse.decode(bytes)
  mandatory(svids.length > 0, 'svids')
  return firstOfEachHint(svids).map((svid) => readSvid(svid, asked))
}

/** Takes a `ValidateJWTSVIDResponse`. */
export function readValidated(bytes: Uint8Array): ValidatedJwtSvid {
  const { spiffeId, claims } = validateJwtSvidResponse.decode(bytes)
  mandatory(spiffeId !== '', 'spiffe_id')
  if (claims === null) throw malformed('the mandatory field claims is empty')
  const id = workloadId(spiffeId)
  if (Object.hasOwn(claims, 'sub') && claims['sub'] !== id.id) throw malformed(`the claims of ${id.id} have another subject`)
  return { id, claims }
}

function readSvid(message: JwtSvidMessage, asked: { readonly audience: readonly string[]; readonly id: string | null }): JwtSvid {
  mandatory(message.spiffeId !== '', 'spiffe_id')
  mandatory(message.svid !== '', 'svid')
  const id = workloadId(message.spiffeId)
  if (asked.id !== null && asked.id !== id.id) throw malformed(`asked for ${parseSpiffeId(asked.id).id}, the answer is ${id.id}`)
  const claims = readClaims(message.svid, id)
  const audience = readAudience(claims)
  if (!asked.audience.every((each) => audience.includes(each))) throw malformed(`the token of ${id.id} is not for the audience asked for`)
  return { id, hint: message.hint, token: new Secret(message.svid), audience, ...readTimes(claims, id) }
}

function text(bytes: Uint8Array, trustDomain: string): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw malformed(`the bundle of ${trustDomain} is not UTF-8`)
  }
}
