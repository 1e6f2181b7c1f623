import { createLocalJWKSet, createRemoteJWKSet, decodeJwt, jwtVerify, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose'
import type { Secret } from '../secret.ts'
import type { Acting } from '../identify/jwt/act.ts'
import type { OnBehalfOf } from '../state/state.ts'

/** An issuer whose tokens prove on whose behalf a task is opened. */
export interface SubjectIssuer {
  readonly issuer: string
  /** What its tokens must be meant for. */
  readonly audience: string
  /** Its keys: a document, read at wiring time, or where to fetch it. */
  readonly keys: JSONWebKeySet | URL
}

/** On whose behalf a token lets a task be opened, and through whom it came. */
export interface ProvenSubject extends OnBehalfOf {
  /** Null where the token names nobody that acts. */
  readonly acting: Acting | null
}

const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512']
const longest = 8192

/**
 * Makes the verifier of `on_behalf_of`: takes a token, gives its subject, or null when it proves nothing.
 * A token whose `act` or `may_act` (`readActing`) cannot be read proves nothing either: nobody knows through whom it came.
 * The issuer is chosen from configuration by exact `iss` (RFC 8725 §3.8); `exp`, `aud` and `sub` must be there (RFC 7519 §4.1).
 */
export function makeVerifySubject(
  issuers: readonly SubjectIssuer[],
  clock: () => number,
  readActing: (claims: Readonly<Record<string, unknown>>) => Acting | null,
): (token: Secret) => Promise<ProvenSubject | null> {
  const known = new Map<string, { readonly audience: string; readonly keys: JWTVerifyGetKey }>()
  for (const { issuer, audience, keys } of issuers)
    known.set(issuer, {
      audience,
      keys: keys instanceof URL ? createRemoteJWKSet(keys, { timeoutDuration: 5000 }) : createLocalJWKSet(keys),
    })
  return async (token) => {
    const text = token.reveal()
    const issuer = text.length <= longest ? claimedIssuer(text) : null
    const rule = issuer === null ? undefined : known.get(issuer)
    if (issuer === null || rule === undefined) return null
    try {
      const { payload } = await jwtVerify(text, rule.keys, {
        issuer,
        audience: rule.audience,
        algorithms,
        requiredClaims: ['exp', 'aud', 'sub'],
        currentDate: new Date(clock()),
      })
      const { sub, exp } = payload
      // a workload's name must never pass for a person's
      const named = sub !== undefined && sub.length > 0 && sub.length <= 512 && !/^spiffe:/i.test(sub)
      const acting = readActing(payload)
      return named && Number.isSafeInteger(exp) && acting?.verified !== false ? { subject: sub, issuer, acting } : null
    } catch {
      return null
    }
  }
}

function claimedIssuer(token: string): string | null {
  try {
    return decodeJwt(token).iss ?? null
  } catch {
    return null
  }
}
