import { describe, expect, it } from 'vitest'
import { Permit } from '../../../src/decide/permit.ts'
import { Refusal } from '../../../src/refusal.ts'
import { sketchDecision } from '../../support/decision.ts'

const codeOf = (attempt: () => unknown): string => {
  try {
    attempt()
    return 'passed'
  } catch (error) {
    return Refusal.from(error).code
  }
}

describe('a permit', () => {
  it('is minted from a decision that allows, once its facts are swapped', () => {
    const decision = sketchDecision()
    const swapped: unknown[] = []
    const permit = Permit.mint(decision, (seen) => void swapped.push(seen))
    expect(swapped).toEqual([decision])
    expect(permit.decision).toBe(decision)
    expect(permit.signal).toBe(decision.question.call.signal)
    expect(codeOf(() => Permit.check(permit))).toBe('passed')
  })

  it.each(['deny', 'ask', 'defer'] as const)('is not minted from %s, and nothing is swapped', (effect) => {
    let swaps = 0
    expect(codeOf(() => Permit.mint(sketchDecision(undefined, { effect }), () => void swaps++))).toBe('decide.denied')
    expect(swaps).toBe(0)
  })

  it('is not minted when the swap refuses', () => {
    expect(
      codeOf(() =>
        Permit.mint(sketchDecision(), () => {
          throw new Refusal('task.ended')
        }),
      ),
    ).toBe('task.ended')
  })

  it('cannot be made in any other way', () => {
    const real = Permit.mint(sketchDecision(), () => undefined)
    const forged: unknown[] = [
      { decision: real.decision, signal: real.signal },
      Object.assign({}, real),
      Object.create(Permit.prototype),
      Object.assign(Object.create(Permit.prototype), real),
      Object.create(real),
      new Proxy(real, {}),
      structuredClone({ effect: 'allow' }),
      // @ts-expect-error the constructor is private: this line must not compile
      new Permit(real.decision),
      Reflect.construct(Permit, [real.decision]),
      new (class extends (Permit as unknown as new (decision: unknown) => object) {})(real.decision),
    ]
    for (const permit of forged) expect(codeOf(() => Permit.check(permit as Permit))).toBe('internal')
  })
})
