/** Reads what the engine answered: a well-formed decision v1, canonical, or a refusal. */

import { canonical } from './canonical.ts'
import type { Decision, DecisionEffect, Reason } from './decide.ts'
import { dutiesOf } from './duties.ts'
import type { Entrypoint } from './engine.ts'
import { readObligations } from './obligations.ts'
import { closed, flag, list, malformed, names, oneOf, pattern, printable, record, sentence, whole } from './shape.ts'

/** A reason as policy gives it: with what it does and whether observe mode may only watch it. */
export interface JudgedReason extends Reason {
  readonly effect: 'deny' | 'ask' | 'defer'
  readonly observable: boolean
  /** Of a rule about what came before the call: its denial is final, as that of a rule that is not observable. */
  readonly level?: 'sequence'
  /** What exceptions are held against; absent: 0. */
  readonly priority?: number
}

export interface Result extends Pick<Decision, 'obligations' | 'duties' | 'approval' | 'deferral' | 'credential' | 'labels'> {
  readonly effect: DecisionEffect
  readonly reasons: readonly JudgedReason[]
  /** The whole result as canonical JSON. */
  readonly text: string
}

/**
 * Takes the result document as parsed; gives it checked and ordered: reasons by rule and then text, obligations by id.
 * Throws `decide.malformed`, with the place in `detail`, for anything but a well-formed decision: what is not there, of the
 * wrong type, unknown, at odds with itself, or out of place in an answer of `entrypoint`.
 */
export function readResult(document: unknown, entrypoint: Entrypoint = 'countersign/decision'): Result {
  if (typeof document !== 'object' || document === null || !Object.isFrozen(document)) return check(document, entrypoint)
  const known = knownOf(entrypoint)
  let result = known.get(document)
  if (result === undefined) known.set(document, (result = check(document, entrypoint)))
  return result
}

type Known = WeakMap<object, Result>

/** Entrypoint → frozen document → what it was read as: the engine hands the same one out for the same answer, whoever it answers. */
const read = new Map<Entrypoint, Known>()

function knownOf(entrypoint: Entrypoint): Known {
  let known = read.get(entrypoint)
  if (known === undefined) read.set(entrypoint, (known = new WeakMap()))
  return known
}

function check(document: unknown, entrypoint: Entrypoint): Result {
  const top = closed(document, '', ['v', 'effect', 'reasons', 'obligations', 'labels'], ['approval', 'credential', 'deferral'])
  if (top['v'] !== 1) throw malformed('v')
  const effect = oneOf(top['effect'], effects, 'effect')
  if (effect === 'defer' && entrypoint !== 'countersign/decision') throw malformed('effect: only a call can wait')
  const reasons = ordered(list(top['reasons'], 64, 'reasons', reason), ({ rule }) => rule)
  const obligations = ordered(readObligations(top['obligations'], entrypoint), ({ id }) => id)
  checkEffect(effect, reasons)
  if (new Set(obligations.map(({ id }) => id)).size !== obligations.length) throw malformed('obligations: one id twice')
  const approval = top['approval'] === undefined ? null : readApproval(top['approval'])
  if (approval !== null && effect !== 'ask') throw malformed('approval: nobody is asked')
  const deferral = top['deferral'] === undefined ? null : readDeferral(top['deferral'])
  if ((deferral !== null) !== (effect === 'defer')) throw malformed('deferral: there with the effect defer, and only then')
  const credential = top['credential'] === undefined ? null : readCredential(top['credential'])
  const labels = readLabels(top['labels'])
  const text = canonical({ ...top, reasons, obligations })
  if (text === null || text.length > 65_536) throw malformed('too large')
  return { effect, reasons, obligations, duties: dutiesOf(obligations), approval, deferral, credential, labels, text }
}

const effects = ['allow', 'deny', 'ask', 'defer'] as const
const severities = ['low', 'medium', 'high', 'critical'] as const
const reasonEffects = ['deny', 'ask', 'defer'] as const

/** An effect never stands beside a reason for a stronger one, and no refusal is without a reason. To deny is always sound. */
function checkEffect(effect: Result['effect'], reasons: readonly JudgedReason[]): void {
  const sound = effect === 'deny' ? reasons.some((found) => found.effect === 'deny') : effect === rulingOf(reasons)
  if (!sound) throw malformed('effect: not what the reasons say')
}

/**
 * What reasons come to, in the fixed order: forbidden and sequence deny, then what waits, then the other denials, then what a person
 * answers; without any reason the call is allowed.
 */
