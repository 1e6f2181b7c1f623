/** Reads what the engine answered: a well-formed decision v1, canonical, or a refusal. */

import { Refusal } from '../refusal.ts'
import { canonical } from './canonical.ts'
import type { Decision, DecisionEffect, Reason } from './decide.ts'
import type { Obligation, ObligationType } from './obligations.ts'

/** A reason as policy gives it: with what it does and whether observe mode may only watch it. */
export interface JudgedReason extends Reason {
  readonly effect: 'deny' | 'ask' | 'defer'
  readonly observable: boolean
}

export interface Result extends Pick<Decision, 'obligations' | 'approval' | 'credential' | 'labels'> {
  readonly effect: Exclude<DecisionEffect, 'defer'>
  readonly reasons: readonly JudgedReason[]
  /** The whole result as canonical JSON. */
  readonly text: string
}

/** Obligation type → whether its properties are well-formed. Every obligation is mandatory: one that nobody here fulfils refuses. */
const obligationTypes: ReadonlyMap<ObligationType, (properties: Readonly<Record<string, unknown>>) => boolean> = new Map([
  ['mask_response', ({ paths, ...others }) => isEmpty(others) && allText(paths, /^(\/([^~/]|~[01])*)+$/)],
  ['drop_response_fields', ({ paths, ...others }) => isEmpty(others) && allText(paths, /^(\/([^~/]|~[01])*)+$/)],
  ['raise_sensitivity', ({ classes, ...others }) => isEmpty(others) && allText(classes, /^[^\p{Cc}\p{Cs}]{1,256}$/u)],
  ['notify', ({ to, message, ...others }) => isEmpty(others) && allText([to, message], /^[^\p{Cc}\p{Cs}]{1,512}$/u)],
  ['revoke_leases', (others) => isEmpty(others)],
])

function isEmpty(others: object): boolean {
  return Object.keys(others).length === 0
}

function allText(values: unknown, allowed: RegExp): boolean {
  return Array.isArray(values) && values.length <= 64 && values.every((value) => typeof value === 'string' && allowed.test(value))
}

/**
 * Takes the result document as parsed; gives it checked and ordered: reasons by rule and then text, obligations by id.
 * Throws `decide.malformed`, with the place in `detail`, for anything but a well-formed decision: what is not there, of the
 * wrong type, unknown, or at odds with itself.
 */
export function readResult(document: unknown): Result {
  if (typeof document !== 'object' || document === null || !Object.isFrozen(document)) return check(document)
  let result = known.get(document)
  if (result === undefined) known.set(document, (result = check(document)))
  return result
}

/** Frozen document → what it was read as: the engine hands the same one out for the same answer. */
const known = new WeakMap<object, Result>()

function check(document: unknown): Result {
  const top = closed(document, '', ['v', 'effect', 'reasons', 'obligations', 'labels'], ['approval', 'credential'])
  if (top['v'] !== 1) throw malformed('v')
  const effect = oneOf(top['effect'], effects, 'effect')
  if (effect === 'defer') throw malformed('effect: policy defers, and there is no fact to wait for')
  const reasons = ordered(list(top['reasons'], 64, 'reasons', reason), ({ rule }) => rule)
  const obligations = ordered(list(top['obligations'], 32, 'obligations', obligation), ({ id }) => id)
  checkEffect(effect, reasons)
  if (new Set(obligations.map(({ id }) => id)).size !== obligations.length) throw malformed('obligations: one id twice')
  const approval = top['approval'] === undefined ? null : readApproval(top['approval'])
  if (approval !== null && effect !== 'ask') throw malformed('approval: nobody is asked')
  const credential = top['credential'] === undefined ? null : readCredential(top['credential'])
  const labels = readLabels(top['labels'])
  const text = canonical({ ...top, reasons, obligations })
  if (text === null || text.length > 65_536) throw malformed('too large')
  return { effect, reasons, obligations, approval, credential, labels, text }
}

const effects = ['allow', 'deny', 'ask', 'defer'] as const
const severities = ['low', 'medium', 'high', 'critical'] as const
const reasonEffects = ['deny', 'ask', 'defer'] as const

/** Deny beats ask beats allow, so an effect never stands beside a reason for a stronger one, and no refusal is without a reason. */
function checkEffect(effect: Result['effect'], reasons: readonly JudgedReason[]): void {
  const has = (wanted: JudgedReason['effect']): boolean => reasons.some((found) => found.effect === wanted)
  const sound = effect === 'allow' ? reasons.length === 0 : effect === 'deny' ? has('deny') : has('ask') && !has('deny') && !has('defer')
  if (!sound) throw malformed('effect: not what the reasons say')
}

