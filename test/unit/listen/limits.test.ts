import { describe, expect, it } from 'vitest'
import { CallerLoad } from '../../../src/listen/limits.ts'

const limits = (callsPerCaller: number, calls = 1000) => ({ callsPerCaller, overload: { delay: 100, heap: 0.9, calls } })
const behind = { delay: 500, heap: 0.1 }

it('a caller holds only so many calls, whatever others hold, and gets one back for each that ends', () => {
  const load = new CallerLoad()
  load.take('a', limits(2))
  load.take('a', limits(2))
  expect(() => load.take('a', limits(2))).toThrow('listen.overloaded')
  load.take('b', limits(2))
  load.leave('a')
  load.take('a', limits(2))
  expect(() => load.take('a', limits(2))).toThrow('listen.overloaded')
})

it('a call that ends twice gives nothing away', () => {
  const load = new CallerLoad()
  load.leave('a')
  load.take('a', limits(1))
  expect(() => load.take('a', limits(1))).toThrow('listen.overloaded')
  load.take('b', limits(1, 2))
})

describe('while all callers together have too many calls', () => {
  it('those are turned away that hold more than their share, and nobody who holds less', () => {
    const load = new CallerLoad()
    for (let call = 0; call < 8; call++) load.take('looping', limits(64, 8))
    expect(() => load.take('looping', limits(64, 8))).toThrow('listen.overloaded')
    for (const caller of ['b', 'c']) load.take(caller, limits(64, 8))
    expect(() => load.take('looping', limits(64, 8))).toThrow('listen.overloaded')
    load.take('b', limits(64, 8))
    for (let call = 0; call < 8; call++) load.leave('looping')
    load.take('looping', limits(64, 8))
  })
})

describe('while the process falls behind', () => {
  it('a caller that holds many is turned away, one that holds none never is', () => {
    const load = new CallerLoad()
    for (let look = 0; look < 20; look++) load.pressure.look(behind, limits(64).overload)
    load.take('a', limits(64))
    expect(() => load.take('a', limits(64))).toThrow('listen.overloaded')
    load.take('b', limits(64))
  })
})