export function rulingOf(reasons: readonly Pick<JudgedReason, 'effect' | 'observable' | 'level'>[]): DecisionEffect {
  let ruling: DecisionEffect = 'allow'
  for (const { effect, observable, level } of reasons) {
    if (effect === 'deny' && (!observable || level === 'sequence')) return 'deny'
    if (order.indexOf(effect) > order.indexOf(ruling)) ruling = effect
  }
  return ruling
}

/** From the weakest on. */
const order: readonly DecisionEffect[] = ['allow', 'ask', 'deny', 'defer']

function reason(value: unknown, place: string): JudgedReason {
  const members = closed(
    value,
    place,
    ['rule', 'severity', 'effect', 'observable', 'controls', 'message_agent', 'detail'],
    ['level', 'priority'],
  )
  const detail = record(members['detail'], `${place}/detail`)
  const text = canonical(detail)
  if (text === null || text.length > 16_384) throw malformed(`${place}/detail`)
  return {
    rule: pattern(members['rule'], /^[a-z0-9]+([._-][a-z0-9]+)*$/, `${place}/rule`),
    severity: oneOf(members['severity'], severities, `${place}/severity`),
    effect: oneOf(members['effect'], reasonEffects, `${place}/effect`),
    observable: flag(members['observable'], `${place}/observable`),
    controls: list(members['controls'], 64, `${place}/controls`, (id, at) => pattern(id, /^[A-Za-z0-9][A-Za-z0-9 .:/_-]{0,63}$/, at)),
    message_agent: pattern(members['message_agent'], sentence, `${place}/message_agent`),
    detail,
    ...(members['level'] !== undefined && { level: oneOf(members['level'], ['sequence'] as const, `${place}/level`) }),
    ...(members['priority'] !== undefined && { priority: priority(members['priority'], `${place}/priority`) }),
  }
}

function priority(value: unknown, place: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw malformed(place)
  return value
}

/** Paths of the input and ids of rules: what a call waits for, for the record and for whoever gives it. */
function readDeferral(value: unknown): NonNullable<Decision['deferral']> {
  const { missing, conflicts, ttl } = closed(value, 'deferral', ['missing', 'conflicts'], ['ttl'])
  return {
    missing: list(missing, 64, 'deferral/missing', (path, at) => pattern(path, printable, at)),
    conflicts: list(conflicts, 64, 'deferral/conflicts', (rule, at) => pattern(rule, printable, at)),
    ...(ttl !== undefined && { ttl: whole(ttl, 1, Number.MAX_SAFE_INTEGER, 'deferral/ttl') }),
  }
}

function readApproval(value: unknown): NonNullable<Decision['approval']> {
  const members = closed(value, 'approval', ['approvers', 'quorum', 'bind'], ['ttl', 'objective'])
  return {
    approvers: list(members['approvers'], 64, 'approval/approvers', (who, at) => pattern(who, printable, at)),
    quorum: whole(members['quorum'], 1, mostPeople, 'approval/quorum'),
    ...(members['ttl'] !== undefined && { ttl: whole(members['ttl'], 1, Number.MAX_SAFE_INTEGER, 'approval/ttl') }),
    bind: list(members['bind'], 64, 'approval/bind', (pointer, at) => pattern(pointer, /^(\/([^~/\p{C}]|~[01])*)+$/u, at)),
    ...(members['objective'] !== undefined && { objective: flag(members['objective'], 'approval/objective') }),
  }
}

/** Nobody waits for more people than this, and an approval with their names is an input of the next judgement. */
const mostPeople = 16

function readCredential(value: unknown): NonNullable<Decision['credential']> {
  const { provider, scopes, ttl, audience } = closed(value, 'credential', [], ['provider', 'scopes', 'ttl', 'audience'])
  return {
    ...(provider !== undefined && { provider: pattern(provider, printable, 'credential/provider') }),
    ...(scopes !== undefined && { scopes: list(scopes, 64, 'credential/scopes', (scope, at) => pattern(scope, printable, at)) }),
    ...(ttl !== undefined && { ttl: whole(ttl, 1, Number.MAX_SAFE_INTEGER, 'credential/ttl') }),
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

function ordered<T>(items: readonly T[], key: (item: T) => string): readonly T[] {
  if (items.length < 2) return items
  const keyed = items.map((item) => ({ item, first: key(item), text: canonical(item) ?? '' }))
  const compare = (left: string, right: string): number => (left < right ? -1 : left > right ? 1 : 0)
  return keyed.sort((left, right) => compare(left.first, right.first) || compare(left.text, right.text)).map(({ item }) => item)
}
