/** OAuth Transaction Tokens (draft-ietf-oauth-transaction-tokens) that calls carry: verified, and kept for correlation alone. */
import { hash } from 'node:crypto'
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  decodeJwt,
  jwtVerify,
  type JSONWebKeySet,
  type JWTPayload,
  type JWTVerifyGetKey,
} from 'jose'
import { Refusal } from '../refusal.ts'
import type { Awaitable, Transaction } from '../state/state.ts'

/** A Transaction Token Service. */
export interface TransactionIssuer {
  /** `iss`, where its tokens have one. */
  readonly issuer: string
  /** Its trust domain: the `aud` of its tokens. */
  readonly audience: string
  /** Its keys: a document, read at wiring time, or where to fetch it. */
  readonly keys: JSONWebKeySet | URL
}

export interface TransactionOptions {
  readonly issuers: readonly TransactionIssuer[]
  /** What comes of a call whose token cannot be verified. */
  readonly unverified: 'record' | 'refuse'
  /** Epoch ms. */
  readonly clock: () => number
}

/** Takes the text of `Txn-Token`; throws identify.rejected for one that cannot be verified where that is to be refused. */
export type ReadTransaction = (token: string) => Awaitable<Transaction>

interface Issuer extends Pick<TransactionIssuer, 'issuer' | 'audience'> {
  readonly keys: JWTVerifyGetKey
}

interface Known {
  readonly transaction: Transaction
  /** Epoch ms. */
  readonly expires: number
}

const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512']
const longest = 8192
const longestId = 256
const mostKnown = 4096

/** Makes the reader. A token that was verified once is known by its text until it expires; nothing is done for a call without one. */
export function makeReadTransaction({ issuers, unverified, clock }: TransactionOptions): ReadTransaction {
  const trusted = issuers.map(({ issuer, audience, keys }): Issuer => ({
    issuer,
    audience,
    keys: keys instanceof URL ? createRemoteJWKSet(keys, { timeoutDuration: 5000 }) : createLocalJWKSet(keys),
  }))
  /** Written here only; the oldest goes first. */
  const known = new Map<string, Known>()
  return (token) => {
    const found = known.get(token)
    if (found !== undefined && found.expires > clock()) return found.transaction
    return verified(token, trusted, clock()).then((read) => {
      if (read === null) {
        if (unverified === 'refuse') throw new Refusal('identify.rejected', { reasons: ['the Txn-Token could not be verified'] })
        return { verified: false, id: null, issuer: null, subSha256: null, rctxSha256: null, tokenSha256: sha256(token) }
      }
      known.set(token, read)
      if (known.size > mostKnown) for (const oldest of known.keys()) return (known.delete(oldest), read.transaction)
      return read.transaction
    })
  }
}

/** §"Txn-Token Header" and §"Txn-Token Claims": the type is fixed; iat, aud, exp, txn, sub, scope and req_wl must be there, iss may. */
async function verified(token: string, trusted: readonly Issuer[], now: number): Promise<Known | null> {
  if (token.length > longest) return null
  try {
    const issuer = issuerOf(decodeJwt(token), trusted)
    if (issuer === null) return null
    const { payload } = await jwtVerify(token, issuer.keys, {
      audience: issuer.audience,
      algorithms,
      typ: 'txntoken+jwt',
      requiredClaims: ['iat', 'aud', 'exp', 'txn', 'sub', 'scope', 'req_wl'],
      currentDate: new Date(now),
    })
    const { txn, sub, exp, rctx } = payload
    if (typeof txn !== 'string' || !/^[\x21-\x7e]+$/.test(txn) || txn.length > longestId) return null
    if (typeof sub !== 'string' || sub === '' || exp === undefined) return null
    const rctxSha256 = rctx === undefined ? null : sha256(JSON.stringify(rctx))
    const digests = { subSha256: sha256(sub), rctxSha256, tokenSha256: sha256(token) }
    return { transaction: { verified: true, id: txn, issuer: issuer.issuer, ...digests }, expires: exp * 1000 }
  } catch {
    return null
  }
}

/** By exact `iss`; without one by the trust domain, which has one such service. Nothing in the token is trusted by this. */
function issuerOf({ iss, aud }: JWTPayload, trusted: readonly Issuer[]): Issuer | null {
  const audiences = Array.isArray(aud) ? aud : [aud]
  return trusted.find(({ issuer, audience }) => audiences.includes(audience) && (iss === undefined || iss === issuer)) ?? null
}

function sha256(text: string): string {
  return hash('sha256', text)
}
