import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { activate } from '../../../src/decide/activation.ts'
import { readBundle } from '../../../src/decide/bundle/bundle.ts'
import { encodeInput } from '../../../src/decide/input-text.ts'
import { PolicyInstance } from '../../../src/decide/instance.ts'
import { builtinCalls } from '../../support/builtin-calls.ts'
import { allowedInput, builtinsPolicyBytes, defaultPolicyBytes } from '../../support/policy-rig.ts'
import { changedInputs, schemaInputs } from '../../support/policy-inputs.ts'

describe('the fast path and the path of the SDK', () => {
  it('judge calls alike', () => {
    agree(defaultPolicyBytes, 'countersign/decision', fc.oneof(changedInputs(allowedInput()), schemaInputs('input')), 400)
  })

  it('judge tasks alike', () => {
    agree(defaultPolicyBytes, 'countersign/task', schemaInputs('task'), 200)
  })

  it('call every builtin alike', () => {
    agree(builtinsPolicyBytes, 'countersign/decision', builtinCalls(), 1500)
  })

  it('take any text, any number and large texts alike', () => {
    const value = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.string({ unit: 'binary' }),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.maxSafeInteger(),
      fc.constantFrom<unknown>(
        0,
        -0,
        5e-324,
        1.7976931348623157e308,
        2 ** 53,
        -(2 ** 53) - 2,
        1e21,
        0.1,
        '',
        '\u0000',
        '\u2028',
        '\uffff',
        null,
        true,
      ),
      fc
        .tuple(fc.string({ unit: 'grapheme', minLength: 1 }), fc.integer({ min: 1, max: 20_000 }))
        .map(([unit, count]) => unit.repeat(count).slice(0, 20_000).toWellFormed()),
    )
    const format = fc.record({ call: fc.constant('sprintf'), args: value.map((one) => ['%v|%s|%q', [one, one, one]]) })
    const part = fc.record({ call: fc.constant('object.subset'), args: value.map((one) => [{ a: [one] }, { a: [one] }]) })
    agree(builtinsPolicyBytes, 'countersign/decision', fc.oneof(format, part), 300)
  })
})

/** Both evaluate on the same instance; a throw must be one on both. */
function agree(bytes: Uint8Array, entrypoint: string, inputs: fc.Arbitrary<unknown>, numRuns: number): void {
  const bundle = readBundle(bytes)
  const module = activate(bundle)
  const fresh = (): PolicyInstance =>
    new PolicyInstance({
      module,
      data: bundle.data,
      initialPages: 32,
      maxPages: 1024,
      clock: () => 1_790_000_000_123,
      print: () => undefined,
    })
  let instance = fresh()
  const number = instance.entrypoints.get(entrypoint) ?? -1
  const attempt = (evaluate: () => unknown): string => {
    try {
      return canonical(evaluate())
    } catch (error) {
      instance = fresh()
      return `throws ${error instanceof Error ? error.message : String(error)}`
    }
  }
  fc.assert(
    fc.property(inputs, (input) => {
      const text = JSON.stringify(input)
      const fast = attempt(() => JSON.parse(instance.evaluate(number, encodeInput(text))))
      const slow = attempt(() => instance.evaluateBySdk(number, JSON.parse(text)))
      expect(fast).toBe(slow)
      expect(fast).not.toContain('throws')
    }),
    { numRuns },
  )
}

/** Keys sorted; both paths run the same module, so even sets come out in the same order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner !== 'object' || inner === null || Array.isArray(inner)
      ? inner
      : Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))),
  )
}
