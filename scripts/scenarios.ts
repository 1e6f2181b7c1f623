/** Writes docs/scenarios.md from test/scenarios/; with `--check` says what is unmapped or stale and fails. */
import { readFileSync, writeFileSync } from 'node:fs'
import { mapping } from './scenario-table.ts'

const file = new URL('../docs/scenarios.md', import.meta.url)
const { markdown, problems } = mapping()
for (const problem of problems) console.error(problem)
if (!process.argv.includes('--check')) writeFileSync(file, markdown)
else if (readFileSync(file, 'utf8') !== markdown) {
  console.error('docs/scenarios.md is stale: run `npm run scenarios`')
  process.exitCode = 1
}
if (problems.length > 0) process.exitCode = 1
