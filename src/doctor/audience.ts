/** Holds the audience against our own identity: tokens are for this Countersign alone when they name its SPIFFE ID. */
import { MalformedSpiffeId, parseSpiffeId, type SpiffeId } from '../identify/spiffe-id.ts'
import { note, ok, warning, type Check } from './findings.ts'

const subject = 'identify.audience'

/** `own`: the SPIFFE ID of this Countersign; null when it has none. */
export function audienceChecks(audience: string, own: string | null): Check[] {
  const id = idOf(audience)
  if (id !== null && id.path === '')
    return [
      warning('CS2305', {
        subject,
        seen: `${audience} is a whole trust domain: a token for it can be played again at every service that takes it`,
        fix: `Set identify.audience to ${own === null ? 'the SPIFFE ID of this Countersign' : own} and have agents ask for that.`,
      }),
    ]
  if (own === null) return []
  if (audience === own) return [ok(subject, `${audience} is our own SPIFFE ID`)]
  const domain = parseSpiffeId(own).trustDomain
  const fix = `Set identify.audience to ${own} and have agents ask for that, or set id of the source of type spiffe to the identity that is meant.`
  if (id !== null && id.trustDomain !== domain)
    return [warning('CS2306', { subject, seen: `${audience} is in ${id.trustDomain}, while we are ${own}`, fix })]
  const seen = `${audience} is not our own SPIFFE ID, ${own}: nothing says that tokens for it are for this Countersign alone`
  return [id === null ? note('CS2304', { subject, seen, fix }) : warning('CS2304', { subject, seen, fix })]
}

/** Null for an audience of another kind, which is allowed. A trailing slash still means the trust domain. */
function idOf(audience: string): SpiffeId | null {
  try {
    return parseSpiffeId(audience.replace(/^(spiffe:\/\/[^/]+)\/$/, '$1'))
  } catch (fault) {
    if (fault instanceof MalformedSpiffeId) return null
    throw fault
  }
}
