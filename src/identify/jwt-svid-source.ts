import { hash } from 'node:crypto'
import { z } from 'zod'
import { durationBetween } from '../units.ts'
import type { Caller, IdentitySource, Presented } from './identify.ts'
import { checkClaims, checkSignature, readJwtSvid } from './jwt-svid.ts'
import type { ReadSvid, SvidRules } from './jwt-svid.ts'
import { isKeyUrl, keyDocument } from './key-document.ts'
import { KeySource } from './key-source.ts'
import type { VerifyKey } from './keys.ts'
import { rejected, shown } from './rejected.ts'
import { defineSource } from './source.ts'
import type { IdentifyServices } from './source.ts'
import { isTrustDomain, isTrustDomainByte } from './spiffe-id.ts'
import { claimedSubject } from './token-shape.ts'

const file = z.strictObject({ file: z.string().min(1).describe('Path; read again when it changes.') })
const url = z.strictObject({
  url: z
    .string()
    .refine(isKeyUrl, 'must be an https URL, or http on loopback, without user or fragment')
    .describe('Redirects are not followed.'),
})

const config = z
  .strictObject({
    type: z.literal('jwt-svid'),
    trust_domain: z
      .string()
      .refine(isTrustDomain, 'must be a trust domain name such as acme.example')
      .describe('The one trust domain whose workloads these keys prove.'),
    keys: z.union([file, url]).describe('Its SPIFFE bundle or JWKS.'),
    format: z.enum(['bundle', 'jwks']).optional().describe('Default: bundle when the document has SPIFFE members, else jwks.'),
    max_lifetime: durationBetween(1000, 86_400_000).optional().describe('Tokens valid for longer are refused.'),
    leeway: durationBetween(0, 30_000).default(5000).describe('How far nbf and iat may lie ahead of our clock; never given to exp.'),
    max_age: durationBetween(10_000, 604_800_000).default(3_600_000).describe('How long keys serve when they cannot be read again.'),
  })
  .describe('JWT-SVIDs of one trust domain, verified with keys from a file or URL.')

export type JwtSvidConfig = z.infer<typeof config>

/** JWT-SVIDs of one trust domain. */
export const jwtSvid = defineSource({ type: 'jwt-svid', config, open })

const fileInterval = 2000

function open(settings: JwtSvidConfig, services: IdentifyServices): IdentitySource {
  const { audience, clock, log } = services
  const trustDomain = settings.trust_domain
  if (audience === '') throw new Error('identify.audience is empty: every token would have to be refused')
  // JWT-SVID §3.2: a token for an audience as wide as the trust domain can be replayed at every service in it
  if (audience === `spiffe://${trustDomain}` || audience === `spiffe://${trustDomain}/`)
    log.warn({ audience }, 'identify.audience is a whole trust domain: name this Countersign alone')
  const keys = new KeySource({
    document: keyDocument('file' in settings.keys ? { file: services.path(settings.keys.file) } : settings.keys, services.fetch),
    format: settings.format ?? null,
    maxAge: settings.max_age,
    interval: 'file' in settings.keys ? fileInterval : null,
    clock,
    log,
    trustDomain,
  })
  return new JwtSvidSource(trustDomain, keys, { audience, leeway: settings.leeway, maxLifetime: settings.max_lifetime ?? null }, clock)
}

class JwtSvidSource implements IdentitySource {
  readonly type = 'jwt-svid'
  readonly #trustDomain: string
  readonly #prefix: string
  readonly #keys: KeySource
  readonly #rules: SvidRules
  readonly #clock: () => number

  constructor(trustDomain: string, keys: KeySource, rules: SvidRules, clock: () => number) {
    this.#trustDomain = trustDomain
    this.#prefix = `spiffe://${trustDomain}`
    this.#keys = keys
    this.#rules = rules
    this.#clock = clock
  }

  /** Rules before keys: only a token that would pass with the right signature can make us read keys again. */
  verify({ token }: Presented): Caller | null | Promise<Caller | null> {
    if (!this.#isMine(token)) return null
    const svid = readJwtSvid(token)
    if (svid.subject.trustDomain !== this.#trustDomain) return null
    checkClaims(svid, this.#rules, this.#clock())
    const key = this.#keys.find(svid.kid)
    return key instanceof Promise ? key.then((found) => this.#finish(token, svid, found)) : this.#finish(token, svid, key)
  }

  generation(): number {
    return this.#keys.generation()
  }

  ready(): boolean {
    return this.#keys.ready()
  }

  close(): void {
    this.#keys.close()
  }

  /** Mine is also what only starts with my trust domain and then goes wrong, such as a port; never another, longer name. */
  #isMine(token: string): boolean {
    const subject = claimedSubject(token)
    if (subject === null || !subject.startsWith(this.#prefix)) return false
    return subject.length === this.#prefix.length || !isTrustDomainByte(subject.charCodeAt(this.#prefix.length))
  }

  #finish(token: string, svid: ReadSvid, key: VerifyKey | null): Caller {
    if (key === null) throw rejected('signature', `${this.#trustDomain} has no key ${shown(svid.kid)}`)
    checkSignature(svid, key)
    checkClaims(svid, this.#rules, this.#clock())
    return {
      id: svid.subject.id,
      trustDomain: svid.subject.trustDomain,
      method: 'jwt-svid',
      confirmed: 'bearer',
      issuer: svid.issuer,
      expires: svid.expires,
      proof: `sha256:${hash('sha256', token)}`,
      claims: {},
    }
  }
}
