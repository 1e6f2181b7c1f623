import { describe, expect, it } from 'vitest'
import { dutiesOf, noDuties } from '../../../src/decide/duties.ts'
import type { Entrypoint } from '../../../src/decide/engine.ts'
import { readResult } from '../../../src/decide/result.ts'
import { Refusal } from '../../../src/refusal.ts'
import { givenDecision } from '../../support/given.ts'

const well: readonly (readonly [string, object])[] = [
  ['mask_response', { paths: ['/a', '/b/*/c~1d/~0', '/'] }],
  ['drop_response_fields', { paths: [] }],
  ['redact_request', { paths: ['/\u{1f600}/0'] }],
  ['narrow_credential', { scopes: ['read'], ttl: 1, audience: 'https://api.acme.example' }],
  ['narrow_credential', {}],
  ['rate_limit', { key: 'exports of customer:42', scope: 'task', calls: 1, per: 1000 }],
  ['debit_budget', { meter: 'refunds_eur', amount: 0.5 }],
  ['raise_sensitivity', { classes: ['personal'] }],
  ['notify', { to: 'oncall', message: 'a person should look at this' }],
  ['pass_unsearched', {}],
  ['revoke_leases', {}],
]

const one = (type: string, properties: object, id = 'o'): object => givenDecision({ obligations: [{ id, type, properties }] })
const many = (...given: readonly (readonly [string, object])[]): object =>
  givenDecision({ obligations: given.map(([type, properties], at) => ({ id: `o${at}`, type, properties })) })

/** What became of it: `read`, or the place that is wrong. */
function fate(document: object, entrypoint?: Entrypoint): string {
  try {
    readResult(document, entrypoint)
    return 'read'
  } catch (error) {
    const { code, detail } = Refusal.from(error)
    expect(code).toBe('decide.malformed')
    return detail ?? ''
  }
}

describe('an obligation', () => {
  it.each(well)('%s is read with properties %o', (type, properties) => {
    expect(readResult(one(type, properties)).obligations).toEqual([{ id: 'o', type, properties }])
  })

  it.each<[string, object]>([
    ['', {}],
    ['toString', {}],
    ['__proto__', {}],
    ['Notify', { to: 'oncall', message: 'm' }],
    ['mask_response', {}],
    ['mask_response', { paths: '/a' }],
    ['mask_response', { paths: ['a'] }],
    ['mask_response', { paths: [''] }],
    ['mask_response', { paths: ['/~2'] }],
    ['mask_response', { paths: ['/a~'] }],
    ['mask_response', { paths: ['/\ud800'] }],
    ['mask_response', { paths: [`/${'a'.repeat(512)}`] }],
    ['mask_response', { paths: Array(65).fill('/a') }],
    ['mask_response', { paths: ['/a'], except: [] }],
    ['redact_request', { paths: [1] }],
    ['narrow_credential', { scopes: [] }],
    ['narrow_credential', { scopes: ['a b'] }],
    ['narrow_credential', { ttl: 0 }],
    ['narrow_credential', { ttl: 1.5 }],
    ['narrow_credential', { audience: '' }],
    ['narrow_credential', { provider: 'crm' }],
    ['rate_limit', { key: 'k', scope: 'task', calls: 0, per: 1000 }],
    ['rate_limit', { key: 'k', scope: 'task', calls: 1.5, per: 1000 }],
    ['rate_limit', { key: 'k', scope: 'task', calls: 1, per: 999 }],
    ['rate_limit', { key: 'k', scope: 'task', calls: 1, per: 1e15 }],
    ['rate_limit', { key: 'k', scope: 'everybody', calls: 1, per: 1000 }],
    ['rate_limit', { key: '', scope: 'task', calls: 1, per: 1000 }],
    ['rate_limit', { key: 'a\nb', scope: 'task', calls: 1, per: 1000 }],
    ['rate_limit', { key: 'k'.repeat(257), scope: 'task', calls: 1, per: 1000 }],
    ['debit_budget', { meter: 'eur', amount: -1 }],
    ['debit_budget', { meter: 'eur', amount: Number.NaN }],
    ['debit_budget', { meter: 'eur', amount: '1' }],
    ['debit_budget', { meter: '', amount: 1 }],
    ['raise_sensitivity', { classes: 'personal' }],
    ['raise_sensitivity', { classes: [''] }],
    ['raise_sensitivity', { classes: Array(65).fill('a') }],
    ['notify', { to: 'on call', message: 'm' }],
    ['notify', { to: 'oncall', message: '' }],
    ['notify', { to: 'oncall', message: 'a\nb' }],
    ['notify', { to: 'oncall' }],
    ['revoke_leases', { task: 't_1' }],
    ['revoke_leases', []],
    ['pass_unsearched', { codings: ['compress'] }],
  ])('%s with properties %o is malformed', (type, properties) => {
    expect(fate(one(type, properties))).toMatch(/^result: obligations\/0/)
  })

  it('has an id that no other has', () => {
    const twice = ['revoke_leases', 'revoke_leases'].map((type) => ({ id: 'o', type, properties: {} }))
    expect(fate(givenDecision({ obligations: twice }))).toContain('one id twice')
    expect(fate(one('revoke_leases', {}, 'a b'))).toContain('obligations/0/id')
  })
})

