/** Identity from a SPIFFE Workload API, whoever serves it: keys of trust domains to verify with, and an SVID of our own. */
import { z } from 'zod'
import { Refusal } from '../../refusal.ts'
import type { TlsPeer } from '../../listen/call.ts'
import { readKeySet } from '../bundle/bundles.ts'
import type { KeySet } from '../bundle/bundles.ts'
import type { Caller, IdentitySource, Presented } from '../identify.ts'
import { defineSource } from '../source.ts'
import type { IdentifyServices } from '../source.ts'
import { isTrustDomainByte, isWorkloadId } from '../spiffe-id.ts'
import { Oracle } from './oracle.ts'
import { StreamedIdentity } from './spiffe-own.ts'
import { Streamed } from './streamed.ts'
import { svidRules, svidSettings, trustDomainName } from '../jwt-svid/svid-settings.ts'
import { verifySvid } from '../jwt-svid/svid-verifier.ts'
import type { SvidVerifier } from '../jwt-svid/svid-verifier.ts'
import { claimedSubject } from '../token-shape.ts'
import type { JwtBundles } from '../workload-api/jwt-answers.ts'
import type { WatchEvent } from '../workload-api/watch.ts'
import { openWorkloadApi } from '../workload-api/workload-api.ts'
import type { WorkloadApi } from '../workload-api/workload-api.ts'
import type { X509Context } from '../workload-api/x509-context.ts'
import { peerCaller } from '../x509/peer.ts'

const config = z
  .strictObject({
    type: z.literal('spiffe'),
    socket: z
      .string()
      .min(1)
      .optional()
      .describe('Address of the Workload API: unix:/path or tcp://ip:port; default: the variable SPIFFE_ENDPOINT_SOCKET.'),
    id: z
      .string()
      .refine(isWorkloadId, 'must be the SPIFFE ID of a workload')
      .optional()
      .describe('Which SVID Countersign shows of itself, when it is given several; default: the first.'),
    hint: z.string().min(1).optional().describe('The same by the hint that the operator of the Workload API set.'),
    trust_domains: z
      .array(trustDomainName)
      .min(1)
      .optional()
      .describe('Only workloads of these trust domains are believed; default: all that the Workload API has bundles of.'),
    oracle: z
      .boolean()
      .default(false)
      .describe('Every new token is also shown to the Workload API (ValidateJWTSVID), which must agree. One call per token.'),
    ...svidSettings,
  })
  .describe('SVIDs of every trust domain that a SPIFFE Workload API knows (SPIRE, Istio), and the SVID of Countersign itself.')

export type SpiffeConfig = z.infer<typeof config>

/** The Workload API as a source. */
export const spiffe = defineSource({ type: 'spiffe', config, open })

/** Ms of the longest wait between tries: after an outage calls go on within 5 s. */
const maxBackoff = 3000
/** Ms for an answer to ValidateJWTSVID. */
const patience = 2000

function open(settings: SpiffeConfig, services: IdentifyServices): IdentitySource {
  const { env, clock } = services
  const address = settings.socket === undefined ? {} : { address: settings.socket }
  return new SpiffeSource(settings, services, openWorkloadApi({ ...address, env, clock, maxBackoff, timeout: patience }))
}

class SpiffeSource implements IdentitySource {
  readonly type = 'spiffe'
  readonly own: StreamedIdentity
  readonly #settings: SpiffeConfig
  readonly #services: IdentifyServices
  readonly #api: WorkloadApi
  /** Null: it is not asked. */
  readonly #oracle: Oracle | null
  readonly #x509: Streamed<X509Context>
  readonly #jwt: Streamed<ReadonlyMap<string, SvidVerifier>>
  /** By trust domain. Written by `#rulesOf` alone. */
  readonly #rules = new Map<string, SvidVerifier['rules']>()
  /** Grows with every change of what may verify. Written by `#x509Told` and `#jwtTold` alone. */
  #changes = 0
  #closed = false

