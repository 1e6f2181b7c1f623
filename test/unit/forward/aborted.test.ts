import { describe, expect, test } from 'vitest'
import { Hearing } from '../../../src/forward/aborted.ts'

function counted(): { told: number; aborted(): void } {
  return {
    told: 0,
    aborted() {
      this.told++
    },
  }
}

describe('who hears the signal of a call', () => {
  test('is told once that it aborted', () => {
    const [abort, call] = [new AbortController(), counted()]
    const hearing = new Hearing(abort.signal, call)
    abort.abort()
    hearing.handleEvent()
    hearing.end()
    expect(call.told).toBe(1)
  })

  test('is told nothing once it is let go', () => {
    const [abort, call] = [new AbortController(), counted()]
    const hearing = new Hearing(abort.signal, call)
    hearing.end()
    hearing.end()
    abort.abort()
    hearing.handleEvent()
    expect(call.told).toBe(0)
  })
})
