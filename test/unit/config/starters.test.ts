import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { faultsOf } from '../../support/json-schema.ts'

const rego = resolve(import.meta.dirname, '../../../rego')
const starters = readdirSync(join(rego, 'starters'))
const input = JSON.parse(readFileSync(join(rego, 'schemas/input.json'), 'utf8'))

describe.each(starters)('the starter %s', (name) => {
  const folder = join(rego, 'starters', name)

  test('has a configuration that passes check', () => {
    const { findings, config } = loadConfig(join(folder, 'countersign.yaml'), { MODEL_KEY: 'none' })
    expect(findings.filter(({ severity }) => severity === 'error' || severity === 'warning')).toEqual([])
    expect(config.decide.settings).toBeDefined()
  })

  test('has rules, tests of them, and a page of its own', () => {
    const rules = `policy/countersign/call/${name.replaceAll('-', '_')}`
    for (const path of [`${rules}.rego`, `${rules}_test.rego`, 'README.md']) expect(existsSync(join(folder, path)), path).toBe(true)
    expect(readFileSync(join(folder, 'README.md'), 'utf8').split('\n').length).toBeLessThanOrEqual(45)
  })

  test('has recorded cases of what is allowed and what is not, each with an input as policy reads it', () => {
    const cases = readdirSync(join(folder, 'cases')).map((file) => JSON.parse(readFileSync(join(folder, 'cases', file), 'utf8')))
    expect(cases.length).toBeGreaterThanOrEqual(5)
    for (const one of cases) {
      expect(Object.keys(one)).toEqual(['name', 'entrypoint', 'input', 'expect'])
      expect(faultsOf(input, one.input), one.name).toEqual([])
    }
    expect(new Set(cases.map(({ expect: { effect } }) => effect)).size).toBeGreaterThan(1)
  })
})
