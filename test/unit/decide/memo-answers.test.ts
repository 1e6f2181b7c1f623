import { describe, expect, it } from 'vitest'
import type { Framed } from '../../../src/decide/frame.ts'
import { answers, rememberedOf, type Remembered } from '../../../src/decide/memo/answers.ts'
import { leafOf } from '../../../src/decide/memo/leaf.ts'
import { Trace, type Seen } from '../../../src/decide/memo/trace.ts'

describe('what an answer rests on', () => {
  const frame = { texts: ['{"body":', '}'], places: [['body']] }
  const whole = (document: unknown): Framed => {
    const without = '{"kind":"json"}'
    const own = [`{"kind":"json","parsed":${JSON.stringify(document)}}`]
    return { frame, own, document: { piece: 0, member: 'parsed', without, left: false } }
  }
  const brief = (document: unknown): Framed => {
    const { document: told, own } = whole(document)
    return { frame, own: own.map(() => told?.without ?? ''), document: { ...told!, left: true } }
  }
  const rests = (seen: Partial<Seen>): Remembered =>
    rememberedOf(whole({ a: 1 }), { whole: new Set(), leaves: new Map(), ...seen }, 'answer')!
  const leaf = (path: readonly string[], value?: unknown): Partial<Seen> => ({ leaves: new Map([[0, [leafOf(path, value)]]]) })

  it('is not found in a piece whose document is left out, unless it rests on nothing of that', () => {
    const kind = rests(leaf(['kind'], 'json'))
    for (const input of [whole(1), whole({ a: 2 }), brief(1)]) expect(answers(kind, input)).toBe(true)
    const inner = rests(leaf(['parsed', 'a'], 1))
    expect([whole({ a: 3 }), whole({ a: 'x' }), whole({}), brief({ a: 1 })].map((input) => answers(inner, input))).toEqual([
      true,
      false,
      false,
      false,
    ])
    const none = rememberedOf({ frame, own: ['{"kind":"json"}'] }, { whole: new Set([0]), leaves: new Map() }, 'answer')!
    expect([answers(none, { frame, own: ['{"kind":"json"}'] }), answers(none, brief(1)), answers(none, whole(1))]).toEqual([
      true,
      false,
      false,
    ])
    const absent = rememberedOf(
      { frame, own: ['{"kind":"json"}'] },
      { whole: new Set(), leaves: new Map([[0, [leafOf(['parsed'], undefined)]]]) },
      'answer',
    )!
    expect([answers(absent, { frame, own: ['{"kind":"json"}'] }), answers(absent, brief(1)), answers(absent, whole(1))]).toEqual([
      true,
      false,
      false,
    ])
  })
})

describe('a watched comparison', () => {
  const [root, name, number, other] = [16, 32, 64, 96]
  /** Memory of an engine with an object, the name of its member `n`, and two numbers. */
  const memory = (one: number, another: number): DataView => {
    const view = new DataView(new ArrayBuffer(256))
    view.setUint8(root, 6)
    view.setUint8(name, 4)
    view.setUint32(name + 4, 1, true)
    view.setUint32(name + 8, 200, true)
    view.setUint8(200, 'n'.charCodeAt(0))
    for (const [at, value] of [
      [number, one],
      [other, another],
    ] as const) {
      view.setUint8(at, 3)
      view.setUint8(at + 1, 1)
      view.setBigInt64(at + 8, BigInt(value), true)
    }
    return view
  }
  const input = (value: number): Framed => ({ frame: { texts: ['{"n":', '}'], places: [['n']] }, own: [String(value)] })
  const said = [0, 1, 2, 3, 4, 5, 6]

  it.each([
    ['opa_value_compare', (one: number, another: number) => one === another],
    ['opa_cmp_eq', (one: number, another: number) => one === another],
    ['opa_cmp_neq', (one: number, another: number) => one !== another],
    ['opa_cmp_lt', (one: number, another: number) => one < another],
    ['opa_cmp_lte', (one: number, another: number) => one <= another],
    ['opa_cmp_gt', (one: number, another: number) => one > another],
    ['opa_cmp_gte', (one: number, another: number) => one >= another],
  ])('by %s holds for the numbers that it comes out alike for, and for no other', (called, compare) => {
    for (const value of said)
      for (const turned of [false, true]) {
        const outcome = (one: number): boolean => (turned ? compare(3, one) : compare(one, 3))
        const view = memory(value, 3)
        // a boolean at 128
        view.setUint8(128, 2)
        view.setUint8(129, Number(outcome(value)))
        const trace = new Trace(input(value), root, () => view)
        trace.told('opa_value_get', number, [root, name])
        trace.told(called, called === 'opa_value_compare' ? Number(!outcome(value)) : 128, turned ? [other, number] : [number, other])
        const remembered = rememberedOf(input(value), trace.seen!, 'answer')!
        for (const one of said) expect(answers(remembered, input(one)), `${value} ${one}`).toBe(outcome(one) === outcome(value))
        expect(answers(remembered, { ...input(0), own: ['3.5'] })).toBe(false)
      }
  })

  it('that does not come out as its numbers say ends the watching', () => {
    const trace = new Trace(input(5), root, () => memory(5, 3))
    trace.told('opa_value_get', number, [root, name])
    expect(() => trace.told('opa_value_compare', 0, [number, other])).toThrow('not compared as they are')
  })

  it('of a kind that nobody knows holds for the same text alone', () => {
    const trace = new Trace(input(5), root, () => memory(5, 3))
    trace.told('opa_value_get', number, [root, name])
    trace.told('opa_something_new', number, [number, other])
    const remembered = rememberedOf(input(5), trace.seen!, 'answer')!
    expect(said.filter((one) => answers(remembered, input(one)))).toEqual([5])
  })
})