describe('where an obligation may stand', () => {
  const types = [...new Set(well.map(([type]) => type))]
  const allowed: Readonly<Record<string, readonly string[]>> = {
    'countersign/decision': types,
    'countersign/response': ['mask_response', 'drop_response_fields', 'raise_sensitivity', 'notify', 'revoke_leases'],
    'countersign/continue': ['notify', 'revoke_leases'],
    'countersign/task': [],
  }

  it.each(Object.entries(allowed))('in an answer of %s: %j', (entrypoint, expected) => {
    const properties = Object.fromEntries(well)
    const standing = types.filter((type) => fate(one(type, properties[type] ?? {}), entrypoint as Entrypoint) === 'read')
    expect(standing).toEqual(expected)
  })

  it('is told anew for each entrypoint, also of a document that was read before', () => {
    const document = Object.freeze(one('rate_limit', { key: 'k', scope: 'all', calls: 1, per: 1000 }))
    expect(fate(document, 'countersign/decision')).toBe('read')
    expect(fate(document, 'countersign/response')).toContain('not in an answer of countersign/response')
    expect(readResult(document, 'countersign/decision')).toBe(readResult(document))
  })
})

describe('obligations of one type', () => {
  const duties = (...given: readonly (readonly [string, object])[]) => readResult(many(...given)).duties

  it('are none, and the same none, for an answer without any', () => {
    expect(readResult(givenDecision()).duties).toBe(noDuties)
    expect(dutiesOf([])).toBe(noDuties)
  })

  it('join their paths and classes', () => {
    expect(duties(['mask_response', { paths: ['/a', '/b'] }], ['mask_response', { paths: ['/b', '/c'] }]).mask).toEqual(['/a', '/b', '/c'])
    expect(duties(['drop_response_fields', { paths: ['/a'] }]).drop).toEqual(['/a'])
    expect(duties(['redact_request', { paths: ['/a'] }], ['redact_request', { paths: ['/*'] }]).redact).toEqual(['/a', '/*'])
    expect(duties(['raise_sensitivity', { classes: ['b'] }], ['raise_sensitivity', { classes: ['a', 'b'] }]).classes).toEqual(['b', 'a'])
  })

  it('narrow a credential to what all of them leave', () => {
    const narrow = (...given: readonly object[]) => duties(...given.map((each) => ['narrow_credential', each] as const)).narrow
    expect(narrow({ scopes: ['a', 'b'], ttl: 10 }, { scopes: ['b', 'c'], ttl: 20 }, { audience: 'x' })).toEqual({
      scopes: ['b'],
      ttl: 10,
      audience: 'x',
    })
    expect(narrow({ audience: 'x' }, { audience: 'x' })).toEqual({ audience: 'x' })
    expect(fate(many(['narrow_credential', { scopes: ['a'] }], ['narrow_credential', { scopes: ['b'] }]))).toContain('without a scope')
    expect(fate(many(['narrow_credential', { audience: 'x' }], ['narrow_credential', { audience: 'y' }]))).toContain('two audiences')
  })

  it('all limit, and of two for the same calls the lower one does', () => {
    const limit = (change: object) => ['rate_limit', { key: 'k', scope: 'all', calls: 5, per: 1000, ...change }] as const
    expect(duties(limit({}), limit({ calls: 3 }), limit({ calls: 4 })).limits).toEqual([{ key: 'k', scope: 'all', calls: 3, per: 1000 }])
    expect(duties(limit({}), limit({ key: 'l' }), limit({ per: 2000 }), limit({ scope: 'task' })).limits).toHaveLength(4)
  })

  it('add up what they debit, whatever the meter is called', () => {
    const debit = (meter: string, amount: number) => ['debit_budget', { meter, amount }] as const
    const sum = duties(debit('eur', 1), debit('__proto__', 2), debit('eur', 3)).debit ?? {}
    expect(Object.entries(sum)).toEqual([
      ['eur', 4],
      ['__proto__', 2],
    ])
  })
})
