import { expect, it } from 'vitest'
import { CallerLoad } from '../../../src/listen/limits.ts'

it('a caller holds only so many calls, whatever others hold, and gets one back for each that ends', () => {
  const load = new CallerLoad()
  load.take('a', 2)
  load.take('a', 2)
  expect(() => load.take('a', 2)).toThrow('listen.overloaded')
  load.take('b', 2)
  load.leave('a')
  load.take('a', 2)
  expect(() => load.take('a', 2)).toThrow('listen.overloaded')
})

it('a call that ends twice gives nothing away', () => {
  const load = new CallerLoad()
  load.leave('a')
  load.take('a', 1)
  expect(() => load.take('a', 1)).toThrow('listen.overloaded')
})
