import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, describe, expect, it } from 'vitest'
import { openCandidate } from '../../src/author/candidate.ts'
import { readCases, runCase } from '../../src/author/cases.ts'
import { draftFiles } from '../../src/author/draft.ts'
import { learn } from '../../src/author/learn.ts'
import { compileFolder } from '../../src/author/build.ts'
import { findOpa } from '../../src/author/opa.ts'
import { simulate } from '../../src/author/simulate.ts'
import { inputWith, linesOfTexts, storedLine } from '../support/author-rig.ts'

const root = resolve(import.meta.dirname, '../..')
const rego = join(root, 'rego')
const opa = join(root, '.engines/bin/opa')
const scratch = mkdtempSync(join(tmpdir(), 'countersign-loop-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const run = (args: readonly string[], cwd = scratch): string => execFileSync(opa, args, { cwd, encoding: 'utf8' })

it('needs opa, which npm run engines installs', () => {
  expect(existsSync(opa)).toBe(true)
  expect(findOpa({})).toBe(opa)
})

it('the catalogue is what the compiler reads out of the same bundle', () => {
  const { annotations } = JSON.parse(run(['inspect', '-a', '--format', 'json', join(rego, 'policy.tar.gz')]))
  const theirs = annotations
    .filter((one: { annotations: { custom?: { id?: string } } }) => one.annotations.custom?.id !== undefined)
    .map((one: { annotations: { title: string; description: string; custom: object }; location: { file: string } }) => ({
      title: one.annotations.title,
      description: one.annotations.description,
      file: one.location.file.replace(/^\//, ''),
      ...one.annotations.custom,
    }))
  const candidate = openCandidate('default', {})
  const ours = candidate.catalogue.rules.map(({ package: _package, body: _body, setting, level, ...rule }) => ({
    ...rule,
    ...(setting !== '' && { setting }),
    ...(level !== '' && { level }),
  }))
  candidate.close()
  const order = (rules: readonly { readonly id: string; readonly file: string }[]): string[] =>
    rules.map((rule) => JSON.stringify(sorted(rule))).toSorted()
  expect(order(ours)).toEqual(order(theirs))
})

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .map(([name, inner]) => [name, sorted(inner)]),
  )
}

it('the default policy compiled from its folder is the one that ships', () => {
  const compiled = compileFolder(rego, opa)
  expect(gunzipSync(compiled).equals(gunzipSync(readFileSync(join(rego, 'policy.tar.gz'))))).toBe(true)
})

it('a folder that does not compile says what the compiler said', () => {
  const folder = join(scratch, 'broken')
  mkdirSync(folder)
  writeFileSync(join(folder, 'a.rego'), 'package countersign\n\nx if {')
  expect(() => compileFolder(folder, opa)).toThrow(/does not compile:\n[^]*a\.rego/)
})

it('an unpacked bundle is judged as the bundle is', () => {
  const folder = join(scratch, 'unpacked')
  mkdirSync(folder)
  execFileSync('tar', ['xzf', join(rego, 'policy.tar.gz'), '-C', folder], { stdio: 'ignore' })
  const [packed, unpacked] = [openCandidate('default', {}), openCandidate(folder, {})]
  expect(unpacked.bundle.revision).toBe(packed.bundle.revision)
  expect(unpacked.catalogue.rules).toEqual(packed.catalogue.rules)
  packed.close()
  unpacked.close()
})

it.each(['first-agent', 'support-drafting', 'code-agent', 'data-analyst', 'operations'])('the cases of the starter %s hold', (name) => {
  const folder = join(scratch, name)
  cpSync(rego, folder, { recursive: true, filter: (path) => !path.endsWith('policy.tar.gz') })
  cpSync(join(rego, 'starters', name, 'policy'), folder, { recursive: true })
  const policy = openCandidate(folder, {})
  const { cases } = readCases([join(rego, 'starters', name, 'cases')])
  expect(cases.length).toBeGreaterThan(3)
  expect(cases.map((one) => runCase(one, policy)).filter(({ ok }) => !ok)).toEqual([])
  policy.close()
})

describe('a learned draft beside the default policy', () => {
  const tools = [
    { name: 'crm.customer.read' },
    { name: 'crm.customer.read', resource: 'customer:7' },
    { name: 'crm.customer.read', resource: 'customer:8' },
    { name: 'mail.send', route: 'mail', resource: null, data: [], egress: 'partner', accepts: ['personal'] },
  ]
  // not the agent that the policy's own tests are about
  const agent = { id: 'spiffe://acme.example/ns/support/sa/refund-agent' }
  const seen = tools.map((tool, at) => {
    const last = at === 0 ? [] : [{ tool: tools[at - 1]?.name }]
    return storedLine({ id: `c_${at}`, input: inputWith({ agent, tool, sequence: { last } }) })
  })

  it.each([false, true])(
    'is formatted, sound and tested, allows what was seen and refuses its neighbours (sequence: %s)',
    async (sequence) => {
      const folder = join(scratch, `draft-${sequence}`)
      cpSync(rego, folder, { recursive: true, filter: (path) => !path.endsWith('policy.tar.gz') })
      const { agents } = await learn(linesOfTexts(seen), { tasks: new Set(['t_1']), includeDenied: false, damaged: () => undefined })
      for (const [path, text] of agents.flatMap((one) => [...draftFiles(one, { headRoom: 1.2, sequence })])) {
        mkdirSync(dirname(join(folder, path)), { recursive: true })
        writeFileSync(join(folder, path), text)
      }
      run(['fmt', '--fail', '--list', 'countersign'], folder)
      run(['check', '--strict', '--schema', 'schemas', 'countersign'], folder)
      run(['test', '--threshold', '100', '--coverage', 'countersign'], folder)
      const draft = openCandidate(folder, {})
      const neighbours = [
        { name: 'crm.customer.list' },
        { resource: 'order:7' },
        { data: ['internal'] },
        { route: 'other' },
        { name: 'mail.send' },
      ]
      const all = [...seen, ...neighbours.map((tool) => storedLine({ id: 'c_n', input: inputWith({ agent, tool }) }))]
      const report = await simulate(linesOfTexts(all), draft, { damaged: () => undefined })
      expect(report.classes).toMatchObject({
        unchanged: seen.length,
        'newly-denied': neighbours.length,
        'newly-allowed': 0,
        'not-judged': 0,
      })
      expect(report.samples['newly-denied']?.every(({ id }) => id === 'c_n')).toBe(true)
      expect(readCases([join(folder, 'cases')]).cases.every((one) => runCase(one, draft).ok)).toBe(true)
      draft.close()
    },
  )
})
