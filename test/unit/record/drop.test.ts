import { describe, expect, test } from 'vitest'
import { Drop } from '../../../src/record/drop.ts'

const line = (id: string, own: object) => JSON.stringify({ decision_id: id, custom: { countersign: { seq: 1, ...own } } })
const decision = (id: string, change: object = {}) => line(id, { kind: 'decision', effect: 'allow', rules: [], ...change })
const dropping = (answer: unknown = true) => {
  const asked: string[] = []
  const engine = { revision: 'r', answers: () => true, evaluate: (_: string, input: string) => (asked.push(input), answer) }
  return { asked, drop: new Drop({ engine: () => engine, parse: (text) => JSON.parse(text) }) }
}

describe('a sink', () => {
  test('is not given a plain allow that policy drops, nor its outcome', () => {
    const { drop, asked } = dropping()
    expect(drop.drops(decision('c_1'))).toBe(true)
    expect(drop.drops(line('c_2', { kind: 'outcome' }))).toBe(false)
    expect(drop.drops(line('c_1', { kind: 'outcome' }))).toBe(true)
    expect(drop.drops(line('c_1', { kind: 'outcome' }))).toBe(false)
    expect(asked).toEqual([decision('c_1')])
  })

  test('is given every refusal, question, approval, observed refusal, event and checkpoint, whatever policy says', () => {
    const { drop, asked } = dropping()
    const kept = [
      decision('a', { effect: 'deny' }),
      decision('b', { effect: 'ask' }),
      decision('c', { approval: 'a_1' }),
      decision('d', { observed: 'deny' }),
      decision('e', { rules: ['intent.tool'] }),
      line('f', { kind: 'refusal', code: 'decide.denied' }),
      line('g', { kind: 'event', event: 'task.opened' }),
      line('h', { kind: 'checkpoint' }),
      line('i', { kind: 'event', text: '"kind":"decision"' }),
    ]
    expect(kept.filter((text) => drop.drops(text))).toEqual([])
    expect(asked).toEqual([])
  })

  test('is given a line when policy says anything but true, throws, or is not there', () => {
    for (const answer of [false, null, 'true', 1, {}]) expect(dropping(answer).drop.drops(decision('c'))).toBe(false)
    const failing = {
      revision: 'r',
      answers: () => true,
      evaluate: () => {
        throw new Error('aborted')
      },
    }
    expect(new Drop({ engine: () => failing, parse: (text) => JSON.parse(text) }).drops(decision('c'))).toBe(false)
    expect(new Drop({ engine: () => null, parse: (text) => JSON.parse(text) }).drops(decision('c'))).toBe(false)
    expect(dropping().drop.drops('not json "kind":"decision"')).toBe(false)
  })
})
