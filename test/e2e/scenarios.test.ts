import { describe, test } from 'vitest'
import { play } from '../support/scenario/play.ts'
import { readScenarios } from '../support/scenario/scenario.ts'

const scenarios = readScenarios(new URL('../scenarios/', import.meta.url))

for (const file of new Set(scenarios.map((one) => one.file))) {
  describe(file, () => {
    for (const scenario of scenarios.filter((one) => one.file === file)) test(scenario.name, () => play(scenario))
  })
}
