import { assert, constantFrom, property, uniqueArray } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isMore, remember, withRead } from '../../../src/task/sensitivity.ts'
import { sketchFacts } from '../../support/question.ts'

describe('a call reads more than was read', () => {
  it('when neither its task nor another of its caller had read a class of its', () => {
    const facts = sketchFacts({ sensitivity: ['internal'] }, { sensitivity: { personal: 1 } })
    expect(isMore(facts, ['secret'], null)).toBe(true)
    expect(isMore(facts, ['internal', 'personal', 'secret'], null)).toBe(true)
    expect(isMore(facts, ['internal', 'personal'], null)).toBe(false)
    expect(isMore(facts, ['public'], null)).toBe(false)
    expect(isMore(facts, [], null)).toBe(false)
  })

  it('also when it reads anew where what was read fades, once a second', () => {
    const facts = sketchFacts({ sensitivity: ['personal'] }, { sensitivity: { personal: 5000 } })
    expect(isMore(facts, ['personal'], 4001)).toBe(false)
    expect(isMore(facts, ['personal'], 5000)).toBe(false)
    expect(isMore(facts, ['personal'], 5001)).toBe(true)
    expect(isMore(facts, ['public'], 9000)).toBe(false)
  })

  it('also when the class is called like what every object has', () => {
    const facts = sketchFacts({}, { sensitivity: JSON.parse('{"personal":1}') as Record<string, number> })
    expect(isMore(facts, ['constructor'], null)).toBe(true)
  })

  it('exactly when policy then sees more', () => {
    const classes = uniqueArray(constantFrom('public', 'internal', 'personal', 'secret', 'toString'), { maxLength: 4 })
    assert(
      property(classes, classes, classes, (ofTask, ofCaller, data) => {
        const task = withRead([], ofTask)
        const { sensitivity } = remember({ version: 0, sensitivity: {}, sums: null }, ofCaller, 1000, 60_000)
        const after = remember({ version: 0, sensitivity, sums: null }, data, 2000, 60_000)
        const seen = (read: readonly string[], kept: Readonly<Record<string, number>>) => new Set([...read, ...Object.keys(kept)])
        const grown = seen(withRead(task, data), after.sensitivity).size > seen(task, sensitivity).size
        expect(isMore(sketchFacts({ sensitivity: task }, { sensitivity }), data, null)).toBe(grown)
      }),
    )
  })
})
