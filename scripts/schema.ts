import { readFileSync, writeFileSync } from 'node:fs'
import { jsonSchema } from '../src/config/schema.ts'
import { configReference } from './config-reference.ts'
import { providersPage } from './providers-page.ts'

/** Writes what is generated from the configuration schema and the kinds of providers; `--check` only compares. */
const made = {
  'deploy/countersign.schema.json': `${JSON.stringify(jsonSchema(), null, 2)}\n`,
  'docs/config.md': configReference(jsonSchema()),
  'docs/providers.md': providersPage(),
}
const root = new URL('../', import.meta.url)
let stale = 0
for (const [path, text] of Object.entries(made)) {
  const file = new URL(path, root)
  if (process.argv.includes('--check')) {
    if (read(file) === text) continue
    console.error(`${path} is stale: run npm run schema`)
    stale++
  } else {
    writeFileSync(file, text)
    console.log(`wrote ${path}`)
  }
}
process.exitCode = stale > 0 ? 1 : 0

function read(file: URL): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}
