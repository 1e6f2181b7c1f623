import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { waitOf } from '../../../src/approve/prefer.ts'

const wait = (prefer: string | undefined, most = 25_000): number => waitOf({ header: () => prefer }, most)

describe('how long a client waits', () => {
  it.each([
    ['wait=10', 10_000],
    ['wait=60', 25_000],
    ['WAIT = 3', 3000],
    ['wait="3"', 3000],
    ['respond-async, wait=10', 10_000],
    ['respond-async,wait=7;foo=bar', 7000],
    ['wait=2, wait=20', 2000],
    ['note="a, wait=9", wait=4', 4000],
    ['note="a\\", wait=9"', 0],
    ['wait', 0],
    ['wait=', 0],
    ['wait=-1', 0],
    ['wait=1.5', 0],
    ['wait=10s', 0],
    ['waiting=10', 0],
    ['return=minimal', 0],
    ['wait=9999999999', 0],
    ['', 0],
  ])('is read of `Prefer: %s`', (prefer, ms) => {
    expect(wait(prefer)).toBe(ms)
  })

  it('is nothing without the header, or where nobody may wait', () => {
    expect([wait(undefined), wait('wait=10', 0)]).toEqual([0, 0])
  })

  it('is bounded whatever is sent', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), fc.nat(60_000), (prefer, most) => {
        const ms = wait(prefer, most)
        expect(ms >= 0 && ms <= most).toBe(true)
      }),
    )
  })
})
