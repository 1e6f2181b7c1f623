import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Bag } from '../../src/bag.ts'

describe('a bag', () => {
  test('holds what a set would hold, whatever is added and taken out in which order', () => {
    const step = fc.record({ add: fc.boolean(), member: fc.nat(12) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const [bag, set] = [new Bag<number>(), new Set<number>()]
        for (const { add, member } of steps) {
          if (add && !set.has(member)) bag.add(member)
          if (add) set.add(member)
          else expect(bag.delete(member)).toBe(set.delete(member))
          expect(bag.size).toBe(set.size)
          expect(bag.list().toSorted((a, b) => a - b)).toEqual([...set].toSorted((a, b) => a - b))
        }
      }),
    )
  })

  test('is walked as it was, while members come and go', () => {
    const bag = new Bag<number>()
    for (const member of [1, 2, 3]) bag.add(member)
    for (const member of bag.list()) bag.delete(member)
    expect(bag.size).toBe(0)
  })

  test('takes out what is found, the latest first', () => {
    const bag = new Bag<{ readonly id: number }>()
    for (const id of [1, 2, 3]) bag.add({ id })
    expect(bag.takeIf(({ id }) => id < 3)).toEqual({ id: 2 })
    expect(bag.takeIf(({ id }) => id === 2)).toBeUndefined()
    expect(bag.some(({ id }) => id === 3)).toBe(true)
    expect(bag.list()).toEqual([{ id: 1 }, { id: 3 }])
  })
})
