/** What came back from Vault, held against what was asked. */
import { createPrivateKey, X509Certificate } from 'node:crypto'

/** What a token of a task was asked for. */
export interface AskedToken {
  readonly policies: readonly string[]
  /** Policies that may come unasked. */
  readonly surplus: readonly string[]
  /** Whole seconds. */
  readonly ttl: number
  /** False: nobody who gets hold of it may lengthen its life. */
  readonly renewable: boolean
}

type Facts = Readonly<Record<string, unknown>>

/** All policies that a token has, whether by itself or by its entity; null when that cannot be told. */
export function policiesOf({ policies, identity_policies: own, external_namespace_policies: elsewhere }: Facts): readonly string[] | null {
  const lists = [policies, own ?? []]
  const far = elsewhere === undefined || elsewhere === null ? [] : Object.keys(elsewhere)
  if (far.length > 0 || !lists.every((list) => Array.isArray(list) && list.every((name) => typeof name === 'string'))) return null
  return lists.flat()
}

/**
 * What a token says of itself (`auth/token/lookup-self`) that is wider than asked, in our words; null when nothing is. What a login's answer says of
 * itself would not do: what an entity adds stands in another member, and how long it can be renewed in none.
 */
export function tokenExcess(asked: AskedToken, facts: Facts): string | null {
  const { type, orphan, ttl, renewable, period } = facts
  const policies = policiesOf(facts)
  if (policies === null) return 'its policies cannot be told'
  if (policies.some((name) => !asked.policies.includes(name) && !asked.surplus.includes(name)))
    return 'it has policies that were not asked for'
  if (type !== 'service') return 'it is no service token, so that nothing can revoke it'
  if (orphan !== false) return 'it is an orphan, so that its login does not take it along'
  if (typeof ttl !== 'number' || ttl <= 0) return 'its expiry is not told'
  if (ttl > asked.ttl) return 'it lives longer than asked'
  if (typeof period === 'number' && period > 0) return 'it can be renewed for ever'
  if (!asked.renewable && renewable !== false) return 'it can be renewed'
  return null
}

/** A certificate that was asked for. */
export interface AskedCertificate {
  readonly commonName: string
  readonly altNames: readonly string[]
  readonly uris: readonly string[]
  /** Epoch ms, surplus counted in; null: its lease ends it, if anything must. */
  readonly end: number | null
}

/** The same of a certificate and its key. Throws when they cannot be read. */
export function certificateExcess(asked: AskedCertificate, pem: string, key: string): string | null {
  const certificate = new X509Certificate(pem)
  if (!certificate.checkPrivateKey(createPrivateKey(key))) return 'its key is another one'
  if (certificate.ca) return 'it is that of an authority'
  const names = [asked.commonName, ...asked.altNames]
  const allowed = new Set([...names.flatMap((name) => [`DNS:${name}`, `email:${name}`]), ...asked.uris.map((uri) => `URI:${uri}`)])
  const came = certificate.subjectAltName?.split(', ') ?? []
  if (came.some((name) => !allowed.has(name))) return 'it names more than was asked'
  const subjects = certificate.subject.split('\n').filter((line) => line.startsWith('CN='))
  if (subjects.some((line) => line !== `CN=${asked.commonName}`)) return 'it names somebody else'
  if (asked.end !== null && certificate.validToDate.getTime() > asked.end) return 'it lives longer than asked and nothing takes it back'
  return null
}

/** Epoch ms at which a certificate ends by itself. Throws when it cannot be read. */
export function certificateEnd(pem: string): number {
  return new X509Certificate(pem).validToDate.getTime()
}
