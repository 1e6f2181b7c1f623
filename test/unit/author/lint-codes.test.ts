import { globSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { knownControls } from '../../../src/author/controls.ts'
import { finding, findingText, lintCodes } from '../../../src/author/lint/findings.ts'
import { readCatalogue } from '../../../src/author/catalogue.ts'
import { textsAt } from '../../../src/author/json-path.ts'
import { findingCodes } from '../../../src/config/findings.ts'

const root = resolve(import.meta.dirname, '../../..')

describe('the codes of lint', () => {
  test('stand in the documentation, each with what to do, and are nobody else’s', () => {
    const page = readFileSync(join(root, 'docs/policy-loop.md'), 'utf8')
    for (const [code, about] of Object.entries(lintCodes)) expect(page).toContain(`| ${code} | ${about} |`)
    expect(Object.keys(lintCodes).filter((code) => code in findingCodes)).toEqual([])
  })

  test('print as compilers do, without a place when it is about the whole', () => {
    expect(findingText(finding('CP1104', 'a.rego', 7, 'what'))).toBe('a.rego:7  CP1104  what')
    expect(findingText(finding('CP1204', '', 0, 'what'))).toBe('CP1204  what')
    expect(
      [finding('CP1204', '', 0, ''), finding('CP1002', '', 0, ''), finding('CP1301', '', 0, '')].map(({ severity }) => severity),
    ).toEqual(['note', 'warning', 'error'])
  })
})

describe('the known controls', () => {
  test('hold every id that the default policy and the starters name, once each', () => {
    const known = knownControls()
    for (const [name, ids] of known) expect(ids.size, name).toBeGreaterThan(5)
    const sources = globSync('rego/**/*.rego', { cwd: root }).map((path) => [path, readFileSync(join(root, path), 'utf8')] as const)
    const { rules } = readCatalogue(new Map(sources))
    expect(rules.length).toBeGreaterThan(40)
    for (const { id, frameworks } of rules)
      for (const name of Object.keys(frameworks))
        for (const control of textsAt(frameworks, name)) expect(known.get(name)?.has(control), `${id}: ${name} ${control}`).toBe(true)
  })
})
