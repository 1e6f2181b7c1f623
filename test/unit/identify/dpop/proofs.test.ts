import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ahead, ProofMemory } from '../../../../src/identify/dpop/proofs.ts'

const start = 1_790_000_000_000
const window = 60_000

describe('used proofs', () => {
  test('are known for as long as they may be accepted', () => {
    const memory = new ProofMemory(start)
    expect(memory.use('key', 'one', start + ahead, start, window)).toBe('fresh')
    for (let now = start; now < start + ahead + window; now += 1000) {
      expect(memory.forgot(start + ahead, now, window)).toBe(false)
      expect(memory.use('key', 'one', start + ahead, now, window)).toBe('used')
      memory.use('key', `other ${now}`, now, now, window)
    }
  })

  test('are forgotten in the end, those of every key', () => {
    const memory = new ProofMemory(start, 2)
    for (const key of ['one', 'two']) for (const jti of ['a', 'b']) expect(memory.use(key, jti, start, start, window)).toBe('fresh')
    expect(memory.use('one', 'c', start, start, window)).toBe('full')
    const later = start + 2 * (window + ahead)
    expect(memory.use('one', 'c', later, later, window)).toBe('fresh')
    expect(memory.forgot(start, later, window)).toBe(true)
    expect(memory.forgot(start + 1, later, window)).toBe(false)
  })

  test('take their turn again after a clock that was ahead for a day', () => {
    const memory = new ProofMemory(start, 3)
    const day = 86_400_000
    memory.use('key', 'ahead', start + day, start + day, window)
    const jtis = ['a', 'b', 'c', 'd', 'e', 'f']
    for (const [at, jti] of jtis.entries()) {
      const now = start + at * (window + ahead)
      expect(memory.use('key', jti, now, now, window)).toBe('fresh')
    }
  })

  test('from before the second it began in may be unknown', () => {
    const memory = new ProofMemory(start + 700)
    expect(memory.forgot(start - 1, start + 700, window)).toBe(true)
    expect(memory.forgot(start, start + 700, window)).toBe(false)
  })
})

/** What `checkTime` and `use` of the stage do, on a clock that a property moves. */
interface Proof {
  readonly key: string
  readonly jti: string
  readonly issuedAt: number
  readonly nonce: string | null
}

function accepts(memory: ProofMemory, proof: Proof, now: number, lasting: number): boolean {
  if (proof.issuedAt > now + ahead || now >= proof.issuedAt + lasting) return false
  const unknown = memory.forgot(proof.issuedAt, now, lasting)
  if (unknown && !(proof.nonce !== null && memory.knows(proof.nonce, now, lasting))) return false
  return memory.use(proof.key, proof.jti, proof.issuedAt, now, lasting) === 'fresh'
}

test('no proof is accepted twice, however the clock steps and the window is set anew', () => {
  const step = fc.record({
    // a little, about a window, or anywhere
    move: fc.oneof(
      fc.integer({ min: 0, max: 20_000 }),
      fc.integer({ min: -150_000, max: 150_000 }),
      fc.constantFrom(3_600_000, -3_600_000, 65_000, -65_000, 30_000),
    ),
    offset: fc.integer({ min: -65_000, max: ahead }),
    withNonce: fc.boolean(),
    lasting: fc.constantFrom(window, window, window, 5000, 300_000),
  })
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 40 }), (steps) => {
      const memory = new ProofMemory(start)
      const made: Proof[] = []
      const accepted = new Set<string>()
      let now = start
      for (const [at, { move, offset, withNonce, lasting }] of steps.entries()) {
        now += move
        made.push({ key: `key ${at % 2}`, jti: `jti ${at}`, issuedAt: now + offset, nonce: withNonce ? memory.nonce(now, lasting) : null })
        for (const proof of made) {
          if (!accepts(memory, proof, now, lasting)) continue
          expect(accepted.has(proof.jti)).toBe(false)
          accepted.add(proof.jti)
        }
      }
    }),
    { numRuns: 3000 },
  )
})

test('a fresh proof with the nonce of the moment is always accepted', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -4_000_000, max: 4_000_000 }), { maxLength: 40 }), (moves) => {
      const memory = new ProofMemory(start)
      let now = start
      for (const [at, move] of moves.entries()) {
        now += move
        const nonce = memory.nonce(now, window)
        expect(accepts(memory, { key: 'key', jti: String(at), issuedAt: now, nonce }, now, window)).toBe(true)
      }
    }),
    { numRuns: 500 },
  )
})
