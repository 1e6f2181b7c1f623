/** Inputs of policy in their parts, in pairs that have all but some pieces in common, and policies that are judged by them. */

import * as fc from 'fast-check'
import { framedText, type Frame, type Framed } from '../../src/decide/frame.ts'
import { encodeInput } from '../../src/decide/input-text.ts'
import { PolicyInstance, type Mould } from '../../src/decide/instance.ts'
import { answers, rememberedOf } from '../../src/decide/memo/answers.ts'
import { hook } from '../../src/decide/memo/hooked.ts'
import { withSettings, type Settings } from '../../src/decide/settings.ts'
import type { Bundle } from '../../src/decide/bundle/bundle.ts'
import { allowedInput } from './policy-rig.ts'

/** Settings that switch on every rule that needs one, so that rules read what they otherwise leave alone. */
export const allSettings: Settings = {
  taint: {
    decay: { personal: 50 },
    overrides: [{ class: 'internal', tool: 'crm.*', source: null, until: 900, by: 'd@acme.example', reason: 'checked' }],
  },
  approvals: { who: [{ tools: ['mail.*'], approvers: ['group:ops'], quorum: 2, ttl: 5 }], single: ['risk.high'] },
  freeze: [{ effects: ['send'], from: 100, until: 1500 }],
  hours: [{ tools: ['crm.refund'], zone: [[0, 60]], from: 540, until: 1020, days: [1, 2, 3, 4, 5], effect: 'ask' }],
  chains: [{ id: 'out', steps: ['crm.*', 'files.export', 'mail.*'], within: null, effect: 'deny' }],
  after: [{ id: 'checked', tool: 'mail.*', needs: ['orders.check'], within: 4, forbids: ['vault.*'], effect: 'ask' }],
  split: [{ meter: 'eur', per: 'resource', within: 'hour', above: 100 }],
  budgets: [
    { meter: 'eur', above: 20 },
    { meter: 'calls', share: 0.9 },
  ],
  requires: [{ id: 'scan', signal: 'malware-scan', equals: 'clean', tools: ['files.*'], otherwise: 'ask' }],
  secrets: { tools: ['vault.*'], paths: ['/secrets/*'], bound: true },
  divergence: { denials: 3, score: 50, effect: 'ask' },
  tiers: [{ autonomy: ['autonomous'], effects: ['delete'], effect: 'ask' }],
  exceptions: [{ lifts: ['data.*'], until: 1200, by: 'd@acme.example', reason: 'drill', priority: 5, after: ['crm.*'] }],
  first_seen: { after: 5, effects: ['send'] },
  delegation: { depth: 2 },
}

const places = (
  'request.id request.path request.segments request.query request.headers request.body caller.expires caller.claims' +
  ' task.budget.spent task.budget.debit task.sensitivity task.inherited tool.resource tool.args_sha256 sequence.step sequence.last sequence.counts sequence.steps' +
  ' sequence.taint sequence.sources sequence.brought sequence.hosts sequence.seen.tool sequence.seen.host sequence.seen.resource' +
  ' sequence.seen.class sequence.repeats sequence.sums sequence.failures sequence.denials sequence.diverged sequence.divergence' +
  ' approval signals context.now'
)
  .split(' ')
  .map((place) => place.split('.'))

/** An input with those of the places as pieces that it has. */
export function framedOf(input: object): Framed {
  const copy: unknown = JSON.parse(JSON.stringify(input))
  const pieces: unknown[] = []
  const there = places.filter((place) => {
    const parent = inside(copy, place.slice(0, -1))
    const name = place.at(-1) ?? ''
    if (typeof parent !== 'object' || parent === null || Array.isArray(parent) || !Object.hasOwn(parent, name)) return false
    pieces.push(Reflect.get(parent, name))
    Reflect.set(parent, name, `\u0001${pieces.length - 1}\u0001`)
    return true
  })
  const [first = '', ...rest] = JSON.stringify(copy).split('"\\u0001')
  const parted = rest.map((one) => one.split('\\u0001"'))
  const order = parted.map(([number]) => Number(number))
  const frame: Frame = { texts: [first, ...parted.map(([, text = '']) => text)], places: order.map((at) => there[at] ?? []) }
  return { frame, own: order.map((at) => JSON.stringify(pieces[at])) }
}

