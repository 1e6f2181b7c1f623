/** Writes rego/frameworks.json, docs/frameworks.md and docs/aarm.md from src/evidence/frameworks/; with `--check` says what is stale and fails. */
import { readFileSync, writeFileSync } from 'node:fs'
import { frameworkData, frameworkText } from './framework-files.ts'
import { aarmPage, frameworksPage } from './framework-pages.ts'

const data = frameworkData()
const made = { 'rego/frameworks.json': frameworkText(data), 'docs/frameworks.md': frameworksPage(data), 'docs/aarm.md': aarmPage(data) }
for (const [path, text] of Object.entries(made)) {
  const file = new URL(`../${path}`, import.meta.url)
  if (!process.argv.includes('--check')) writeFileSync(file, text)
  else if (readFileSync(file, 'utf8') !== text) {
    console.error(`${path} is stale: run \`npm run frameworks\``)
    process.exitCode = 1
  }
}
