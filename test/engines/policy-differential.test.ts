import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { builtins } from '../../src/decide/builtins/table.ts'
import type { Entrypoint } from '../../src/decide/engine.ts'
import { builtinArguments, builtinCalls } from '../support/builtin-calls.ts'
import { changedInputs, openingInput, ratedInputs, schemaInputs, sequencedInputs } from '../support/policy-inputs.ts'
import { allowedInput, builtinsPolicyBytes, defaultPolicyBytes, openHost } from '../support/policy-rig.ts'

// The real engine evaluates the sources, our host the committed modules; whole documents must be the same, and with them effects and rules.
// COUNTERSIGN_LONG=1 takes ten times as many, from another seed each time.

const root = new URL('../..', import.meta.url).pathname
const opa = join(root, '.engines/bin/opa')
const rego = join(root, 'rego')
const fixture = join(root, 'test/conformance/policy/builtins')
const long = process.env['COUNTERSIGN_LONG'] === '1'
const seed = long ? Date.now() % 2 ** 31 : 20_261_122
const batchSize = 5000

let scratch = ''

beforeAll(() => {
  if (!existsSync(opa)) throw new Error('opa is not installed: run `npm run engines`')
  scratch = mkdtempSync(join(tmpdir(), 'countersign-differential-'))
})

afterAll(() => rmSync(scratch, { recursive: true }))

describe('our host and the real engine, on generated inputs', () => {
  it('judge calls alike', { timeout: 900_000 }, () => {
    const inputs = fc.oneof(
      { weight: 2, arbitrary: schemaInputs('input') },
      { weight: 2, arbitrary: changedInputs(allowedInput()) },
      ratedInputs(),
    )
    const effects = compare(defaultPolicyBytes, rego, 'countersign/decision', inputs, 5000)
    expect(new Set(effects)).toEqual(new Set(['allow', 'ask', 'deny']))
  })

  it('judge what came before alike, with settings that look at it', { timeout: 900_000 }, () => {
    const split = [
      { meter: 'eur', above: 100, within: 'hour', per: 'caller', effect: 'deny' },
      { meter: 'eur', above: 50, within: 'day', per: 'resource', effect: 'ask' },
      { class: 'internal', above: 5, within: 'hour', per: 'caller', effect: 'deny' },
    ]
    for (const settings of [{}, { split, divergence: { score: 40, effect: 'ask' } }]) {
      const effects = compare(defaultPolicyBytes, rego, 'countersign/decision', sequencedInputs(), 2000, settings)
      expect(new Set(effects)).toContain('allow')
      expect(new Set(effects)).toContain('deny')
    }
  })

  it('judge tasks alike', { timeout: 900_000 }, () => {
    const inputs = fc.oneof(schemaInputs('task'), changedInputs(openingInput()))
    const effects = compare(defaultPolicyBytes, rego, 'countersign/task', inputs, 2000)
    expect(new Set(effects)).toEqual(new Set(['allow', 'deny']))
  })

  it('answer every builtin alike', { timeout: 900_000 }, () => {
    expect(Object.keys(builtinArguments()).sort()).toEqual(Object.keys(builtins).sort())
    compare(builtinsPolicyBytes, fixture, 'countersign/decision', builtinCalls(), 10_000)
  })
})

/** Judges by both; gives the effects. A difference names the input, which together with the seed makes it again. */
function compare(
  bytes: Uint8Array,
  folder: string,
  entrypoint: Entrypoint,
  inputs: fc.Arbitrary<unknown>,
  count: number,
  settings: object = {},
): unknown[] {
  const host = openHost(bytes, { settings: { ...settings } })
  const effects: unknown[] = []
  for (let done = 0; done < (long ? count * 10 : count); done += batchSize) {
    const batch = fc.sample(inputs, { numRuns: Math.min(batchSize, count), seed: seed + done })
    const theirs = evaluate(folder, entrypoint, batch, settings)
    expect(theirs).toHaveLength(batch.length)
    for (const [index, input] of batch.entries()) {
      const ours = host.evaluate(entrypoint, JSON.stringify(input))
      const [a, b] = [canonical(ours), canonical(theirs[index])]
      if (a !== b) expect(a, `seed ${seed + done}: ${JSON.stringify(input)}`).toBe(b)
      effects.push(Object(ours).effect)
    }
  }
  expect(host.replaced).toBe(0)
  host.close()
  return effects
}

/** One run of the real engine over a list of inputs. */
function evaluate(folder: string, entrypoint: Entrypoint, inputs: readonly unknown[], settings: object): unknown[] {
  const batch = join(scratch, 'batch.json')
  writeFileSync(batch, JSON.stringify({ batch: inputs }))
  const query = `[result | some one in data.batch; result := data.${entrypoint.replace('/', '.')} with input as one with data.countersign.settings as ${JSON.stringify(settings)}]`
  const args = ['eval', '--format', 'raw', '--data', join(folder, 'countersign'), '--data', batch, query]
  return JSON.parse(
    execFileSync(opa, args, { encoding: 'utf8', cwd: root, maxBuffer: 1024 * 1024 * 1024, stdio: ['ignore', 'pipe', 'pipe'] }),
  )
}

/** Keys sorted; reasons and the lists in their details too, for sets have no order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (key, inner: unknown) => {
    if (Array.isArray(inner) && key === 'reasons') return inner.map((reason) => canonical(reason)).sort()
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}
