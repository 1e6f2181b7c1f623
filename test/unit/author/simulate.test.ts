import { describe, expect, test } from 'vitest'
import { openCandidate } from '../../../src/author/candidate.ts'
import { withoutSetting } from '../../../src/author/catalogue.ts'
import { bodyPlace } from '../../../src/author/ledger-inputs.ts'
import { simulate, type SimulateOptions, type Simulation } from '../../../src/author/simulate.ts'
import { changedBundle, defaultCandidate, inputWith, linesOfTexts, scratchFolder, storedLine } from '../../support/author-rig.ts'

const folder = scratchFolder('simulate')
const candidate = defaultCandidate()
const asks = inputWith({ tool: { risk: 'high', effect: 'write' } })
const denies = inputWith({ tool: { name: 'never.declared' } })

function run(texts: readonly (string | null)[], more: Partial<SimulateOptions> = {}, policy = candidate): Promise<Simulation> {
  return simulate(linesOfTexts(texts), policy, { damaged: () => undefined, ...more })
}

describe('a replayed decision', () => {
  test('is unchanged when effect and rules are the same', async () => {
    const report = await run([
      storedLine(),
      storedLine({ input: asks, effect: 'ask', rules: ['risk.high-needs-person'] }),
      storedLine({ input: denies, effect: 'deny', rules: ['intent.tool'] }),
    ])
    expect(report.classes).toMatchObject({ unchanged: 3, 'newly-denied': 0, 'newly-allowed': 0, 'newly-asking': 0, 'not-judged': 0 })
    expect(report).toMatchObject({ rules: [], samples: {}, changes: {}, revisions: { r1: 3 } })
  })

  test('is told by where it goes: denied, allowed or asking', async () => {
    const report = await run([
      storedLine({ id: 'c_1', input: denies }),
      storedLine({ id: 'c_2', effect: 'deny', rules: ['old.rule'] }),
      storedLine({ id: 'c_3', effect: 'ask', rules: ['old.rule'] }),
      storedLine({ id: 'c_4', input: asks }),
      storedLine({ id: 'c_5', input: denies, effect: 'ask', rules: ['old.rule'] }),
    ])
    expect(report.classes).toMatchObject({ 'newly-denied': 2, 'newly-allowed': 2, 'newly-asking': 1 })
    expect(report.changes).toEqual({ 'allow → deny': 1, 'deny → allow': 1, 'ask → allow': 1, 'allow → ask': 1, 'ask → deny': 1 })
    expect(report.rules).toContainEqual({ name: 'old.rule', new: 0, gone: 3 })
    expect(report.rules).toContainEqual({ name: 'intent.tool', new: 2, gone: 0 })
    expect(report.samples['newly-allowed']).toMatchObject([
      { id: 'c_2', from: 'deny', to: 'allow', rules_before: ['old.rule'], rules_after: [] },
      { id: 'c_3', from: 'ask' },
    ])
    expect(report.tools).toMatchObject([{ name: 'crm.customer.read', 'newly-denied': 2, 'newly-allowed': 2, 'newly-asking': 1 }])
  })

  test('has other reasons when the effect is the same by other rules or with other obligations', async () => {
    const report = await run([
      storedLine({ input: denies, effect: 'deny', rules: ['intent.tool', 'old.rule'] }),
      storedLine({ obligations: [{ id: 'a', type: 'notify', properties: {} }] }),
    ])
    expect(report.classes['changed-reasons']).toBe(2)
  })

  test('that was only observed counts by what policy said', async () => {
    const observed = storedLine({ input: denies, effect: 'deny', rules: ['intent.tool'], kind: 'decision', own: { observed: 'deny' } })
    expect((await run([observed])).classes.unchanged).toBe(1)
  })

  test('is not judged when part of it is masked, and nothing is guessed', async () => {
    const report = await run([
      storedLine({ masked: ['/input/request/path'] }),
      storedLine({ erased: ['/input/task/intent', bodyPlace] }),
      storedLine({ input: undefined, masked: ['/input'] }),
      storedLine({ masked: ['/result/reasons'] }),
      storedLine({ masked: ['/custom/countersign/human'] }),
    ])
    expect(report.classes).toMatchObject({ 'not-judged': 4, unchanged: 1 })
    expect(report.not_judged).toEqual({ masked: 4, body: 0 })
  })

  test('is judged without its body by a policy that reads none, and not at all by one that does', async () => {
    const line = storedLine({ erased: [bodyPlace] })
    expect(await run([line])).toMatchObject({ without_body: 1, classes: { unchanged: 1 } })
    const reader = 'package countersign.call\n\n_small if input.request.body.parsed.amount < 10\n'
    const reads = openCandidate(
      changedBundle(folder, 'reads.tar.gz', (files) => (files['countersign/call/acme.rego'] = reader)),
      {},
    )
    const blind = openCandidate(
      changedBundle(folder, 'blind.tar.gz', (files) => {
        for (const name of Object.keys(files)) if (name.endsWith('.rego')) delete files[name]
      }),
      {},
    )
    for (const policy of [reads, blind]) {
      const report = await run([line, storedLine()], {}, policy)
      expect(report).toMatchObject({ without_body: 0, not_judged: { body: 1 }, classes: { unchanged: 1, 'not-judged': 1 } })
      policy.close()
    }
  })

  test('whose input the policy cannot judge is refused as production would', async () => {
    const deep = `${'{"a":'.repeat(300)}1${'}'.repeat(300)}`
    const report = await run([storedLine().replace('"claims":{}', `"claims":${deep}`)])
    expect(report.samples['newly-denied']).toMatchObject([
      { rules_after: ['decide.unavailable'], fault: expect.stringContaining('nested') },
    ])
  })

  test('whose input is damaged is no decision', async () => {
    const told: string[] = []
    const text = storedLine().replace('"v":1,"request"', '"v":1,,"request"')
    const report = await run([text, storedLine()], { damaged: (line, why) => told.push(`${line} ${why}`) })
    expect(report).toMatchObject({ read: { judged: 1, damaged: 1 }, classes: { unchanged: 1, 'newly-denied': 0 } })
    expect(told).toEqual(['1 its input is not JSON'])
  })

  test('is compared with another policy in place of the record when one is given', async () => {
    const other = defaultCandidate()
    const report = await run([storedLine({ effect: 'deny', rules: ['old.rule'] })], { against: other })
    expect(report).toMatchObject({ classes: { unchanged: 1 }, revisions: { [other.bundle.revision]: 1 } })
    other.close()
  })
})

test('a policy is given the settings that production gives it', async () => {
  const freeze = [{ from: 0, until: 5000, effects: ['read'], reason: 'freeze', effect: 'deny' }]
  const frozen = openCandidate('default', {}, { freeze })
  expect(await run([storedLine()], {}, frozen)).toMatchObject({
    classes: { 'newly-denied': 1 },
    rules: [{ name: 'change.freeze', new: 1 }],
  })
  expect(withoutSetting(candidate.catalogue, candidate.settings, ['change.freeze', 'intent.tool'])).toEqual(['change.freeze'])
  expect(withoutSetting(frozen.catalogue, frozen.settings, ['change.freeze'])).toEqual([])
  frozen.close()
})

test('samples and names are bounded, counts are not', async () => {
  const lines = Array.from({ length: 2500 }, (_, at) =>
    storedLine({ id: `c_${at}`, effect: 'deny', rules: ['old.rule'], own: { tool: `tool-${at}` } }),
  )
  const report = await run(lines, { samples: 3 })
  expect(report.samples['newly-allowed']).toHaveLength(3)
  expect(report.tools.length).toBe(2001)
  expect(report.tools.find(({ name }) => name === '*')?.['newly-allowed']).toBe(500)
})
