/** Looks at the bundles that a Workload API gave: what is empty, unusable or only half there. */
import { readKeySet } from '../identify/bundle/bundles.ts'
import type { Answers } from './workload-api.ts'
import { InvalidSvid, readAuthority } from '../identify/x509/svid.ts'
import { error, note, ok, warning, type Check } from './findings.ts'

export interface GivenBundles {
  readonly subject: string
  readonly answers: Pick<Answers, 'x509' | 'jwt'>
  /** Those that count; others belong to another source or are not believed. */
  readonly believes: (trustDomain: string) => boolean
  /** True for a trust domain that agents are registered in: it matters whether its bundle is any good. */
  readonly needed: (trustDomain: string) => boolean
}

/** The trust domains of which anything was given. */
export function givenDomains({ answers: { x509, jwt }, believes }: Pick<GivenBundles, 'answers' | 'believes'>): readonly string[] {
  return [...new Set([...(x509?.bundles.keys() ?? []), ...(jwt?.keys() ?? [])])].filter(believes).sort()
}

export function bundleChecks(given: GivenBundles): Check[] {
  return givenDomains(given).flatMap((trustDomain) => {
    const { x509, jwt } = given.answers
    const authorities = x509?.bundles.get(trustDomain) ?? null
    const jwks = jwt?.get(trustDomain) ?? null
    const checks = [
      ...(authorities === null ? [] : authorityChecks(trustDomain, authorities, given)),
      ...(jwks === null ? [] : keyChecks(trustDomain, jwks, given)),
      ...halfChecks(trustDomain, { authorities, jwks }, given),
    ]
    return checks.length > 0 ? checks : [ok(given.subject, `the bundles of ${trustDomain} are good`)]
  })
}

/** Of one kind of bundle: nothing in it revokes everything, as long as that is what was meant. */
export function emptyCheck(trustDomain: string, kind: string, { subject, needed }: Pick<GivenBundles, 'subject' | 'needed'>): Check {
  const wrong = {
    subject,
    seen: `the ${kind} of ${trustDomain} is empty: whatever it proved is revoked`,
    fix: `If that was not meant, have ${trustDomain} publish its keys again (SPIRE shows what it has with "spire-server bundle show -format spiffe").`,
  }
  return needed(trustDomain) ? error('CS2402', wrong) : warning('CS2402', wrong)
}

/** Entries that cannot be used while others can. */
export function leftOutCheck(trustDomain: string, leftOut: readonly string[], subject: string): Check {
  return warning('CS2404', {
    subject,
    seen: `of the bundle of ${trustDomain} ${leftOut.length} ${leftOut.length === 1 ? 'entry is' : 'entries are'} not used: ${leftOut.slice(0, 3).join('; ')}`,
    fix: 'What those entries prove is refused. Have them replaced by keys that the specification allows: ES256 or RSA of 2048 bits and more, authorities with keyCertSign.',
  })
}

function authorityChecks(trustDomain: string, authorities: readonly Uint8Array[], given: GivenBundles): Check[] {
  if (authorities.length === 0) return [emptyCheck(trustDomain, 'X.509 bundle', given)]
  const unfit = authorities.flatMap((der) => unfitness(der) ?? [])
  if (unfit.length < authorities.length) return unfit.length === 0 ? [] : [leftOutCheck(trustDomain, unfit, given.subject)]
  return [unusable(trustDomain, 'X.509 bundle', `none of its ${authorities.length} is fit to be an authority: ${unfit[0] ?? ''}`, given)]
}

function unfitness(der: Uint8Array): string | null {
  try {
    readAuthority(der)
    return null
  } catch (fault) {
    if (fault instanceof InvalidSvid) return fault.message
    throw fault
  }
}

function keyChecks(trustDomain: string, jwks: string, given: GivenBundles): Check[] {
  try {
    const { keys, leftOut } = readKeySet(jwks, null)
    if (keys.size === 0 && leftOut.length === 0) return [emptyCheck(trustDomain, 'JWT bundle', given)]
    if (keys.size === 0) return [unusable(trustDomain, 'JWT bundle', `no key in it may be used: ${leftOut[0] ?? ''}`, given)]
    return leftOut.length === 0 ? [] : [leftOutCheck(trustDomain, leftOut, given.subject)]
  } catch (fault) {
    return [unusable(trustDomain, 'JWT bundle', fault instanceof Error ? fault.message : 'unknown', given)]
  }
}

function unusable(trustDomain: string, kind: string, why: string, { subject, needed }: GivenBundles): Check {
  const wrong = {
    subject,
    seen: `the ${kind} of ${trustDomain} is unusable: ${why}`,
    fix: `Nothing of ${trustDomain} is believed by it. Look at what the server publishes ("spire-server bundle show -format spiffe -id spiffe://${trustDomain}").`,
  }
  return needed(trustDomain) ? error('CS2403', wrong) : warning('CS2403', wrong)
}

/** Where both kinds are served, a trust domain that has only one of them is often half set up. */
function halfChecks(
  trustDomain: string,
  { authorities, jwks }: { readonly authorities: unknown; readonly jwks: unknown },
  { subject, answers }: GivenBundles,
): Check[] {
  if (answers.x509 === null || answers.jwt === null || (authorities !== null && jwks !== null)) return []
  return [halfCheck(trustDomain, authorities === null ? 'X.509' : 'JWT', subject)]
}

export function halfCheck(trustDomain: string, missing: 'X.509' | 'JWT', subject: string): Check {
  const way = missing === 'JWT' ? 'by JWT-SVIDs' : 'by X.509-SVIDs over mTLS'
  return note('CS2405', {
    subject,
    seen: `${trustDomain} has no ${missing} keys: its workloads cannot prove themselves ${way}`,
    fix: `If they should, have ${trustDomain} publish them; else there is nothing to do.`,
  })
}
