import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { mapping } from '../../scripts/scenario-table.ts'
import { play } from '../support/scenario/play.ts'
import { readScenarios } from '../support/scenario/scenario.ts'

const scenarios = readScenarios(new URL('../scenarios/', import.meta.url))

for (const file of new Set(scenarios.map((one) => one.file))) {
  describe(file, () => {
    for (const scenario of scenarios.filter((one) => one.file === file)) test(scenario.name, () => play(scenario))
  })
}

describe('the mapping of scenarios', () => {
  const { markdown, problems } = mapping()

  test('refers to nothing unknown, and every requirement that is met has a case that passes and one that is refused', () => {
    expect(problems).toEqual([])
  })

  test('stands in docs/scenarios.md as it is (npm run scenarios)', () => {
    const fresh = readFileSync(new URL('../../docs/scenarios.md', import.meta.url), 'utf8') === markdown
    expect(fresh, 'docs/scenarios.md is what test/scenarios/ says').toBe(true)
  })

  test('covers at least 120 cases, each named once in its file', () => {
    expect(scenarios.length).toBeGreaterThanOrEqual(120)
    const names = scenarios.map(({ file, name }) => `${file}: ${name}`)
    expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([])
  })
})
