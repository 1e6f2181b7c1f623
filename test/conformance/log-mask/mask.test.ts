import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { maskSpoken, type Spoken } from '../../../src/record/mask.ts'
import { applyMaskRules, readMaskRules } from '../../../src/record/mask-rules.ts'
import { pseudonymsOf } from '../../../src/record/pseudonym.ts'

const pseudonym = pseudonymsOf(Buffer.alloc(32, 7))

const event = () => ({
  input: {
    request: { query: { token: ['a', 'b', 'c'], 'a b': ['1'], 'x~1y': ['2'] }, body: { size: 7 } },
    list: [[1, 2], { k: 'v' }],
  } as unknown,
  result: { effect: 'allow', reasons: [] } as unknown,
})
const masked = (...rules: unknown[]) => {
  const parts = event()
  return { ...applyMaskRules(readMaskRules(rules), parts, pseudonym), ...parts }
}

describe('rules', () => {
  test('[OPA decision logs §mask] are paths and objects with op, path and value; one that is neither spoils them all', () => {
    expect(() => readMaskRules(['/input/a', { op: 'remove', path: '/result' }, { op: 'upsert', path: '/input/b', value: 1 }])).not.toThrow()
    const bad = [
      7,
      null,
      [],
      {},
      { op: 'replace', path: '/input' },
      { op: '', path: '/input' },
      { path: '/input' },
      { op: 'remove' },
      { op: 'remove', path: 1 },
    ]
    for (const rule of bad) expect(() => readMaskRules(['/input/a', rule]), JSON.stringify(rule)).toThrow()
    for (const result of [null, 'x', {}, 1]) expect(() => readMaskRules(result)).toThrow()
  })

  test('[OPA decision logs §mask path] lead from a slash into input, result or nd_builtin_cache', () => {
    for (const path of ['', 'input', '/labels/id', '/custom/countersign/seq', '/', '/inputs', '/input/%zz'])
      expect(() => readMaskRules([path]), path).toThrow()
    expect(masked('/nd_builtin_cache/x')).toMatchObject({ erased: [], masked: [] })
  })

  test('[OPA decision logs §mask path] are compared percent-encoded, and ~1 is no slash', () => {
    expect(masked('/input/request/query/x~1y').erased).toEqual(['/input/request/query/x~1y'])
    expect(masked({ op: 'upsert', path: '/input/new key', value: 1 })).toMatchObject({
      masked: ['/input/new%20key'],
      input: { 'new%20key': 1 },
    })
  })

  test('[Countersign: masking finds every key] find a key as it was written and decoded too', () => {
    expect(masked('/input/request/query/a b')).toMatchObject({ erased: ['/input/request/query/a%20b'] })
    for (const path of ['/input/request/query/a b', '/input/request/query/a%20b'])
      expect(masked(path).input).toMatchObject({ request: { query: expect.not.objectContaining({ 'a b': expect.anything() }) } })
    const parts = { input: { 'a/b': 1, 'a%2Fb': 2, 'a%252Fb': 3, other: 4 } as unknown, result: undefined }
    applyMaskRules(readMaskRules([{ op: 'upsert', path: '/input/a%2Fb', value: null }]), parts, pseudonym)
    expect(parts.input).toEqual({ 'a/b': null, 'a%2Fb': null, 'a%252Fb': null, other: 4 })
  })
})

describe('remove', () => {
  test('[OPA decision logs §remove] takes a member away and lists it; what is not there is not listed', () => {
    const { input, erased } = masked(
      '/input/request/body/size',
      '/input/request/body/none',
      '/input/request/body/size/deeper',
      '/input/list/7',
    )
    expect(erased).toEqual(['/input/request/body/size'])
    expect(input).toMatchObject({ request: { body: {} } })
  })

  test('[OPA decision logs §remove] takes an item away and the ones behind it move up', () => {
    const { input, erased } = masked('/input/request/query/token/0', '/input/request/query/token/00', '/input/list/0/0000000000000000001')
    expect(erased).toEqual(['/input/request/query/token/0', '/input/request/query/token/00', '/input/list/0/0000000000000000001'])
    expect(input).toMatchObject({ request: { query: { token: ['c'] } }, list: [[1], { k: 'v' }] })
  })

  test('[OPA decision logs §remove] takes a whole part away', () => {
    const after = masked('/input', '/input/request', '/result')
    expect([after.input, after.result, after.erased]).toEqual([undefined, undefined, ['/input', '/result']])
  })
})

