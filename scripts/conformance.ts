/** Writes docs/conformance.md from the tests; with `--check` says what is unmapped or stale and fails. */
import { readFileSync, writeFileSync } from 'node:fs'
import { conformance } from './conformance-table.ts'

const file = new URL('../docs/conformance.md', import.meta.url)
const { markdown, problems } = conformance()
for (const problem of problems) console.error(problem)
if (!process.argv.includes('--check')) writeFileSync(file, markdown)
else if (readFileSync(file, 'utf8') !== markdown) {
  console.error('docs/conformance.md is stale: run `npm run conformance`')
  process.exitCode = 1
}
if (problems.length > 0) process.exitCode = 1
