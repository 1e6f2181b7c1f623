import { expect, test } from 'vitest'
import { coverage, type Coverage, type CoverageKind } from '../../../src/author/coverage.ts'
import { inputWith, linesOfTexts, storedLine } from '../../support/author-rig.ts'

const enforce = (risk: string): unknown => inputWith({ tool: { risk } })
const observe = (risk: string): unknown => inputWith({ tool: { risk }, context: { mode: 'observe' } })
const watched = { kind: 'decision', effect: 'deny', own: { observed: 'deny', code: undefined } }

function of(texts: readonly string[], by: CoverageKind = 'risk'): Promise<Coverage> {
  return coverage(linesOfTexts(texts), by, () => undefined)
}

test('the share under enforcement is told by risk, the riskiest first', async () => {
  const { rows, total } = await of([
    storedLine({ input: enforce('low') }),
    storedLine({ input: observe('low') }),
    storedLine({ input: enforce('critical') }),
    storedLine({ input: enforce('medium'), effect: 'deny', rules: ['a'] }),
    storedLine({ input: observe('odd') }),
  ])
  expect(rows.map(({ name, share }) => [name, share])).toEqual([
    ['critical', 1],
    ['medium', 1],
    ['low', 0.5],
    ['odd', 0],
  ])
  expect(total).toMatchObject({ calls: 5, enforced: 3, observed: 2, refused: 1, would_refuse: 0, share: 0.6 })
})

test('what comes next is the riskiest that is only observed, with the rules that would refuse', async () => {
  const report = await of([
    storedLine({ input: enforce('critical') }),
    storedLine({ ...watched, input: observe('high'), rules: ['a.rule', 'b.rule'] }),
    storedLine({ ...watched, input: observe('high'), rules: ['b.rule'] }),
    storedLine({ ...watched, input: observe('low'), rules: ['c.rule'] }),
    storedLine({ input: observe('high') }),
  ])
  expect(report.next).toEqual({ risk: 'high', observed: 3, would_refuse: 2, rules: ['b.rule', 'a.rule'] })
  expect(report.would_refuse).toEqual([
    { rule: 'b.rule', calls: 2 },
    { rule: 'a.rule', calls: 1 },
    { rule: 'c.rule', calls: 1 },
  ])
  expect(report.total).toMatchObject({ refused: 0, would_refuse: 3 })
})

test('nothing comes next when everything is enforced', async () => {
  expect((await of([storedLine({ input: enforce('high') })])).next).toBeNull()
  expect(await of([])).toMatchObject({ next: null, total: { calls: 0, share: 1 } })
})

test('it is told by tool, by agent or by rule too', async () => {
  const texts = [
    storedLine({ own: { tool: 'a' } }),
    storedLine({ own: { tool: 'b' } }),
    storedLine({ own: { tool: 'b' }, effect: 'deny', rules: ['x', 'y'] }),
  ]
  expect((await of(texts, 'tool')).rows.map(({ name, calls }) => [name, calls])).toEqual([
    ['b', 2],
    ['a', 1],
  ])
  expect((await of(texts, 'agent')).rows).toMatchObject([{ name: 'spiffe://acme.example/agent', calls: 3, refused: 1 }])
  expect((await of(texts, 'rule')).rows.map(({ name }) => name)).toEqual(['x', 'y'])
})
