/** Generated inputs of the default policy: from its schema, and from an input that it allows. */

import { readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import type { JsonSchema } from './json-schema.ts'
import { allowedInput } from './policy-rig.ts'

/** Inputs that the schema describes, inputs that are off in a few places, and inputs with anything in some place. */
export function schemaInputs(name: 'input' | 'task'): fc.Arbitrary<unknown> {
  const schema: JsonSchema = JSON.parse(readFileSync(new URL(`../../rego/schemas/${name}.json`, import.meta.url), 'utf8'))
  const valid = described(schema)
  const hostile = fc.jsonValue({ maxDepth: 4 })
  const spoiled = fc
    .tuple(valid, fc.array(fc.tuple(fc.nat(), fc.oneof(hostile, fc.constant(undefined))), { minLength: 1, maxLength: 3 }))
    .map(([input, changes]) => {
      const copy: unknown = structuredClone(input)
      if (typeof copy !== 'object' || copy === null) return copy
      for (const [at, value] of changes) {
        const paths = pathsOf(copy)
        change(copy, paths[at % paths.length] ?? [], structuredClone(value))
      }
      return copy
    })
  return fc.oneof({ weight: 3, arbitrary: valid }, { weight: 3, arbitrary: spoiled }, fc.dictionary(fc.string(), hostile))
}

/** Words that rules of the default policy know, so that generated inputs meet. */
const known = [
  'crm.customer.read',
  'crm.*',
  'mail.send',
  'customer:*',
  'customer:42',
  'order:7',
  'personal',
  'internal',
  'public',
  'partner',
  'calls',
  'eur',
  'low',
  'read',
  'kind:discovery',
]

function described(schema: JsonSchema): fc.Arbitrary<unknown> {
  if (schema.const !== undefined) return fc.constant(schema.const)
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum)
  if (schema.anyOf !== undefined) return fc.oneof(...schema.anyOf.map(described))
  switch (schema.type) {
    case 'string':
      return fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...known) }, fc.string({ unit: 'grapheme', maxLength: 12 }))
    case 'integer':
      return fc.oneof(fc.integer({ min: 0, max: 20 }), fc.maxSafeInteger())
    case 'number':
      return fc.oneof(fc.integer({ min: 0, max: 20 }), fc.double({ noNaN: true, noDefaultInfinity: true }))
    case 'boolean':
      return fc.boolean()
    case 'null':
      return fc.constant(null)
    case 'array':
      return fc.array(described(schema.items ?? {}), { maxLength: 4 })
    case 'object':
      return members(schema)
    default:
      return fc.jsonValue({ maxDepth: 2 })
  }
}

function members({ properties = {}, required = [], additionalProperties }: JsonSchema): fc.Arbitrary<unknown> {
  const named = fc.record(Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name, described(schema)])), {
    requiredKeys: [...required],
  })
  if (typeof additionalProperties !== 'object') return named
  return fc
    .tuple(named, fc.dictionary(fc.constantFrom(...known), described(additionalProperties), { maxKeys: 3 }))
    .map(([a, b]) => ({ ...b, ...a }))
}

/** An input with up to three of its leaves changed to another of the words that rules know, or gone. */
export function changedInputs(input: object): fc.Arbitrary<unknown> {
  const words = [
    'supervised',
    'autonomous',
    'medium',
    'high',
    'critical',
    'write',
    'send',
    'partner',
    'public',
    'mail.send',
    'customer:7',
    'order:8',
    'stream',
    'json',
    '',
  ]
  const other = fc.oneof(
    fc.constantFrom<unknown>(...words),
    fc.constantFrom<unknown>(null, true, false, 0, 1, 10, 2.5, -1, 1e6, 9_007_199_254_740_991),
    fc.constantFrom<unknown>([], ['public'], ['personal', 'internal'], ['*'], {}, { calls: 1 }, { eur: 5 }),
    fc.constant<unknown>(undefined),
  )
  const one = fc.tuple(fc.constantFrom(...pathsOf(input)), other)
  return fc.array(one, { maxLength: 3 }).map((changes) => {
    const copy = structuredClone(input)
    for (const [path, value] of changes) change(copy, path, structuredClone(value))
    return copy
  })
}

