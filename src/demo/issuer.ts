import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT } from 'jose'

/** A development trust domain with its own key: mints JWT-SVIDs for workloads on one machine. Never for production. */
export interface DevelopmentIssuer {
  readonly trustDomain: string
  /** Its SPIFFE bundle document (SPIFFE Trust Domain and Bundle §4). */
  readonly bundle: string
  /** A JWT-SVID for `id`, meant for `audience`, that lives `seconds`. */
  mint(id: string, audience: string, seconds: number): Promise<string>
}

/** Makes a trust domain with a fresh ES256 key that lives as long as the process. */
export async function developmentIssuer(trustDomain: string): Promise<DevelopmentIssuer> {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
  const jwk = await exportJWK(publicKey)
  const kid = await calculateJwkThumbprint(jwk)
  return {
    trustDomain,
    bundle: JSON.stringify({ keys: [{ ...jwk, kid, use: 'jwt-svid' }], spiffe_sequence: 1, spiffe_refresh_hint: 300 }, null, 2),
    mint: (id, audience, seconds) => {
      const now = Math.floor(Date.now() / 1000)
      return new SignJWT({})
        .setProtectedHeader({ alg: 'ES256', kid, typ: 'JWT' })
        .setSubject(id)
        .setAudience(audience)
        .setIssuedAt(now)
        .setExpirationTime(now + seconds)
        .sign(privateKey)
    },
  }
}
