/** Settings that every source of one trust domain's SVIDs has. */
import { z } from 'zod'
import { durationBetween } from '../../units.ts'
import type { TokenRules } from '../jwt/claims.ts'
import type { IdentifyServices } from '../source.ts'
import { isTrustDomain } from '../spiffe-id.ts'

export const trustDomainName = z.string().refine(isTrustDomain, 'must be a trust domain name such as acme.example')

/** Members for a source's schema. */
export const svidSettings = {
  max_lifetime: durationBetween(1000, 86_400_000).optional().describe('Tokens valid for longer are refused.'),
  leeway: durationBetween(0, 30_000).default(5000).describe('How far nbf and iat may lie ahead of our clock; never given to exp.'),
  max_age: durationBetween(10_000, 604_800_000).default(3_600_000).describe('How long keys serve when they cannot be read again.'),
}

/** As they come out of the schema; ms. */
export interface SvidSettings {
  readonly trust_domain: string
  readonly max_lifetime?: number | undefined
  readonly leeway: number
  readonly max_age: number
}

/** What tokens are held to; warns of an audience that says too little. */
export function svidRules(settings: Omit<SvidSettings, 'max_age'>, { audience, log }: IdentifyServices): TokenRules {
  const domain = `spiffe://${settings.trust_domain}`
  if (audience === '') throw new Error('identify.audience is empty: every token would have to be refused')
  // JWT-SVID §3.2: a token for an audience as wide as the trust domain can be replayed at every service in it
  if (audience === domain || audience === `${domain}/`)
    log.warn({ audience }, 'identify.audience is a whole trust domain: name this Countersign alone')
  return { audience, leeway: settings.leeway, maxLifetime: settings.max_lifetime ?? null }
}