function pathsOf(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [path]
  return [...(path.length > 0 ? [path] : []), ...Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, [...path, key]))]
}

function change(target: object, path: readonly string[], value: unknown): void {
  const [key = '', ...rest] = path
  const inner: unknown = Reflect.get(target, key)
  if (rest.length === 0) Reflect.set(target, key, value)
  else if (typeof inner === 'object' && inner !== null) change(inner, rest, value)
}

/** Inputs that only differ in how much an agent may do and how much is at stake. */
export function ratedInputs(): fc.Arbitrary<unknown> {
  return fc
    .tuple(
      fc.constantFrom('supervised', 'bounded', 'autonomous', 'other'),
      fc.constantFrom('low', 'medium', 'high', 'critical', 'other'),
      fc.constantFrom('read', 'write', 'unknown', 'other'),
      fc.constantFrom('none', 'json', 'stream'),
      fc.boolean(),
    )
    .map(([autonomy, risk, effect, kind, judged]) => {
      const input = allowedInput()
      change(input, ['agent', 'autonomy'], autonomy)
      change(input, ['tool', 'risk'], risk)
      change(input, ['tool', 'effect'], effect)
      change(input, ['request', 'body'], { kind, judged, size: null, sha256: null })
      return input
    })
}

/** Inputs that only differ in what came before: discoveries, sums of a meter and a score. */
export function sequencedInputs(): fc.Arbitrary<unknown> {
  const marks = fc.subarray(['kind:discovery', 'secret', 'internal'])
  return fc
    .record({
      kind: fc.constantFrom('discovery', 'privilege', 'routine', 'other', undefined),
      known: fc.oneof(marks, fc.constant(undefined)),
      brought: fc.oneof(marks, fc.constant(undefined)),
      tools: fc.shuffledSubarray(['crm.customer.read', 'a', 'b', 'c', 'crm.*'], { minLength: 1 }),
      implicit: fc.boolean(),
      depth: fc.nat(1),
      used: fc.boolean(),
      amount: fc.oneof(fc.nat(60), fc.constant(null)),
      hour: fc.nat(120),
      score: fc.oneof(fc.nat(100), fc.constant(undefined)),
      summed: fc.subarray([null, 'customer:42']),
    })
    .map(({ kind, known: read, brought, tools, implicit, depth, used, amount, hour, score, summed }) => {
      const input = allowedInput()
      change(input, ['tool', 'kind'], kind)
      change(input, ['task', 'sensitivity'], read)
      change(input, ['task', 'intent', 'tools'], tools)
      change(input, ['task', 'implicit'], implicit)
      change(input, ['task', 'budget', 'debit'], { calls: 1, eur: amount })
      change(input, ['task', 'budget', 'limit'], { eur: 1000 })
      change(input, ['delegation', 'depth'], depth)
      change(input, ['sequence', 'brought'], brought)
      change(input, ['sequence', 'counts'], used ? { 'crm.customer.read': 1 } : {})
      const sum = { kind: 'meter', name: 'eur', amount, hour, day: hour + 10 }
      change(
        input,
        ['sequence', 'sums'],
        summed.map((resource) => ({ ...sum, resource })),
      )
      change(input, ['sequence', 'divergence'], { score, reasons: [] })
      return input
    })
}

/** An input of `countersign/task`. */
export function openingInput(): object {
  const { v, caller, agent, delegation, context } = allowedInput()
  const intent = {
    tools: ['crm.*', 'mail.send'],
    resources: ['customer:*'],
    data: ['internal', 'personal'],
    egress: ['internal', 'partner'],
    budget: { calls: 5, eur: 100 },
  }
  return {
    v,
    action: 'open',
    opener: { kind: 'self', name: Object(caller).id },
    caller,
    agent: { ...Object(agent), ttl: 60_000, intent },
    delegation,
    task: { intent: { purpose: 'one refund', prompt: null, ...intent, tools: ['crm.customer.read'] }, ttl: 60_000 },
    context,
  }
}
