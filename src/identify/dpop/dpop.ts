/** Demonstrated proof of possession (RFC 9449 §4.3, §7, §9): whether the sender of a token holds the key that it is bound to. */
import { hash } from 'node:crypto'
import type { Call } from '../../listen/call.ts'
import { Refusal } from '../../refusal.ts'
import { algorithms } from '../jwt/algorithms.ts'
import { checkProofSignature, keyOf, readProof, sameText } from './dpop-proof.ts'
import type { ReadProof } from './dpop-proof.ts'
import type { Confirmation } from '../identify.ts'
import { MalformedToken } from '../jwt/jws.ts'
import type { VerifyKey } from '../jwt/keys.ts'
import { ahead } from './proofs.ts'
import type { ProofMemory } from './proofs.ts'
import { rejected } from '../rejected.ts'

export interface DpopRules {
  /** How long after its `iat` a proof is good, ms. */
  readonly window: number
  /** `as-needed`: only for a proof of which it cannot be known whether it was used. */
  readonly nonce: 'as-needed' | 'required'
}

/** A confirmation by DPoP. */
export type KeyConfirmation = Extract<Confirmation, { readonly jkt: string }>

/** Takes the call, what its token is bound to, the SHA-256 of the token in hex, and epoch ms. Throws unless the call proves possession. */
export type CheckProof = (call: Call, confirmation: KeyConfirmation, digest: string, now: number) => void

const names = `algs="${algorithms.join(' ')}"`

/** What a 401 says to a client that should have used DPoP, or used it wrongly (RFC 9449 §7.1). */
export function dpopChallenge(error: 'invalid_token' | 'invalid_dpop_proof' | 'use_dpop_nonce'): string {
  return `DPoP error="${error}", ${names}`
}

/** Makes the check. Proofs are used up in `memory`, so each passes once, in this process. */
export function makeCheckProof(rules: DpopRules, memory: ProofMemory): CheckProof {
  /** A token's confirmation lives as long as its caller is kept: its key is read once. */
  const keys = new WeakMap<Confirmation, VerifyKey>()
  return (call, confirmation, digest, now) => {
    const text = onlyProof(call.headers)
    try {
      const proof = readProof(text)
      const key = keyOf(proof, confirmation.jkt, keys.get(confirmation))
      checkPurpose(proof, call, digest)
      checkTime(proof, rules, memory, now)
      checkProofSignature(proof, key)
      keys.set(confirmation, key)
      use(proof, rules, memory, now)
    } catch (error) {
      if (error instanceof MalformedToken) throw refused('proof', error.message)
      throw error
    }
  }
}

/** RFC 9449 §4.3 item 1: one header field, no more. */
function onlyProof(headers: readonly string[]): string {
  let found: string | null = null
  for (let at = 0; at + 1 < headers.length; at += 2) {
    if (headers[at] !== 'dpop') continue
    if (found !== null) throw refused('proof', 'two DPoP headers')
    found = headers[at + 1] ?? ''
  }
  if (found === null) throw refused('unproven', 'a token bound to a DPoP key without a DPoP header')
  return found
}

/** Items 8, 9 and 12: for this method, this URI and this token. */
function checkPurpose(proof: ReadProof, call: Call, digest: string): void {
  if (proof.method !== call.method) throw refused('elsewhere', 'htm is not the method')
  if (!isUri(proof.uri, call)) throw refused('elsewhere', 'htu is not the URI')
  if (!sameText(proof.tokenDigest, Buffer.from(digest, 'hex').toString('base64url'))) throw refused('elsewhere', 'ath is of another token')
}

/**
 * The scheme and the Host in any case and with or without the port that the scheme implies, then the path in exactly the bytes that came:
 * they are what is judged, so nothing of them is normalised. Query and fragment of `htu` do not count (item 9).
 */
function isUri(uri: string, call: Call): boolean {
  const [, scheme = '', authority = '', path = ''] = /^([a-z][a-z0-9+.-]*):\/\/([^/?#@\\]+)([^?#]*)/i.exec(uri) ?? []
  if (scheme.toLowerCase() !== call.scheme || withoutPort(call.scheme, authority) !== withoutPort(call.scheme, call.host)) return false
  const { prefix, path: rest } = call.address
  // of a path that ends with its prefix, `rest` has a slash that may not have come
  return prefix + rest === (path === '' ? '/' : path) || (rest === '/' && prefix !== '' && prefix === path)
}

function withoutPort(scheme: 'http' | 'https', authority: string): string {
  const implied = scheme === 'https' ? ':443' : ':80'
  const lower = authority.toLowerCase()
  return lower.endsWith(implied) ? lower.slice(0, -implied.length) : lower
}

/** Items 10 and 11. The nonce comes last of what can be seen without the key, so that only a proof that lacks nothing else is sent back for it. */
function checkTime({ issuedAt, nonce }: ReadProof, rules: DpopRules, memory: ProofMemory, now: number): void {
  if (issuedAt > now + ahead) throw refused('stale', `made ${issuedAt - now} ms from now; are the clocks right?`)
  if (now >= issuedAt + rules.window) throw refused('stale', `made ${now - issuedAt} ms ago`)
  if (rules.nonce === 'as-needed' && !memory.forgot(issuedAt, now, rules.window)) return
  if (nonce !== null && memory.knows(nonce, now, rules.window)) return
  const headers = { 'WWW-Authenticate': dpopChallenge('use_dpop_nonce'), 'DPoP-Nonce': memory.nonce(now, rules.window) }
  throw rejected('nonce', nonce === null ? 'no nonce' : 'not a nonce of ours, or an old one', { headers, retry: 'later' })
}

/** §11.1: a proof is used once. Only proofs that verify come here, so strangers fill nothing. */
function use(proof: ReadProof, rules: DpopRules, memory: ProofMemory, now: number): void {
  const { thumbprint, jti, issuedAt } = proof
  switch (memory.use(thumbprint, remembered(jti), issuedAt, now, rules.window)) {
    case 'fresh':
      return
    case 'used':
      throw refused('replayed', 'the jti was used before')
    case 'full':
      throw new Refusal('identify.unavailable', {
        reasons: ['too many DPoP proofs of this key came in too short a time'],
        detail: `the used proofs of the key ${thumbprint} are as many as are remembered`,
      })
  }
}

/** A long name is remembered by its digest: a sender must not choose how much room a proof takes. */
function remembered(jti: string): string {
  return jti.length <= 43 ? jti : hash('sha256', jti, 'base64url')
}

function refused(why: 'unproven' | 'proof' | 'elsewhere' | 'stale' | 'replayed', detail: string): Refusal {
  const error = why === 'unproven' ? 'invalid_token' : 'invalid_dpop_proof'
  return rejected(why, detail, { headers: { 'WWW-Authenticate': dpopChallenge(error) } })
}
