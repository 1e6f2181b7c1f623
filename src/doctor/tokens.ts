/** Takes a JWT-SVID as an agent would, for our audience, and holds it to our own sources and to the Workload API's own judgement. */
import type { Caller, IdentitySource } from '../identify/identify.ts'
import { WorkloadApiFault, type JwtSvid, type WorkloadApi } from '../identify/workload-api/workload-api.ts'
import { Refusal } from '../refusal.ts'
import { error, ok, warning, type Check } from './findings.ts'
import type { Means } from './means.ts'
import { spanText } from './span.ts'

export interface TokenTrial {
  readonly subject: string
  readonly api: WorkloadApi
  /** SPIFFE ID that is asked for; null: whichever is given. */
  readonly id: string | null
  readonly audience: string
  readonly sources: readonly IdentitySource[]
  /** True when calls depend on the Workload API's judgement. */
  readonly oracle: boolean
  /** Ms that a token may be from our future. */
  readonly leeway: number
}

export async function tokenChecks(trial: TokenTrial, means: Means): Promise<Check[]> {
  const { api, id, audience, subject } = trial
  const { signal } = means
  let svid: JwtSvid | undefined
  try {
    svid = (await api.fetchJwtSvids(audience, { signal, ...(id === null ? {} : { id }) }))[0]
  } catch (fault) {
    if (!(fault instanceof WorkloadApiFault)) throw fault
    signal.throwIfAborted()
    return [ungiven(trial, fault)]
  }
  if (svid === undefined) return []
  const early = earlyCheck(svid, trial, means.clock())
  if (early !== null) return [early]
  const own = await judged(svid, trial)
  const oracle = await oracleChecks(svid, trial, means)
  const life = spanText(svid.expires - (svid.issuedAt ?? means.clock()))
  const well = ok(subject, `a JWT-SVID of ${svid.id.id} for ${audience} verifies here, it lives ${life}`)
  return own === null ? [well, ...oracle] : [own, ...oracle]
}

function ungiven({ subject, audience }: TokenTrial, { code, message }: WorkloadApiFault): Check {
  const wrong = {
    subject,
    seen: `no JWT-SVID for ${audience}: ${message}`,
    fix: 'Let the registration entry of this workload have JWT-SVIDs, and look at the log of the agent: agents that ask for the same audience may meet the same.',
  }
  // without JWT-SVIDs of its own, Countersign can still verify those of others
  return code === 'unimplemented' || code === 'permission-denied' ? warning('CS2301', wrong) : error('CS2301', wrong)
}

function earlyCheck({ id, issuedAt }: JwtSvid, { subject, leeway }: TokenTrial, now: number): Check | null {
  if (issuedAt === null || issuedAt <= now + leeway) return null
  return error('CS2201', {
    subject,
    seen: `a JWT-SVID of ${id.id} was issued ${spanText(issuedAt - now)} from now, which is more than identify.sources[].leeway allows`,
    fix: 'Our clock is behind that of the issuer: run NTP (chrony, systemd-timesyncd) on this host and on that of the SPIRE server.',
  })
}

/** As the identify stage asks: the first source that does not answer null decides. */
async function judged({ id, token }: JwtSvid, { sources, subject, audience }: TokenTrial): Promise<Check | null> {
  try {
    for (const source of sources) {
      const caller: Caller | null = await source.verify({ slot: 'authorization', token: token.reveal() })
      if (caller !== null) return null
    }
  } catch (fault) {
    if (!(fault instanceof Refusal)) throw fault
    return error('CS2302', {
      subject,
      seen: `a JWT-SVID of ${id.id} for ${audience} is refused here (${fault.code}): ${fault.detail ?? fault.title}`,
      fix: `Agents of ${id.trustDomain} meet the same. Compare the keys of the issuer with the bundle it hands out, and max_lifetime of the source with -jwtSVIDTTL of the entry.`,
    })
  }
  return warning('CS2302', {
    subject,
    seen: `a JWT-SVID of ${id.id} is nobody's here: no source verifies tokens of ${id.trustDomain}`,
    fix: `If agents are in ${id.trustDomain}, add it to trust_domains of the source of type spiffe; else there is nothing to do.`,
  })
}

async function oracleChecks({ id, token }: JwtSvid, trial: TokenTrial, { signal }: Means): Promise<Check[]> {
  const { api, audience, subject, oracle } = trial
  try {
    const validated = await api.validateJwtSvid(token.reveal(), audience, { signal })
    if (validated.id.id === id.id) return []
    return [disagreement(trial, `takes a JWT-SVID of ${id.id} for one of ${validated.id.id}`)]
  } catch (fault) {
    if (!(fault instanceof WorkloadApiFault)) throw fault
    signal.throwIfAborted()
    if (fault.code === 'unimplemented' && !oracle) return []
    return [disagreement({ subject, oracle }, `does not accept a JWT-SVID that it gave itself: ${fault.message}`)]
  }
}

function disagreement({ subject, oracle }: Pick<TokenTrial, 'subject' | 'oracle'>, what: string): Check {
  const wrong = {
    subject,
    seen: `ValidateJWTSVID ${what}`,
    fix: oracle
      ? 'With oracle: true every call is refused until it does: look at the log of the agent, or set oracle: false.'
      : 'Look at the log of the agent and at its clock; do not set oracle: true before it agrees.',
  }
  return oracle ? error('CS2303', wrong) : warning('CS2303', wrong)
}
