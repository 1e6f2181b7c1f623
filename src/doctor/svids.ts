/** Looks at the X.509-SVIDs that a Workload API gave: which they are, whether they verify by our own rules, and how long they live. */
import { chosenSvid, type Choice } from '../identify/spiffe/spiffe-own.ts'
import type { X509Svid } from '../identify/workload-api/workload-api.ts'
import { InvalidSvid, verifyX509Svid } from '../identify/x509/svid.ts'
import { error, note, ok, warning, type Check } from './findings.ts'
import { spanText } from './span.ts'

export interface Given {
  readonly subject: string
  readonly svids: readonly X509Svid[]
  /** Null: there is no configuration to choose. */
  readonly choice: Choice | null
  readonly clock: () => number
}

const day = 86_400_000
/** Of a life: an issuer renews after half of it, so later than this something is stuck. */
const worn = 0.25

export function svidChecks(given: Given): Check[] {
  return [...choiceChecks(given), ...given.svids.flatMap((svid) => checksOf(svid, given))]
}

function choiceChecks({ subject, svids, choice }: Given): Check[] {
  const ids = svids.map(({ id, hint }) => (hint === '' ? id.id : `${id.id} (hint ${hint})`)).join(', ')
  if (choice === null) return []
  if (chosenSvid(svids, choice) === null) {
    const wanted = [choice.id, choice.hint === null ? null : `hint ${choice.hint}`].filter((one) => one !== null).join(', ')
    return [
      error('CS2101', {
        subject,
        seen: `${wanted} is configured, and not given; given are ${ids}`,
        fix: `Correct ${choice.id === null ? `${subject}.hint` : `${subject}.id`}, or make the registration entry of that ID fit this process ("spire-server entry show -spiffeID <ID>" shows its selectors).`,
      }),
    ]
  }
  if (svids.length < 2 || choice.id !== null || choice.hint !== null) return []
  return [
    note('CS2106', {
      subject,
      seen: `${svids.length} identities are given and the first is taken: ${ids}`,
      fix: `Say which is that of Countersign with ${subject}.id, so that another order changes nothing.`,
    }),
  ]
}

function checksOf(svid: X509Svid, { subject, clock }: Given): Check[] {
  const now = clock()
  try {
    const { expires, notBefore } = verifyX509Svid(svid.chain, svid.bundle, now)
    const lifeChecks = lifeOf(svid.id.id, subject, { notBefore, expires, now })
    const left = spanText(expires - now)
    const well = `${svid.id.id} verifies with the bundle of ${svid.id.trustDomain} (${svid.bundle.length} in it), ${left} left`
    return lifeChecks.length > 0 ? lifeChecks : [ok(subject, well)]
  } catch (fault) {
    if (!(fault instanceof InvalidSvid)) throw fault
    return [invalidCheck(svid, fault, subject, now)]
  }
}

interface Life {
  readonly notBefore: number
  readonly expires: number
  readonly now: number
}

function lifeOf(id: string, subject: string, { notBefore, expires, now }: Life): Check[] {
  const life = expires - notBefore
  if (expires - now < life * worn)
    return [
      warning('CS2104', {
        subject,
        seen: `${id} has ${spanText(expires - now)} left of ${spanText(life)}, and was not renewed`,
        fix: 'The agent cannot renew it: look at its log and at its way to the server ("spire-agent healthcheck"). Countersign has no identity from its end on.',
      }),
    ]
  if (life > day)
    return [
      note('CS2105', {
        subject,
        seen: `${id} lives ${spanText(life)}: whoever copies its key can use it for as long`,
        fix: 'Set a shorter -x509SVIDTTL on its registration entry, such as 3600 (an hour); rotation costs no call.',
      }),
    ]
  return []
}

function invalidCheck(svid: X509Svid, { why, message }: InvalidSvid, subject: string, now: number): Check {
  if (why === 'early' || svid.notBefore > now)
    return error('CS2201', {
      subject,
      seen: `${svid.id.id} is valid from ${new Date(svid.notBefore).toISOString()}, ${spanText(svid.notBefore - now)} from now`,
      fix: 'Our clock is behind that of the issuer: run NTP (chrony, systemd-timesyncd) on this host and on that of the SPIRE server.',
    })
  // else it is an authority above it that has expired
  if (why === 'expired' && svid.expires <= now)
    return error('CS2103', {
      subject,
      seen: `${svid.id.id} expired at ${new Date(svid.expires).toISOString()}, ${spanText(now - svid.expires)} ago`,
      fix: 'The agent does not renew it: look at its log and at its way to the server ("spire-agent healthcheck"). If others are fine, our clock is ahead: run NTP.',
    })
  return error('CS2102', {
    subject,
    seen: `${svid.id.id} does not verify with the bundle of ${svid.id.trustDomain}: ${message}`,
    fix: 'Peers refuse it as we do. Compare the CA of the issuer with the bundle that it hands out ("spire-server bundle show"); an upstream CA must set the extensions of X509-SVID §4.',
  })
}