/** The same frame with other pieces at some places; `changed` are places by their number, and values. */
export function changedPieces({ frame, own }: Framed, changed: readonly (readonly [number, unknown])[]): Framed {
  const pieces = [...own]
  for (const [at, value] of changed) pieces[at % pieces.length] = JSON.stringify(value)
  return { frame, own: pieces }
}

function inside(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((inner, name) => (typeof inner === 'object' && inner !== null ? Reflect.get(inner, name) : undefined), value)
}

/** Values that rules tell apart: around their bounds, of other kinds, and nothing at all. */
const numbers = fc.constantFrom(
  -1,
  0,
  1,
  3,
  4,
  5,
  9,
  10,
  11,
  49,
  50,
  99,
  100,
  198,
  199,
  200,
  201,
  899,
  900,
  1199,
  1999,
  2000,
  2001,
  2.5,
  1e15,
  2 ** 53,
)
const names = fc.constantFrom('customer:7', 'customer:42', 'order:7', 'order:70', 'other', '', 'cust\0omer', 'personal', 'secret', 'é', '𝒳')
const odd = fc.oneof(numbers, names, fc.constantFrom<unknown>(null, true, false, [], {}, ['personal'], ['*'], { calls: 1 }))

/** What stands at a place, mostly of the kind that belongs there. */
function pieceFor(place: string): fc.Arbitrary<unknown> {
  const classes = fc.uniqueArray(fc.constantFrom('personal', 'internal', 'secret', 'public', 'kind:discovery'), { maxLength: 3 })
  const tools = fc.constantFrom('crm.customer.read', 'mail.send', 'orders.check', 'files.export', 'vault.read', '*')
  if (place === 'task.budget.spent' || place === 'task.budget.debit')
    return fc.dictionary(fc.constantFrom('calls', 'eur', 'other'), numbers, { maxKeys: 2 })
  if (place === 'request.body')
    return fc.record({
      kind: fc.constantFrom('none', 'json', 'stream'),
      size: fc.constantFrom(0, 5, null),
      judged: fc.boolean(),
      sha256: fc.constant('ab'),
    })
  if (place === 'task.sensitivity' || place === 'sequence.brought' || place === 'sequence.taint') return classes
  if (place === 'task.inherited' || place === 'sequence.denials')
    return fc.dictionary(fc.constantFrom('personal', 'internal', 'intent.tool', '*'), numbers, { maxKeys: 2 })
  if (place === 'sequence.counts') return fc.dictionary(tools, fc.constantFrom(0, 1, 2), { maxKeys: 3 })
  if (place === 'sequence.steps') return fc.dictionary(tools, fc.tuple(fc.constantFrom(1, 2, 3), fc.constantFrom(3, 4, 9)), { maxKeys: 3 })
  if (place === 'sequence.sources')
    return fc.dictionary(
      fc.constantFrom('personal', 'internal'),
      fc.record({ tool: tools, ago: numbers, step: fc.constant(1), only: fc.boolean(), reads: fc.constant(1) }),
      { maxKeys: 2 },
    )
  if (place === 'sequence.divergence') return fc.record({ score: numbers, reasons: fc.constant([]) })
  if (place === 'signals')
    return fc.dictionary(
      fc.constant('malware-scan'),
      fc.record({ value: fc.constantFrom('clean', 'dirty', null), source: fc.constant('s'), ago: numbers }),
      { maxKeys: 1 },
    )
  if (place === 'approval') return fc.oneof(fc.constant(null), approvals)
  if (place === 'request.path') return fc.constantFrom('/customers/7', '/secrets/x', '/Secrets/y')
  return place === 'tool.resource' ? fc.oneof(names, fc.constant(null)) : place === 'sequence.diverged' ? fc.boolean() : numbers
}

const approvals = fc.record({
  id: fc.constant('a_1'),
  kind: fc.constantFrom('action', 'objective'),
  by: fc.uniqueArray(fc.constantFrom('a@acme.example', 'b@acme.example'), { maxLength: 2 }),
  groups: fc.dictionary(fc.constantFrom('a@acme.example', 'b@acme.example'), fc.constant(['group:ops']), { maxKeys: 2 }),
  quorum: fc.constantFrom(1, 2),
  break_glass: fc.boolean(),
  asked: fc.constant(1),
  at: fc.constant(1),
  expires: fc.constantFrom(999, 1000, 1001, 1999),
  used: fc.constantFrom(0, 1),
  calls: fc.constantFrom(1, 3),
  revision: fc.constant('r'),
})

