/** What `countersign doctor` says: what is well, and what is wrong with a code, what was seen and how to mend it. */

/** `note`: nothing breaks by it. `warning`: it will, or could. `error`: calls are refused, or will be as soon as they come. */
export type Severity = 'ok' | 'note' | 'warning' | 'error'

export interface Check {
  /** Null when all is well. */
  readonly code: DoctorCode | null
  readonly severity: Severity
  /** The setting, or the thing that was looked at. */
  readonly subject: string
  /** A sentence; holds no secret. */
  readonly seen: string
  /** One or two sentences that name the command or setting; null when all is well. */
  readonly fix: string | null
}

/** Every code that a finding may carry; each has its section in docs/doctor.md. */
export const doctorCodes = {
  CS2001: 'there is no usable address of the Workload API',
  CS2002: 'the socket is not there',
  CS2003: 'what is there is not a socket',
  CS2004: 'the socket may not be opened by this user',
  CS2005: 'nobody answers at the address',
  CS2006: 'what listens there does not answer as a Workload API',
  CS2007: 'the Workload API takes the client for faulty',
  CS2008: 'the Workload API does not serve a call',
  CS2009: 'the Workload API has no identity for this process',
  CS2010: 'an answer of the Workload API breaks the specification',
  CS2101: 'the identity that is configured is not given',
  CS2102: 'an X.509-SVID does not verify',
  CS2103: 'an X.509-SVID has expired',
  CS2104: 'an X.509-SVID is near its end and was not renewed',
  CS2105: 'an X.509-SVID lives very long',
  CS2106: 'several identities are given and none is chosen',
  CS2201: 'our clock is behind that of the issuer',
  CS2202: 'our clock and that of a server differ',
  CS2301: 'no JWT-SVID is given for the audience',
  CS2302: 'a JWT-SVID for the audience would be refused',
  CS2303: 'the Workload API does not accept a JWT-SVID of its own',
  CS2304: 'the audience is not the SPIFFE ID of this Countersign',
  CS2305: 'the audience is as wide as a trust domain',
  CS2306: 'the audience is in another trust domain',
  CS2401: 'no source has the trust domain',
  CS2402: 'a bundle is empty: all that it proved is revoked',
  CS2403: 'a bundle is unusable',
  CS2404: 'keys of a bundle were left out',
  CS2405: 'a trust domain has only one of the two kinds of keys',
  CS2501: 'a source cannot be opened',
  CS2502: 'a file of a source cannot be read',
  CS2503: 'a server of a source cannot be reached',
  CS2504: 'the certificate of a server is not trusted',
  CS2505: 'a bundle endpoint is not who it must be',
  CS2506: 'a server leads elsewhere',
  CS2507: 'a server does not give the document',
  CS2508: 'a key document cannot be used',
  CS2509: 'a bundle is older than one before',
  CS2510: 'a bundle has no sequence',
  CS2511: 'there is nothing to authenticate a bundle endpoint with',
  CS2512: 'what was kept of a bundle cannot be used',
  CS2513: 'a key document cannot be read, for another reason',
  CS2514: 'the API server of Kubernetes does not review tokens for us',
  CS2601: 'a certificate or key of a listener cannot be used',
  CS2602: 'a certificate of a listener has expired, or is not valid yet',
  CS2603: 'a certificate of a listener is near its end',
  CS2604: 'there is no X.509-SVID for what needs one',
  CS2701: 'an approval has lapsed',
  CS2702: 'an approval lapses soon',
  CS2801: 'a standing secret is lent to tasks',
  CS2802: 'a standing secret proves Countersign to others',
  CS2901: 'a record sink is behind',
  CS2902: 'the receiver of a record sink does not have lines',
} as const

export type DoctorCode = keyof typeof doctorCodes

export function ok(subject: string, seen: string): Check {
  return { code: null, severity: 'ok', subject, seen, fix: null }
}

/** What is wrong, before it is said how badly. */
export interface Wrong {
  readonly subject: string
  readonly seen: string
  readonly fix: string
}

export function note(code: DoctorCode, wrong: Wrong): Check {
  return { code, severity: 'note', ...wrong }
}

export function warning(code: DoctorCode, wrong: Wrong): Check {
  return { code, severity: 'warning', ...wrong }
}

export function error(code: DoctorCode, wrong: Wrong): Check {
  return { code, severity: 'error', ...wrong }
}
