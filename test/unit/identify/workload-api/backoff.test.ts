import { expect, test } from 'vitest'
import { Backoff } from '../../../../src/identify/workload-api/backoff.ts'

const unshaken = { random: () => 0 }

test('waits a second more each time, up to thirty', () => {
  const backoff = new Backoff(unshaken)
  const waits = Array.from({ length: 40 }, () => backoff.next())
  expect(waits.slice(0, 4)).toEqual([1000, 2000, 3000, 4000])
  expect(waits.slice(29)).toEqual(Array.from({ length: 11 }, () => 30_000))
})

test('starts over after a reset', () => {
  const backoff = new Backoff(unshaken)
  backoff.next()
  backoff.next()
  backoff.reset()
  expect(backoff.next()).toBe(1000)
})

test('the longest wait can be chosen, and chance only ever shortens a wait, by a tenth at most', () => {
  const backoff = new Backoff({ max: 3000, random: () => 1 })
  expect(Array.from({ length: 4 }, () => backoff.next())).toEqual([900, 1800, 2700, 2700])
})