  constructor(settings: SpiffeConfig, services: IdentifyServices, api: WorkloadApi) {
    const { clock } = services
    this.#settings = settings
    this.#services = services
    this.#api = api
    this.#oracle = settings.oracle ? new Oracle({ api, audience: services.audience, clock }) : null
    this.#x509 = new Streamed(settings.max_age, clock)
    this.#jwt = new Streamed(settings.max_age, clock)
    this.own = new StreamedIdentity({ id: settings.id ?? null, hint: settings.hint ?? null }, clock, api)
    api.watchX509Context((event) => this.#x509Told(event))
    api.watchJwtBundles((event) => this.#jwtTold(event))
  }

  /** Workload API §6.3: the bundle of the subject's trust domain; without one the token is nobody's here. */
  verify({ token }: Presented): Caller | null | Promise<Caller | null> {
    const trustDomain = subjectDomain(token)
    if (trustDomain === null || !this.#believes(trustDomain)) return null
    const verifiers = this.#jwt.usable()
    if (verifiers === null) throw this.#unavailable('JWT bundles')
    const verifier = verifiers.get(trustDomain)
    if (verifier === undefined) return null
    const caller = verifySvid(token, verifier)
    return this.#oracle === null ? caller : this.#confirm(this.#oracle, token, caller)
  }

  verifyPeer(peer: TlsPeer, now: number): Caller | null {
    return peerCaller(peer, (trustDomain) => this.#bundleOf(trustDomain), now)
  }

  authorities(trustDomain: string): readonly Uint8Array[] | null {
    return this.#believes(trustDomain) ? (this.#x509.usable()?.bundles.get(trustDomain) ?? null) : null
  }

  /** Which of the two streams is usable is part of it: what one of them proved ends with it. */
  generation(): number {
    const jwt = this.#jwt.usable() !== null
    const x509 = this.#x509.usable() !== null
    return jwt || x509 ? this.#changes * 4 + (jwt ? 2 : 0) + (x509 ? 1 : 0) : -1
  }

  /** An endpoint that serves only one of the two profiles is ready with that one. */
  ready(): boolean {
    const x509 = this.#x509.usable() !== null
    const jwt = this.#jwt.usable() !== null
    return (x509 || jwt) && (x509 || !this.#x509.served) && (jwt || !this.#jwt.served)
  }

  close(): void {
    this.#closed = true
    this.#api.close()
  }

  #believes(trustDomain: string): boolean {
    return isBelieved(this.#settings, this.#services.claimed, trustDomain)
  }

  #bundleOf(trustDomain: string): readonly Uint8Array[] | null {
    if (!this.#believes(trustDomain)) return null
    const context = this.#x509.usable()
    if (context === null) throw this.#unavailable('X.509 bundles')
    return context.bundles.get(trustDomain) ?? null
  }

  async #confirm(oracle: Oracle, token: string, verified: Caller | null | Promise<Caller | null>): Promise<Caller | null> {
    const caller = await verified
    if (caller !== null) await oracle.agree(token, caller)
    return caller
  }

  #x509Told(event: WatchEvent<X509Context>): void {
    this.#say('X.509-SVIDs', event)
    if (!this.#x509.take(event)) return
    this.#changes += 1
    const context = this.#x509.usable()
    this.own.take(context)
    const own = this.own.current()
    const { log } = this.#services
    if (own !== null) log.info({ id: own.id, expires: new Date(own.expires).toISOString() }, 'an X.509-SVID of our own is here')
    else if (context !== null)
      log.error({ given: context.svids.map(({ id }) => id.id) }, 'none of the X.509-SVIDs given is the one configured')
  }

  #jwtTold(event: WatchEvent<JwtBundles>): void {
    this.#say('JWT bundles', event)
    const read: WatchEvent<ReadonlyMap<string, SvidVerifier>> =
      event.kind === 'update' ? { kind: 'update', value: this.#verifiersOf(event.value) } : event
    if (this.#jwt.take(read)) this.#changes += 1
  }

  #verifiersOf(bundles: JwtBundles): ReadonlyMap<string, SvidVerifier> {
    const { clock } = this.#services
    const verifiers = new Map<string, SvidVerifier>()
    for (const [trustDomain, text] of bundles) {
      if (!this.#believes(trustDomain)) continue
      const { keys } = this.#keysOf(trustDomain, text)
      const keyed = { find: (kid: string) => keys.get(kid) ?? null }
      verifiers.set(trustDomain, { trustDomain, keys: keyed, rules: this.#rulesOf(trustDomain), clock })
    }
    return verifiers
  }

  /** Made once, since what is wrong with an audience is said once. */
  #rulesOf(trustDomain: string): SvidVerifier['rules'] {
    let rules = this.#rules.get(trustDomain)
    if (rules === undefined)
      this.#rules.set(trustDomain, (rules = svidRules({ ...this.#settings, trust_domain: trustDomain }, this.#services)))
    return rules
  }

  /** A bundle that cannot be read proves nothing; those of other trust domains are none the worse for it. */
  #keysOf(trustDomain: string, text: string): Pick<KeySet, 'keys'> {
    const { log } = this.#services
    try {
      const read = readKeySet(text, null)
      if (read.leftOut.length > 0) log.warn({ trustDomain, leftOut: read.leftOut }, 'keys that must not be used were left out')
      return read
    } catch (error) {
      log.error({ trustDomain, fault: error instanceof Error ? error.message : 'unknown' }, 'a JWT bundle of the Workload API is unusable')
      return { keys: new Map() }
    }
  }

  #unavailable(what: string): Refusal {
    return new Refusal('identify.unavailable', { detail: `the Workload API has given no usable ${what}` })
  }

  #say(what: string, event: WatchEvent<unknown>): void {
    if (this.#closed || event.kind === 'update') return
    const { log } = this.#services
    const { kind, why } = event
    if (kind === 'unavailable')
      log.warn({ what, why }, 'the Workload API cannot be reached; what it gave before serves until it is too old')
    else if (kind === 'discarded') log.warn({ what, why }, 'a message of the Workload API was discarded')
    else if (kind === 'redacted')
      log.error({ what, why }, 'the Workload API took back what it gave, or has nothing for us; it is asked again')
    else log.error({ what, why }, 'the Workload API does not serve us; it is not asked again')
  }
}

/** Whether a source's word counts for a trust domain: none that the configuration gives to another (`claimed`), nor one it does not list. */
export function isBelieved(
  { trust_domains: listed }: Pick<SpiffeConfig, 'trust_domains'>,
  claimed: ReadonlySet<string>,
  trustDomain: string,
): boolean {
  return !claimed.has(trustDomain) && (listed?.includes(trustDomain) ?? true)
}

/** The trust domain of a token's unverified subject; null when that is no SPIFFE ID. It chooses whose keys are asked, nothing else. */
function subjectDomain(token: string): string | null {
  const subject = claimedSubject(token)
  const scheme = 'spiffe://'
  if (subject === null || !subject.startsWith(scheme)) return null
  let end = scheme.length
  while (end < subject.length && isTrustDomainByte(subject.charCodeAt(end))) end++
  return end === scheme.length ? null : subject.slice(scheme.length, end)
}