/** An input with some of its pieces changed, and others that differ from it in some. */
export function pairs(inputs: readonly Framed[]): fc.Arbitrary<{ readonly one: Framed; readonly others: readonly Framed[] }> {
  return fc.constantFrom(...inputs).chain((framed) =>
    fc.tuple(changes(framed, 5), fc.array(changes(framed, 3), { minLength: 12, maxLength: 12 })).map(([first, more]) => {
      const one = changedPieces(framed, first)
      return { one, others: more.map((other) => changedPieces(one, other)) }
    }),
  )
}

/** Changes of some pieces of an input. */
function changes({ frame }: Framed, most: number): fc.Arbitrary<readonly (readonly [number, unknown])[]> {
  const one = fc.nat(frame.places.length - 1).chain((at) => {
    const usual = pieceFor((frame.places[at] ?? []).join('.'))
    return fc.tuple(fc.constant(at), fc.oneof({ weight: 6, arbitrary: usual }, odd))
  })
  return fc.array(one, { maxLength: most })
}

/** What of a call its frame has: who calls, and what. */
export const framedInputs: readonly Framed[] = [
  {},
  { tool: { name: 'mail.send', effect: 'send', egress: 'partner', accepts: ['personal'], data: [] } },
  { tool: { risk: 'high', effect: 'write' }, approval: null },
  { tool: { kind: 'privilege', name: 'vault.read', effect: 'read' } },
  { tool: { name: 'files.export', effect: 'delete' }, agent: { autonomy: 'autonomous' } },
  { task: { state: 'paused' } },
  { tool: { name: 'crm.refund', effect: 'execute', risk: 'medium' }, agent: { autonomy: 'supervised' } },
].map((other) => framedOf(merged({ approval: null, signals: {}, ...allowedInput() }, other) as object))

function merged(one: unknown, other: unknown): unknown {
  if (!isRecord(one) || !isRecord(other)) return other
  return Object.entries(other).reduce<Record<string, unknown>>((all, [name, value]) => ({ ...all, [name]: merged(all[name], value) }), {
    ...one,
  })
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * What an evaluation of one input lets be said of others: how many of them are answered. Throws for one that an evaluation answers
 * otherwise.
 */
export function held(plain: PolicyInstance, watched: PolicyInstance, one: Framed, others: readonly Framed[]): number {
  const entrypoint = plain.entrypoints.get('countersign/decision') ?? -1
  const evaluated = (framed: Framed): string => plain.evaluate(entrypoint, encodeInput(framedText(framed)))
  const { answer, seen } = watched.evaluateWatched(entrypoint, one, encodeInput(framedText(one)))
  if (answer !== evaluated(one)) throw new Error(`watched, it answers otherwise: ${framedText(one)}`)
  const remembered = seen === null ? null : rememberedOf(one, seen, answer)
  if (remembered === null) return 0
  const given = others.filter((other) => answers(remembered, other))
  for (const other of given)
    if (evaluated(other) !== answer) throw new Error(`given again, and wrong: ${framedText(one)} and ${framedText(other)}`)
  return given.length
}

/** Two instances of a policy: as it is, and as a module that tells. */
export async function instancesOf(
  bundle: Pick<Bundle, 'wasm' | 'data'>,
  settings?: Settings,
): Promise<{ plain: PolicyInstance; watched: () => PolicyInstance }> {
  const hooked = await hook(bundle.wasm)
  if (hooked === null) throw new Error('a policy that cannot be watched')
  const data = settings === undefined ? bundle.data : withSettings(bundle.data, settings)
  const mould = (wasm: Uint8Array<ArrayBuffer>, told?: readonly string[]): Mould => ({
    module: new WebAssembly.Module(wasm),
    data,
    initialPages: 32,
    maxPages: 1024,
    clock: () => 1000,
    print: () => undefined,
    ...(told !== undefined && { told }),
  })
  const telling = mould(hooked.bytes, hooked.told)
  return { plain: new PolicyInstance(mould(Uint8Array.from(bundle.wasm))), watched: () => new PolicyInstance(telling) }
}
