import * as fc from 'fast-check'
import { readFileSync, globSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { readResult, rulingOf } from '../../../src/decide/result.ts'
import { allowedInput, defaultPolicyBytes, openHost } from '../../support/policy-rig.ts'

/** What docs/defer.md says, written another way: the first line that fits counts. */
type Said = { effect: 'deny' | 'ask' | 'defer'; observable: boolean; level?: 'sequence' }
const lines: readonly [(one: Said) => boolean, 'deny' | 'ask' | 'defer'][] = [
  [(one) => one.effect === 'deny' && !one.observable, 'deny'],
  [(one) => one.effect === 'deny' && one.level === 'sequence', 'deny'],
  [(one) => one.effect === 'defer', 'defer'],
  [(one) => one.effect === 'deny', 'deny'],
  [(one) => one.effect === 'ask', 'ask'],
]
const reference = (all: readonly Said[]): string => lines.find(([fits]) => all.some(fits))?.[1] ?? 'allow'

const said: fc.Arbitrary<Said> = fc.record(
  { effect: fc.constantFrom('deny', 'ask', 'defer'), observable: fc.boolean(), level: fc.constant('sequence') },
  { requiredKeys: ['effect', 'observable'] },
)

describe('the order of what rules say', () => {
  it('is that of the page, whatever rules say and in whatever order', () => {
    fc.assert(
      fc.property(fc.array(said, { maxLength: 8 }), (all) => rulingOf(all) === reference(all)),
      { numRuns: 2000 },
    )
  })

  it('is that of the page in the default policy', () => {
    const now = 1_790_000_000_000
    const host = openHost(defaultPolicyBytes, {
      settings: {
        requires: [{ id: 'scan', signal: 'scan', equals: 1, otherwise: 'deny' }],
        freeze: [{ from: 0, until: now * 2, effects: ['read', 'write'], reason: 'r', effect: 'deny', environments: ['frozen'] }],
      },
    })
    const inputs = fc.record({
      owners: fc.boolean(),
      tainted: fc.boolean(),
      frozen: fc.boolean(),
      high: fc.boolean(),
      scan: fc.constantFrom(undefined, 1, 2),
    })
    try {
      fc.assert(
        fc.property(inputs, ({ owners, tainted, frozen, high, scan }) => {
          const input = structuredClone(allowedInput())
          const at = (key: string): Record<string, unknown> => Object(input[key])
          if (!owners) at('agent')['owners'] = null
          if (tainted) at('sequence')['repeats'] = 99
          if (frozen) at('context')['environment'] = 'frozen'
          if (high) at('tool')['risk'] = 'critical'
          input['signals'] = scan === undefined ? {} : { scan: { value: scan, source: 's', ago: 1 } }
          const { effect } = readResult(host.evaluate('countersign/decision', JSON.stringify(input)))
          const all: Said[] = []
          if (!owners) all.push({ effect: 'deny', observable: false })
          if (tainted) all.push({ effect: 'deny', observable: true, level: 'sequence' })
          if (frozen || scan === 2) all.push({ effect: 'deny', observable: true })
          if (high) all.push({ effect: 'ask', observable: true })
          if (scan === undefined) all.push({ effect: 'defer', observable: true })
          expect(effect, JSON.stringify({ owners, tainted, frozen, high, scan })).toBe(reference(all))
        }),
        { numRuns: 200 },
      )
    } finally {
      host.close()
    }
  })

  it('has every rule on sequences, data and divergence on the level of sequences', () => {
    const rego = new URL('../../../rego/countersign/call/', import.meta.url)
    const found = globSync('*.rego', { cwd: rego }).flatMap((file) =>
      Array.from(readFileSync(new URL(file, rego), 'utf8').matchAll(/^# {3}id: (.*)\n((?:# {3}.*\n)+)/gm), ([, id = '', rest = '']) => ({
        id,
        rest,
      })),
    )
    const named = found.filter(({ id }) => /^(sequence|data|divergence)\.|^secrets\.egress$/.test(id))
    expect(named.length).toBeGreaterThanOrEqual(8)
    expect(named.filter(({ rest }) => !rest.includes('#   level: sequence')).map(({ id }) => id)).toEqual([])
  })
})
