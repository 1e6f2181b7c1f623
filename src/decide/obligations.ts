/** What policy may oblige the host to do besides letting a call through or not. A closed set; one that is not in it refuses the call. */

import type { RateLimit } from '../state/mint.ts'
import type { Entrypoint } from './engine.ts'
import { closed, list, malformed, names, oneOf, pattern, printable, record, sentence, whole } from './shape.ts'

interface Typed<Type extends string, Properties> {
  /** Unique within a decision. */
  readonly id: string
  readonly type: Type
  readonly properties: Properties
}

/** Places in a JSON document, as JSON pointers (RFC 6901) with at least one segment; a segment `*` stands for every member or item. */
export interface Places {
  readonly paths: readonly string[]
}

/** Less than the provider offers: scopes, ms of life, audience. */
export interface Narrowing {
  readonly scopes?: readonly string[]
  readonly ttl?: number
  readonly audience?: string
}

export type Obligation =
  /** Strings in the answer become stars, other values null. An answer that cannot be masked is refused. */
  | Typed<'mask_response', Places>
  /** Members and items go from the answer. */
  | Typed<'drop_response_fields', Places>
  /** The same as masking, in the judged body of the request; the record keeps both digests. */
  | Typed<'redact_request', Places>
  | Typed<'narrow_credential', Narrowing>
  /** At most `calls` per `per` ms for all calls with the same `key`, within what `scope` names. */
  | Typed<'rate_limit', RateLimit>
  /** Besides what the tool debits. */
  | Typed<'debit_budget', { readonly meter: string; readonly amount: number }>
  /** Data classes that count as read by this task and its caller from now on. */
  | Typed<'raise_sensitivity', { readonly classes: readonly string[] }>
  /** An event in the ledger, handed on to the notifier of that name. Done for a refusal too. */
  | Typed<'notify', { readonly to: string; readonly message: string }>
  /** An answer in a coding that cannot be searched for the lent credential goes to the agent all the same; without it such an answer is refused. */
  | Typed<'pass_unsearched', Readonly<Record<string, never>>>
  /** Every lease of the task is taken back. Done for a refusal too. */
  | Typed<'revoke_leases', Readonly<Record<string, never>>>

export type ObligationType = Obligation['type']

type PropertiesOf<Type extends ObligationType> = Extract<Obligation, { readonly type: Type }>['properties']

const mostObligations = 32

/**
 * Reads the `obligations` of an answer of `entrypoint`, in the order in which they stand. Each is mandatory: throws
 * `decide.malformed`, with the place, for one that is unknown, malformed, or has no business in an answer of that entrypoint.
 */
export function readObligations(value: unknown, entrypoint: Entrypoint): readonly Obligation[] {
  return list(value, mostObligations, 'obligations', (item, place) => {
    const members = closed(item, place, ['id', 'type', 'properties'])
    const type = oneOf(members['type'], types, `${place}/type`)
    if (!standing[type].includes(entrypoint)) throw malformed(`${place}/type: not in an answer of ${entrypoint}`)
    const properties = readers[type](record(members['properties'], `${place}/properties`), `${place}/properties`)
    return { id: pattern(members['id'], names, `${place}/id`), type, properties } as Obligation
  })
}

/** What a call may be obliged to, what its answer may, and what open work may. Nothing stands in an answer on a task. */
const call: readonly Entrypoint[] = ['countersign/decision']
const answer: readonly Entrypoint[] = [...call, 'countersign/response']
const open: readonly Entrypoint[] = [...answer, 'countersign/continue']

const standing: { readonly [Type in ObligationType]: readonly Entrypoint[] } = {
  mask_response: answer,
  drop_response_fields: answer,
  redact_request: call,
  narrow_credential: call,
  rate_limit: call,
  debit_budget: call,
  raise_sensitivity: answer,
  notify: open,
  pass_unsearched: call,
  revoke_leases: open,
}

const types = Object.keys(standing) as ObligationType[]

type Reader<Type extends ObligationType> = (properties: Readonly<Record<string, unknown>>, place: string) => PropertiesOf<Type>

const readers: { readonly [Type in ObligationType]: Reader<Type> } = {
  mask_response: places,
  drop_response_fields: places,
  redact_request: places,
  narrow_credential: narrowing,
  rate_limit: rateLimit,
  debit_budget: (given, place) => {
    const { meter, amount } = closed(given, place, ['meter', 'amount'])
    if (typeof amount !== 'number' || !Number.isFinite(amount) || amount < 0) throw malformed(`${place}/amount`)
    return { meter: pattern(meter, word, `${place}/meter`), amount }
  },
  raise_sensitivity: (given, place) => {
    const { classes } = closed(given, place, ['classes'])
    return { classes: list(classes, 64, `${place}/classes`, (name, at) => pattern(name, word, at)) }
  },
  notify: (given, place) => {
    const { to, message } = closed(given, place, ['to', 'message'])
    return { to: pattern(to, names, `${place}/to`), message: pattern(message, sentence, `${place}/message`) }
  },
  pass_unsearched: nothing,
  revoke_leases: nothing,
}

function nothing(given: Readonly<Record<string, unknown>>, place: string): Readonly<Record<string, never>> {
  closed(given, place, [])
  return {}
}

/** Data classes, meters and keys are named by whoever configures, within what policy may see of a name. */
const word = /^[^\p{Cc}\p{Cs}]{1,256}$/u
const pointer = /^(\/([^~/\p{Cs}]|~[01])*)+$/u

function places(given: Readonly<Record<string, unknown>>, place: string): Places {
  const { paths } = closed(given, place, ['paths'])
  return { paths: list(paths, 64, `${place}/paths`, (path, at) => pattern(path, pointer, at)) }
}

function narrowing(given: Readonly<Record<string, unknown>>, place: string): Narrowing {
  const { scopes, ttl, audience } = closed(given, place, [], ['scopes', 'ttl', 'audience'])
  const kept = scopes === undefined ? undefined : list(scopes, 64, `${place}/scopes`, (scope, at) => pattern(scope, printable, at))
  // to most issuers no scope at all means every scope
  if (kept?.length === 0) throw malformed(`${place}/scopes`)
  return {
    ...(kept !== undefined && { scopes: kept }),
    ...(ttl !== undefined && { ttl: whole(ttl, 1, Number.MAX_SAFE_INTEGER, `${place}/ttl`) }),
    ...(audience !== undefined && { audience: pattern(audience, printable, `${place}/audience`) }),
  }
}

const second = 1000
const year = 366 * 86_400 * second

function rateLimit(given: Readonly<Record<string, unknown>>, place: string): RateLimit {
  const { key, scope, calls, per } = closed(given, place, ['key', 'scope', 'calls', 'per'])
  return {
    key: pattern(key, word, `${place}/key`),
    scope: oneOf(scope, ['task', 'caller', 'all'], `${place}/scope`),
    calls: whole(calls, 1, 1_000_000_000, `${place}/calls`),
    per: whole(per, second, year, `${place}/per`),
  }
}
