import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonical } from '../../../src/decide/canonical.ts'
import { noDuties } from '../../../src/decide/duties.ts'
import { readResult } from '../../../src/decide/result.ts'
import { Reading } from '../../../src/match/json-keys.ts'
import { Refusal } from '../../../src/refusal.ts'

const reason = (change: Record<string, unknown> = {}): Record<string, unknown> => ({
  rule: 'intent.tool',
  severity: 'high',
  effect: 'deny',
  observable: true,
  controls: ['ASI02', 'MAESTRO L3', 'GOVERN 1.7', 'AML.T0053'],
  message_agent: 'the task did not declare this tool',
  detail: { tool: 'mail.send' },
  ...change,
})
const allow = (change: Record<string, unknown> = {}): Record<string, unknown> => ({
  v: 1,
  effect: 'allow',
  reasons: [],
  obligations: [],
  labels: {},
  ...change,
})
const deny = (change: Record<string, unknown> = {}) => allow({ effect: 'deny', reasons: [reason()], ...change })
const approval = { approvers: ['group:approvers'], quorum: 1, ttl: 900_000, bind: ['/task/id', '/tool/name'] }
const ask = (change: Record<string, unknown> = {}) => allow({ effect: 'ask', reasons: [reason({ effect: 'ask' })], approval, ...change })
const deferral = { missing: ['signals.malware-scan.value'], conflicts: ['change.freeze'], ttl: 5000 }
const defer = (change: Record<string, unknown> = {}) =>
  allow({ effect: 'defer', reasons: [reason({ effect: 'defer' })], deferral, ...change })
const without = (document: Record<string, unknown>, key: string) =>
  Object.fromEntries(Object.entries(document).filter(([name]) => name !== key))

const fate = (document: unknown): string => {
  try {
    return readResult(document).effect
  } catch (error) {
    return Refusal.from(error).code
  }
}

describe('a well-formed decision', () => {
  it('is read as it stands', () => {
    expect(
      readResult(
        allow({
          labels: { team: 'refunds' },
          credential: { provider: 'crm', scopes: ['read'], ttl: 60_000, audience: 'https://crm.acme.example' },
        }),
      ),
    ).toEqual({
      effect: 'allow',
      reasons: [],
      obligations: [],
      duties: noDuties,
      approval: null,
      deferral: null,
      credential: { provider: 'crm', scopes: ['read'], ttl: 60_000, audience: 'https://crm.acme.example' },
      labels: { team: 'refunds' },
      text: '{"credential":{"audience":"https://crm.acme.example","provider":"crm","scopes":["read"],"ttl":60000},"effect":"allow","labels":{"team":"refunds"},"obligations":[],"reasons":[],"v":1}',
    })
    expect(readResult(ask())).toMatchObject({ effect: 'ask', approval, reasons: [{ effect: 'ask' }] })
    expect(readResult(deny())).toMatchObject({
      effect: 'deny',
      reasons: [{ rule: 'intent.tool', observable: true, detail: { tool: 'mail.send' } }],
    })
    expect(fate(deny({ reasons: [reason(), reason({ effect: 'ask' }), reason({ effect: 'defer' })] }))).toBe('deny')
    expect(fate(without(ask(), 'approval'))).toBe('ask')
    expect(readResult(defer())).toMatchObject({ effect: 'defer', deferral })
    const denial = reason({ level: 'sequence', priority: 2 })
    expect(readResult(deny({ reasons: [denial] })).reasons).toEqual([denial])
    const waiting = [reason(), reason({ effect: 'ask' }), reason({ effect: 'defer' })]
    expect(fate(defer({ reasons: waiting }))).toBe('defer')
    expect(() => readResult(defer(), 'countersign/task')).toThrow(Refusal)
    const own = { ...without(approval, 'ttl'), objective: false }
    expect(readResult(ask({ approval: own })).approval).toEqual(own)
  })

  it('has one text however the engine ordered its sets and members', () => {
    const reasons = ['b.x', 'a.x', 'a.y', 'a.x'].map((rule, at) => reason({ rule, detail: { z: at, a: 1 } }))
    const [first, ...rest] = [reasons, reasons.toReversed(), [2, 0, 3, 1].map((at) => reasons[at])].map((list) =>
      readResult(deny({ reasons: list })),
    )
    expect(first?.reasons.map(({ rule, detail }) => [rule, detail['z']])).toEqual([
      ['a.x', 1],
      ['a.x', 3],
      ['a.y', 2],
      ['b.x', 0],
    ])
    const turned = Object.fromEntries(Object.entries(deny({ reasons })).toReversed())
    for (const other of [...rest, readResult(turned)]) expect(other).toEqual(first)
    expect(JSON.parse(first?.text ?? '')).toEqual(deny({ reasons: first?.reasons }))
  })
})

