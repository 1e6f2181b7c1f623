/** A registration as a review reads it, from a configuration or from the admin API, and as `task.agents` takes it. */

import { stringify } from 'yaml'
import { isRecord, textAt, textsAt, valueAt, type JsonRecord } from '../author/json-path.ts'

/** What an agent may do at most. */
export interface Grant {
  readonly tools: readonly string[]
  readonly resources: readonly string[]
  readonly data: readonly string[]
  readonly egress: readonly string[]
  readonly budget: Readonly<Record<string, number>>
  /** Longest life of a task, ms. */
  readonly ttl: number
}

export interface Registration {
  /** SPIFFE ID, or a pattern. */
  readonly id: string
  readonly purpose: string
  readonly owners: Readonly<Record<string, string>> | null
  readonly autonomy: string
  readonly lifecycle: string
  readonly hosting: string
  readonly environment: string | null
  /** Epoch ms; null: never. */
  readonly validUntil: number | null
  readonly approvedUntil: number | null
  /** What `approved` says of model and toolchain. */
  readonly approved: Readonly<Record<string, string>>
  readonly reviewers: readonly { readonly role: string; readonly name: string; readonly outOfBounds: JsonRecord }[]
  readonly grant: Grant
  /** `implicit` in the words of the configuration. */
  readonly implicit: boolean | { readonly max: string }
  readonly opensFor: readonly string[]
  readonly labels: Readonly<Record<string, string>>
}

/**
 * Reads an agent of the running registry (`agentOf`) or of `GET /v1/agents`, which differ in how they write times. Null when it is no
 * agent.
 */
export function registrationOf(value: unknown): Registration | null {
  const [id, intent, ttl] = [textAt(value, 'id'), valueAt(value, 'intent'), valueAt(value, 'ttl')]
  if (id === '' || !isRecord(intent) || typeof ttl !== 'number') return null
  const owners = valueAt(value, 'owners')
  const reviewers = valueAt(value, 'reviewers')
  const environment = textAt(value, 'environment')
  const max = valueAt(value, 'implicit.max')
  return {
    id,
    purpose: textAt(value, 'purpose'),
    owners: isRecord(owners) ? textsOf(owners) : null,
    autonomy: textAt(value, 'autonomy'),
    lifecycle: textAt(value, 'lifecycle'),
    hosting: textAt(value, 'hosting'),
    environment: environment === '' ? null : environment,
    validUntil: momentAt(value, 'validUntil') ?? momentAt(value, 'valid_until'),
    approvedUntil: momentAt(value, 'approved.until'),
    approved: textsOf({ model: valueAt(value, 'approved.model'), toolchain: valueAt(value, 'approved.toolchain') }),
    reviewers: (Array.isArray(reviewers) ? reviewers : []).map((one: unknown) => {
      const outOfBounds = valueAt(one, 'outOfBounds')
      return { role: textAt(one, 'role'), name: textAt(one, 'name'), outOfBounds: isRecord(outOfBounds) ? outOfBounds : {} }
    }),
    grant: {
      tools: textsAt(intent, 'tools'),
      resources: textsAt(intent, 'resources'),
      data: textsAt(intent, 'data'),
      egress: textsAt(intent, 'egress'),
      budget: numbersOf(valueAt(intent, 'budget')),
      ttl,
    },
    implicit: typeof max === 'number' ? (max === ttl ? true : { max: duration(max) }) : false,
    opensFor: textsAt(value, 'opensFor'),
    labels: textsOf(valueAt(value, 'labels')),
  }
}

/** As an entry of `task.agents`. What is as it is by default is left out. */
export function declaredOf(one: Registration): JsonRecord {
  const { grant, owners, reviewers, approved, approvedUntil, validUntil, implicit } = one
  const until = approvedUntil === null ? {} : { until: new Date(approvedUntil).toISOString() }
  const said = { ...approved, ...until }
  const bounds = (role: string): JsonRecord =>
    Object.fromEntries(
      reviewers.filter((each) => each.role === role).map(({ name, outOfBounds }) => [role, { name, out_of_bounds: outOfBounds }]),
    )
  const reviewed = { ...bounds('legal'), ...bounds('compliance') }
  return {
    id: one.id,
    purpose: one.purpose,
    ...(owners !== null && { owners }),
    ...(Object.keys(reviewed).length > 0 && { reviewers: reviewed }),
    autonomy: one.autonomy,
    ...(one.lifecycle !== 'live' && { lifecycle: one.lifecycle }),
    ...(one.hosting !== 'own' && { hosting: one.hosting }),
    ...(one.environment !== null && { environment: one.environment }),
    ...(validUntil !== null && { valid_until: new Date(validUntil).toISOString() }),
    ...(Object.keys(said).length > 0 && { approved: said }),
    intent: { ...grant, ttl: duration(grant.ttl) },
    ...(implicit !== false && { implicit }),
    ...(one.opensFor.length > 0 && { opens_for: one.opensFor }),
    ...(Object.keys(one.labels).length > 0 && { labels: one.labels }),
  }
}

/** The same as YAML, one entry of the list. */
export function yamlOf(one: Registration): string {
  return stringify([declaredOf(one)], { lineWidth: 0 })
}

/** The longest unit that says it exactly. */
export function duration(ms: number): string {
  const units = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
  ] as const
  const unit = units.find(([, size]) => ms >= size && ms % size === 0)
  return unit === undefined ? `${ms}ms` : `${ms / unit[1]}${unit[0]}`
}

function momentAt(value: unknown, place: string): number | null {
  const found = valueAt(value, place)
  const time = typeof found === 'number' ? found : typeof found === 'string' ? Date.parse(found) : Number.NaN
  return Number.isNaN(time) ? null : time
}

function textsOf(value: unknown): Readonly<Record<string, string>> {
  const all = isRecord(value) ? Object.entries(value) : []
  return Object.fromEntries(all.filter((entry): entry is [string, string] => typeof entry[1] === 'string'))
}

function numbersOf(value: unknown): Readonly<Record<string, number>> {
  const all = isRecord(value) ? Object.entries(value) : []
  return Object.fromEntries(all.filter((entry): entry is [string, number] => typeof entry[1] === 'number'))
}
