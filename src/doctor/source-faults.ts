/** Says of a key document that could not be read what to do about it. */
import type { KeyFaultKind, KeyReport } from '../identify/keys/key-report.ts'
import type { Check, DoctorCode } from './findings.ts'
import { spanText } from './span.ts'

interface Advice {
  readonly code: DoctorCode
  /** `at` is the source in the configuration. */
  readonly fix: (at: string) => string
}

const advice: Readonly<Record<KeyFaultKind, Advice>> = {
  file: {
    code: 'CS2502',
    fix: (at) => `Correct the path in ${at} (relative ones start at the configuration's folder), or let this user read the file.`,
  },
  unreachable: {
    code: 'CS2503',
    fix: (at) =>
      `Check host and port of the URL in ${at}, and that the network and its policies let this host reach it: "curl -v <URL>" from here.`,
  },
  certificate: {
    code: 'CS2504',
    fix: (at) =>
      `If an authority of your own signed it, name it with ${at}.from.ca (or NODE_EXTRA_CA_CERTS); if it has expired or is for another name, have it replaced. A bundle endpoint with an X.509-SVID takes profile: https_spiffe.`,
  },
  identity: {
    code: 'CS2505',
    fix: (at) =>
      `Ask whoever runs the endpoint for its SPIFFE ID, and set ${at}.from.id to it; after a change of their CA, replace ${at}.from.bootstrap by their bundle as it now is. If nobody changed anything, somebody else answers.`,
  },
  unproven: {
    code: 'CS2511',
    fix: (at) =>
      `Get the bundle of that trust domain from whoever runs it and name it with ${at}.from.bootstrap: { file }, or mend the source that has that trust domain.`,
  },
  status: {
    code: 'CS2507',
    fix: (at) =>
      `Correct the path of the URL in ${at}: "curl -i <URL>" shows what is there. The endpoint has to answer 200 without credentials.`,
  },
  redirect: {
    code: 'CS2506',
    fix: (at) => `Put the final URL into ${at}. Only a bundle endpoint may redirect, three times and to https.`,
  },
  malformed: {
    code: 'CS2508',
    fix: (at) =>
      `Look at the document: a SPIFFE bundle or JWKS in strict JSON of at most 1 MiB, with "keys". ${at} may name a page for people instead.`,
  },
  sequence: {
    code: 'CS2509',
    fix: () =>
      'An old bundle was served: by a cache, by a replica that is behind, or by an attacker. Ask the trust domain; if it started anew, delete the file in from.cache and restart.',
  },
  other: {
    code: 'CS2513',
    fix: (at) => `Compare ${at} with what whoever runs the server says, and try the URL with curl.`,
  },
}

/** What the last reading failed with. Keys from before make it less urgent, as long as they serve. */
export function faultChecks(
  report: KeyReport,
  subject: string,
  { maxAge, now }: { readonly maxAge: number; readonly now: number },
): Check[] {
  const { fault, newest, place } = report
  if (fault === null) return []
  const { code, fix } = advice[fault.kind]
  const serves = newest?.usable === true
  const kept = serves
    ? `; what was read ${spanText(now - newest.readAt)} ago serves for another ${spanText(maxAge - (now - newest.readAt))}`
    : ''
  return [
    { code, severity: serves ? 'warning' : 'error', subject, seen: `${place} could not be read: ${fault.text}${kept}`, fix: fix(subject) },
  ]
}
