/** Name constraints (RFC 5280 §4.2.1.10, X509-SVID §4.2), of which only those on URIs can be processed here. */
import type { Certificate } from './certificate.ts'
import type { GeneralName, NameForm } from './names.ts'
import type { Fault } from './rules.ts'

/** emailAddress in a subject (RFC 5280 §4.2.1.10), as it stands in the hex of a name. */
const emailInSubject = '06092a864886f70d010901'

/** Why the names of a certificate break what a CA above it allows; null when they do not. */
export function constraintsFault(signer: Certificate, below: Certificate): Fault | null {
  const constraints = signer.extensions.nameConstraints
  if (constraints === null) return null
  const { permitted, excluded } = constraints
  const formsBelow = formsOf(below)
  for (const { form } of [...permitted, ...excluded]) {
    // processed or refused, also when not critical: whoever wrote it meant it
    if (form !== 'uri' && formsBelow.has(form)) return fault(`a CA constrains names of form ${form}, which is not processed here`)
  }
  const allowed = permitted.filter(isUri)
  const forbidden = excluded.filter(isUri)
  if (allowed.length === 0 && forbidden.length === 0) return null
  if (![...allowed, ...forbidden].every(({ text }) => isHostConstraint(text)))
    return fault('a CA constrains URIs with something other than a host')
  for (const { text } of below.extensions.names.filter(isUri)) {
    const host = hostOf(text)
    if (host === null) return fault('a CA constrains the hosts of URIs, and a URI has none')
    if (forbidden.some((one) => matches(host, one.text))) return fault('a CA excludes the host of a URI')
    if (allowed.length > 0 && !allowed.some((one) => matches(host, one.text))) return fault('a CA does not permit the host of a URI')
  }
  return null
}

function fault(detail: string): Fault {
  return { why: 'constraints', detail }
}

function isUri({ form }: GeneralName): boolean {
  return form === 'uri'
}

function formsOf({ extensions, subject, subjectIsEmpty }: Certificate): ReadonlySet<NameForm> {
  const forms = new Set(extensions.names.map(({ form }) => form))
  if (!subjectIsEmpty) forms.add('directory')
  if (subject.includes(emailInSubject)) forms.add('email')
  return forms
}

/** A host, or a dot and a domain. */
function isHostConstraint(text: string): boolean {
  return /^\.?[a-z0-9_-]+(\.[a-z0-9_-]+)*$/i.test(text)
}

/** Without user and port; null for no host and for an address, which §4.2.1.10 refuses. */
function hostOf(uri: string): string | null {
  const host = /^[a-z][a-z0-9+.-]*:\/\/(?:[^/?#@]*@)?([^/?#@:[\]]+)(?::\d*)?(?:[/?#]|$)/i.exec(uri)?.[1]
  return host === undefined || /^[\d.]+$/.test(host) ? null : host.toLowerCase()
}

/** `.acme.example` is every host below acme.example; `acme.example` is that one alone. */
function matches(host: string, constraint: string): boolean {
  const wanted = constraint.toLowerCase()
  return wanted.startsWith('.') ? host.length > wanted.length && host.endsWith(wanted) : host === wanted
}
