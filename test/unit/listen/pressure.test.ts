import { describe, expect, it } from 'vitest'
import { Pressure } from '../../../src/listen/pressure.ts'

const limits = { delay: 100, heap: 0.9, calls: 1000 }
const well = { delay: 3, heap: 0.2 }
const late = { delay: 101, heap: 0.2 }
const full = { delay: 3, heap: 0.91 }

describe('what is left to a caller', () => {
  it('is all of its limit while the process keeps up', () => {
    const pressure = new Pressure()
    for (let look = 0; look < 10; look++) pressure.look(well, limits)
    expect([pressure.share, pressure.most(64)]).toEqual([1, 64])
  })

  it('is all of it after one long turn: that is no overload', () => {
    const pressure = new Pressure()
    for (let look = 0; look < 10; look++) pressure.look(look % 2 === 0 ? late : well, limits)
    expect(pressure.most(64)).toBe(64)
  })

  it.each([
    ['the event loop is late', late],
    ['the heap is nearly full', full],
  ])('halves again and again while %s, down to one call', (_, found) => {
    const pressure = new Pressure()
    const left = Array.from({ length: 20 }, () => {
      pressure.look(found, limits)
      return pressure.most(64)
    })
    expect(left.slice(0, 4)).toEqual([64, 32, 16, 8])
    expect(left.at(-1)).toBe(1)
  })

  it('comes back little by little once the process keeps up', () => {
    const pressure = new Pressure()
    for (let look = 0; look < 20; look++) pressure.look(late, limits)
    const left: number[] = []
    while (pressure.share < 1 && left.length < 100) {
      pressure.look(well, limits)
      left.push(pressure.most(64))
    }
    expect(left.length).toBeLessThanOrEqual(17)
    expect(left).toEqual([...left].sort((a, b) => a - b))
    expect(left.at(-1)).toBe(64)
  })

  it('does not depend on lateness where that has no bound', () => {
    const pressure = new Pressure()
    for (let look = 0; look < 5; look++) pressure.look({ delay: 60_000, heap: 0 }, { ...limits, delay: 0 })
    expect(pressure.share).toBe(1)
  })
})