function reason(value: unknown, place: string): JudgedReason {
  const members = closed(value, place, ['rule', 'severity', 'effect', 'observable', 'controls', 'message_agent', 'detail'])
  const detail = record(members['detail'], `${place}/detail`)
  const text = canonical(detail)
  if (text === null || text.length > 16_384) throw malformed(`${place}/detail`)
  return {
    rule: pattern(members['rule'], /^[a-z0-9]+([._-][a-z0-9]+)*$/, `${place}/rule`),
    severity: oneOf(members['severity'], severities, `${place}/severity`),
    effect: oneOf(members['effect'], reasonEffects, `${place}/effect`),
    observable: flag(members['observable'], `${place}/observable`),
    controls: list(members['controls'], 64, `${place}/controls`, (id, at) => pattern(id, /^[A-Za-z0-9][A-Za-z0-9 .:/_-]{0,63}$/, at)),
    message_agent: pattern(members['message_agent'], /^[^\p{Cc}\p{Cs}]{1,512}$/u, `${place}/message_agent`),
    detail,
  }
}

function obligation(value: unknown, place: string): Obligation {
  const members = closed(value, place, ['id', 'type', 'properties'])
  const type = oneOf(members['type'], [...obligationTypes.keys()], `${place}/type`)
  const properties = record(members['properties'], `${place}/properties`)
  if (obligationTypes.get(type)?.(properties) !== true) throw malformed(`${place}: nobody fulfils it`)
  return { id: pattern(members['id'], names, `${place}/id`), type, properties } as Obligation
}

function readApproval(value: unknown): NonNullable<Decision['approval']> {
  const members = closed(value, 'approval', ['approvers', 'quorum', 'ttl', 'bind'])
  return {
    approvers: list(members['approvers'], 64, 'approval/approvers', (who, at) => pattern(who, printable, at)),
    quorum: positive(members['quorum'], 'approval/quorum'),
    ttl: positive(members['ttl'], 'approval/ttl'),
    bind: list(members['bind'], 64, 'approval/bind', (pointer, at) => pattern(pointer, /^(\/([^~/\p{C}]|~[01])*)+$/u, at)),
  }
}

function readCredential(value: unknown): NonNullable<Decision['credential']> {
  const { provider, scopes, ttl, audience } = closed(value, 'credential', [], ['provider', 'scopes', 'ttl', 'audience'])
  return {
    ...(provider !== undefined && { provider: pattern(provider, printable, 'credential/provider') }),
    ...(scopes !== undefined && { scopes: list(scopes, 64, 'credential/scopes', (scope, at) => pattern(scope, printable, at)) }),
    ...(ttl !== undefined && { ttl: positive(ttl, 'credential/ttl') }),
    ...(audience !== undefined && { audience: pattern(audience, printable, 'credential/audience') }),
  }
}

function readLabels(value: unknown): Readonly<Record<string, string>> {
  const labels: Record<string, string> = Object.create(null)
  const given = Object.entries(record(value, 'labels'))
  if (given.length > 32) throw malformed('labels')
  for (const [key, label] of given) labels[pattern(key, names, 'labels')] = pattern(label, /^[^\p{Cc}\p{Cs}]{0,256}$/u, 'labels')
  return labels
}

const names = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/
const printable = /^[\x21-\x7e]{1,512}$/

function malformed(place: string): Refusal {
  return new Refusal('decide.malformed', { detail: `result: ${place === '' ? 'no decision' : place}` })
}

function record(value: unknown, place: string): Readonly<Record<string, unknown>> {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw malformed(place)
  return value as Record<string, unknown>
}

/** An object with every member of `required`, and none but those and `optional`. */
function closed(
  value: unknown,
  place: string,
  required: readonly string[],
  optional: readonly string[] = [],
): Readonly<Record<string, unknown>> {
  const members = record(value, place)
  for (const key of required) if (!Object.hasOwn(members, key)) throw malformed(`${place}/${key}`)
  for (const key of Object.keys(members)) {
    if (!required.includes(key) && !optional.includes(key)) throw malformed(`${place}: an unknown member`)
    if (members[key] === undefined) throw malformed(`${place}/${key}`)
  }
  return members
}

function list<T>(value: unknown, most: number, place: string, read: (item: unknown, place: string) => T): readonly T[] {
  if (!Array.isArray(value) || value.length > most) throw malformed(place)
  return Array.from(value, (item: unknown, at) => read(item, `${place}/${at}`))
}

function oneOf<const T extends string>(value: unknown, allowed: readonly T[], place: string): T {
  const found = allowed.find((one) => one === value)
  if (found === undefined) throw malformed(place)
  return found
}

function pattern(value: unknown, allowed: RegExp, place: string): string {
  if (typeof value !== 'string' || value.length > 512 || !allowed.test(value)) throw malformed(place)
  return value
}

function flag(value: unknown, place: string): boolean {
  if (typeof value !== 'boolean') throw malformed(place)
  return value
}

function positive(value: unknown, place: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1) throw malformed(place)
  return value
}

function ordered<T>(items: readonly T[], key: (item: T) => string): readonly T[] {
  if (items.length < 2) return items
  const keyed = items.map((item) => ({ item, first: key(item), text: canonical(item) ?? '' }))
  const compare = (left: string, right: string): number => (left < right ? -1 : left > right ? 1 : 0)
  return keyed.sort((left, right) => compare(left.first, right.first) || compare(left.text, right.text)).map(({ item }) => item)
}