describe('a document that is read again', () => {
  it('is read anew when it could have changed, and from memory when it could not', () => {
    const open = allow()
    const first = readResult(open)
    open['effect'] = 'surprise'
    expect(() => readResult(open)).toThrow(Refusal)
    expect(first.effect).toBe('allow')
    const frozen = Object.freeze(allow())
    expect(readResult(frozen)).toBe(readResult(frozen))
    const bad = Object.freeze(allow({ effect: 'surprise' }))
    for (let n = 0; n < 2; n++) expect(() => readResult(bad)).toThrow(Refusal)
  })
})

describe('anything else is refused as malformed:', () => {
  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['null', null],
    ['true', true],
    ['false', false],
    ['a number', 1],
    ['a text', 'allow'],
    ['an empty object', {}],
    ['a list', [allow()]],
    ['a result set', [{ result: allow() }]],
    ['an OPA boolean decision', { result: true }],
    ['an allowed flag', { allowed: true }],
    ['an unknown member', allow({ allowed: true })],
    ['another version', allow({ v: 2 })],
    ['a version as text', allow({ v: '1' })],
    ['no version', without(allow(), 'v')],
    ['no effect', without(allow(), 'effect')],
    ['no reasons', without(allow(), 'reasons')],
    ['no obligations', without(allow(), 'obligations')],
    ['no labels', without(allow(), 'labels')],
    ['an undefined member', allow({ credential: undefined })],
    ['an unknown effect', allow({ effect: 'permit' })],
    ['an effect in capitals', allow({ effect: 'Allow' })],
    ['an effect named like a member of Object', allow({ effect: 'constructor' })],
    ['a true effect', allow({ effect: true })],
    ['allow with a deny reason', allow({ reasons: [reason()] })],
    ['allow with an ask reason', allow({ reasons: [reason({ effect: 'ask' })] })],
    ['deny without a reason', deny({ reasons: [] })],
    ['deny with an ask reason alone', deny({ reasons: [reason({ effect: 'ask' })] })],
    ['ask without a reason', ask({ reasons: [] })],
    ['ask with a deny reason', ask({ reasons: [reason({ effect: 'ask' }), reason()] })],
    ['ask with a defer reason', ask({ reasons: [reason({ effect: 'ask' }), reason({ effect: 'defer' })] })],
    ['defer without what it waits for', without(defer(), 'deferral')],
    ['defer without a reason', defer({ reasons: [] })],
    ['defer with a denial that is final', defer({ reasons: [reason({ effect: 'defer' }), reason({ observable: false })] })],
    ['defer with a denial about a sequence', defer({ reasons: [reason({ effect: 'defer' }), reason({ level: 'sequence' })] })],
    ['a deferral beside an allow', allow({ deferral })],
    ['a deferral with an unknown member', defer({ deferral: { ...deferral, until: 1 } })],
    ['a deferral that waits for no time', defer({ deferral: { ...deferral, ttl: 0 } })],
    ['a reason on an unknown level', deny({ reasons: [reason({ level: 'context' })] })],
    ['a reason whose priority is no number', deny({ reasons: [reason({ priority: '1' })] })],
    ['reasons as a set', deny({ reasons: { a: reason() } })],
    ['too many reasons', deny({ reasons: Array(65).fill(reason()) })],
    ['a reason that is text', deny({ reasons: ['no'] })],
    ['a reason with an unknown member', deny({ reasons: [reason({ message: 'x' })] })],
    ...Object.keys(reason()).map((key): [string, unknown] => [`a reason without ${key}`, deny({ reasons: [without(reason(), key)] })]),
    ['a rule in capitals', deny({ reasons: [reason({ rule: 'Intent.Tool' })] })],
    ['a rule with a blank', deny({ reasons: [reason({ rule: 'intent tool' })] })],
    ['an empty rule', deny({ reasons: [reason({ rule: '' })] })],
    ['a rule with a line feed', deny({ reasons: [reason({ rule: 'intent.tool\n' })] })],
    ['an unknown severity', deny({ reasons: [reason({ severity: 'fatal' })] })],
    ['an unknown reason effect', deny({ reasons: [reason({ effect: 'warn' }), reason()] })],
    ['observable as text', deny({ reasons: [reason({ observable: 'true' })] })],
    ['controls as text', deny({ reasons: [reason({ controls: 'ASI02' })] })],
    ['a control that is a number', deny({ reasons: [reason({ controls: [2] })] })],
    ['a control with a control character', deny({ reasons: [reason({ controls: ['ASI\u001b02'] })] })],
    ['an empty message', deny({ reasons: [reason({ message_agent: '' })] })],
    ['a message with a line feed', deny({ reasons: [reason({ message_agent: 'a\nb' })] })],
    ['a message that is too long', deny({ reasons: [reason({ message_agent: 'a'.repeat(513) })] })],
    ['a message with half a surrogate pair', deny({ reasons: [reason({ message_agent: 'a\ud800' })] })],
    ['detail that is a list', deny({ reasons: [reason({ detail: [] })] })],
    ['detail that is too deep', deny({ reasons: [reason({ detail: JSON.parse(`${'{"a":'.repeat(20)}1${'}'.repeat(20)}`) })] })],
    ['detail that is too long', deny({ reasons: [reason({ detail: { a: 'a'.repeat(20_000) } })] })],
    ['detail with half a surrogate pair', deny({ reasons: [reason({ detail: { a: '\udc00' } })] })],
    ['detail with no JSON form', deny({ reasons: [reason({ detail: { a: Infinity } })] })],
    ['an obligation nobody fulfils', allow({ obligations: [{ id: 'o1', type: 'mask_response', properties: {} }] })],
    ['an obligation named like a member of Object', allow({ obligations: [{ id: 'o1', type: 'constructor', properties: {} }] })],
    ['an obligation without a type', allow({ obligations: [{ id: 'o1', properties: {} }] })],
    ['an unknown obligation on a denial', deny({ obligations: [{ id: 'o1', type: 'notify', properties: {} }] })],
    ['obligations that are null', allow({ obligations: null })],
    ['labels that are no texts', allow({ labels: { a: 1 } })],
    ['labels that are a list', allow({ labels: [] })],
    ['too many labels', allow({ labels: Object.fromEntries(Array.from({ length: 33 }, (_, at) => [`l${at}`, ''])) })],
    ['approval without a question', allow({ approval })],
    ['approval on a denial', deny({ approval })],
    ['approval that is null', ask({ approval: null })],
    ['approval with an unknown member', ask({ approval: { ...approval, template: 'x' } })],
    ['approval without a quorum', ask({ approval: without(approval, 'quorum') })],
    ['a quorum of more people than are waited for', ask({ approval: { ...approval, quorum: 17 } })],
    ['an objective that is neither', ask({ approval: { ...approval, objective: 'no' } })],
    ['a quorum of nobody', ask({ approval: { ...approval, quorum: 0 } })],
    ['a quorum of one and a half', ask({ approval: { ...approval, quorum: 1.5 } })],
    ['approval for ever', ask({ approval: { ...approval, ttl: 0 } })],
    ['a bind that is no pointer', ask({ approval: { ...approval, bind: ['task'] } })],
    ['a bind to the whole input', ask({ approval: { ...approval, bind: [''] } })],
    ['a credential with an unknown member', allow({ credential: { scope: 'all' } })],
    ['a credential that is text', allow({ credential: 'crm' })],
    ['a scope with a blank', allow({ credential: { scopes: ['read write'] } })],
    ['scopes as text', allow({ credential: { scopes: 'read' } })],
    ['a ttl below nothing', allow({ credential: { ttl: -1 } })],
    ['an endless ttl', allow({ credential: { ttl: Infinity } })],
  ])('%s', (_case, document) => {
    expect(fate(document)).toBe('decide.malformed')
  })

  it('whatever comes, it is a decision or a refusal, and only a whole allow allows', () => {
    const part = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom(1, 'allow', 'deny', [], {}, [reason()]))
    const document = fc.record(
      { v: part, effect: part, reasons: part, obligations: part, labels: part, approval: part, credential: part },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(fc.oneof(document, fc.jsonValue()), (value) => {
        const outcome = fate(value)
        expect(['allow', 'deny', 'ask', 'decide.malformed']).toContain(outcome)
        if (outcome === 'allow') expect(value).toMatchObject({ v: 1, effect: 'allow', reasons: [], obligations: [] })
      }),
      { numRuns: 1000 },
    )
  })
})

describe('canonical text', () => {
  it('is the same for equal values and reads back as the value', () => {
    const shuffled = (value: unknown): unknown =>
      value === null || typeof value !== 'object'
        ? value
        : Array.isArray(value)
          ? value.map(shuffled)
          : Object.fromEntries(
              Object.entries(value)
                .toReversed()
                .map(([key, inner]) => [key, shuffled(inner)]),
            )
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4, stringUnit: 'grapheme' }), (value) => {
        const text = canonical(value)
        expect(canonical(shuffled(value))).toBe(text)
        expect(new Reading(text ?? '').value()).toEqual(new Reading(JSON.stringify(value)).value())
      }),
    )
  })

  it('sorts members by UTF-16 units and writes minus zero as zero (RFC 8785 §3.2.2.3 and §3.2.3)', () => {
    expect(canonical({ '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '\u{1f600}': 5, '\u0080': 6, '\u00f6': -0 })).toBe(
      '{"\\r":2,"1":4,"\u0080":6,"\u00f6":0,"\u20ac":1,"\u{1f600}":5,"\ufb33":3}',
    )
  })
})