describe('upsert', () => {
  test('[OPA decision logs §upsert] replaces a value, an item or a whole part', () => {
    expect(masked({ op: 'upsert', path: '/input/request/query/token/1', value: '***' })).toMatchObject({
      masked: ['/input/request/query/token/1'],
      input: { request: { query: { token: ['a', '***', 'c'] } } },
    })
    expect(masked({ op: 'upsert', path: '/result', value: { effect: 'allow' } })).toMatchObject({
      result: { effect: 'allow' },
      masked: ['/result'],
    })
    expect(masked({ op: 'upsert', path: '/input' }).input).toBeNull()
  })

  test('[OPA decision logs §upsert] makes the members that are missing on the way, and no items', () => {
    expect(masked({ op: 'upsert', path: '/input/a/b/c', value: 1 })).toMatchObject({
      input: { a: { b: { c: 1 } } },
      masked: ['/input/a/b/c'],
    })
    expect(
      masked({ op: 'upsert', path: '/input/list/9', value: 1 }, { op: 'upsert', path: '/input/request/body/size/x', value: 1 }).masked,
    ).toEqual([])
  })

  test('[OPA decision logs §upsert] writes a member called __proto__ like another', () => {
    const { input } = masked({ op: 'upsert', path: '/input/__proto__/polluted', value: 1 })
    expect(Object.hasOwn(input as object, '__proto__')).toBe(true)
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  })
})

describe('a line', () => {
  const spoken: Spoken = { input: '{"a":1}', result: '{"effect":"allow"}', erased: [], masked: [], hashed: [], withheld: false }
  const engine = (evaluate: () => unknown) => ({ revision: 'r', answers: () => true, evaluate })
  const masking = { parse: (text: string): unknown => JSON.parse(text), log: { error: () => undefined }, engine: () => null }
  const gone = { input: 'null', result: 'null', erased: ['/input', '/result'], masked: [], hashed: [], withheld: true }

  test('[Countersign: masking never loses a line] is as it was when policy masks nothing or cannot mask', () => {
    expect(
      maskSpoken(
        spoken,
        () => '{}',
        engine(() => []),
        masking,
      ),
    ).toBe(spoken)
    expect(
      maskSpoken(
        spoken,
        () => '{}',
        engine(() => undefined),
        masking,
      ),
    ).toBe(spoken)
    expect(maskSpoken(spoken, () => '{}', { ...engine(() => ['/input']), answers: () => false }, masking)).toBe(spoken)
  })

  test('[Countersign: masking never loses a line] loses input and result, and says so, when masking throws, answers rubbish or has no policy', () => {
    const thrown = engine(() => {
      throw new Error('aborted')
    })
    for (const broken of [thrown, engine(() => 'x'), engine(() => null), engine(() => ['/labels']), null])
      expect(maskSpoken(spoken, () => '{}', broken, masking)).toEqual(gone)
  })

  test('[Countersign: masking never loses a line] whatever rules come, it is JSON or withheld', () => {
    const rule = fc.oneof(
      fc.string(),
      fc.record({ op: fc.constantFrom('remove', 'upsert', 'x'), path: fc.string().map((text) => `/input/${text}`), value: fc.jsonValue() }),
      fc.anything(),
    )
    fc.assert(
      fc.property(fc.array(rule, { maxLength: 5 }), (rules) => {
        const said = maskSpoken(
          spoken,
          () => '{}',
          engine(() => rules),
          masking,
        )
        JSON.parse(said.input)
        JSON.parse(said.result ?? 'null')
      }),
      { numRuns: 500 },
    )
  })
})
