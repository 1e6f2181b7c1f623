/** `npm run aarm [-- R1 R4.d3 …]`: runs the tests that docs/aarm.md names and says what came of each item. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { coverageWords, type FrameworkRow } from '../src/evidence/frameworks.ts'
import { readScenarios, type Scenario } from '../test/support/scenario/scenario.ts'
import { frameworkData } from './framework-files.ts'

interface Ran {
  readonly testResults: readonly {
    readonly name: string
    readonly assertionResults: readonly { readonly title: string; readonly ancestorTitles: readonly string[]; readonly status: string }[]
  }[]
}

const root = resolve(fileURLToPath(new URL('..', import.meta.url)))
const scenarioFile = 'test/e2e/scenarios.test.ts'
const asked = process.argv.slice(2)
const all = frameworkData().frameworks.find(({ framework }) => framework === 'aarm')?.rows ?? []
const rows = all.filter(({ id }) => asked.length === 0 || asked.some((one) => id === one || id.startsWith(`${one}.`)))
const scenarios = readScenarios(new URL('../test/scenarios/', import.meta.url))
const casesOf = ({ id }: FrameworkRow): Scenario[] => scenarios.filter(({ refs }) => refs.includes(`AARM-${id}`))

if (rows.length === 0) {
  console.error(`no item is called ${asked.join(' or ')}: ${all.map(({ id }) => id).join(' ')}`)
  process.exitCode = 64
} else {
  const files = [...new Set(rows.flatMap(({ tests }) => tests))].filter((file) => file !== scenarioFile).sort()
  const names = [...new Set(rows.flatMap((row) => casesOf(row).map(({ name }) => name)))]
  // file and title → how it ended
  const ended = new Map<string, string>()
  if (files.length > 0) for (const [key, status] of run(files)) ended.set(key, status)
  if (names.length > 0) for (const [key, status] of run([scenarioFile, '-t', names.map(pattern).join('|')])) ended.set(key, status)
  const told = rows.map((row) => tell(row, ended))
  const width = Math.max(...told.map(({ item }) => item.length))
  for (const { item, good, text } of told) console.log(`${good ? '✓' : '✗'} ${item.padEnd(width)}  ${text}`)
  console.log('AARM 2026-03-26, sub-ids ours. Partial conformance, self-assessed: docs/aarm.md')
  if (told.some(({ good }) => !good)) process.exitCode = 1
}

function run(words: readonly string[]): [string, string][] {
  const folder = mkdtempSync(join(tmpdir(), 'aarm-'))
  const out = join(folder, 'report.json')
  const projects = ['unit', 'conformance', 'e2e', 'fault'].flatMap((name) => ['--project', name])
  const vitest = join(root, 'node_modules/vitest/vitest.mjs')
  spawnSync(process.execPath, [vitest, 'run', ...projects, '--reporter=json', `--outputFile=${out}`, ...words], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  try {
    const { testResults }: Ran = JSON.parse(readFileSync(out, 'utf8'))
    return testResults.flatMap(({ name, assertionResults }) =>
      assertionResults.map(({ title, ancestorTitles, status }): [string, string] => [
        [relative(root, name), ...ancestorTitles, title].join('\n'),
        status,
      ]),
    )
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function tell(
  row: FrameworkRow,
  ended: ReadonlyMap<string, string>,
): { readonly item: string; readonly good: boolean; readonly text: string } {
  const { id, title, status, tests } = row
  const own = [...ended].filter(([key]) => tests.some((file) => file !== scenarioFile && key.startsWith(`${file}\n`))).map(([, how]) => how)
  const cases = casesOf(row).map(({ file, name }) => ended.get([scenarioFile, file, name].join('\n')) ?? 'missing')
  const failed = [...own, ...cases].filter((how) => how !== 'passed' && how !== 'skipped' && how !== 'pending').length
  const passed = (ends: readonly string[]): number => ends.filter((how) => how === 'passed').length
  const held = status === 'enforced' || status === 'evidenced'
  const good = failed === 0 && (!held || passed(own) + passed(cases) > 0)
  const counts = `${passed(own)} tests, ${passed(cases)} cases passed${failed > 0 ? `, ${failed} did not` : ''}`
  return { item: `${id} ${title}`, good, text: `${coverageWords[status].padEnd(11)}  ${counts}` }
}

function pattern(name: string): string {
  return name.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
