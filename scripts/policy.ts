/**
 * `npm run policy`: formats, checks, tests and compiles rego/ into rego/policy.tar.gz with the real compiler, writes docs/rules.md, and
 * holds the starters to the same.
 * With `--check` nothing is written: what would be is compared with what is there, and a difference ends with code 1.
 */

import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { buildPolicy, plainly } from '../src/author/build.ts'
import { capabilities } from './capabilities.ts'
import { rulesPage } from './rules-page.ts'
import { checkStarters } from './starters.ts'

/** A folder of sources, what is compiled of them, and where it is kept. */
interface Source {
  readonly folder: string
  readonly bundle: string
  /** Null for the rules that are annotated as entrypoints. */
  readonly entrypoints: readonly string[] | null
}

const root = resolve(fileURLToPath(new URL('..', import.meta.url)))
const rego = join(root, 'rego')
const builtinsFolder = join(root, 'test/conformance/policy/builtins')
const answeringFolder = join(root, 'test/support/answering')
const givenFolder = join(root, 'test/support/given')
const sources: readonly Source[] = [
  { folder: rego, bundle: join(rego, 'policy.tar.gz'), entrypoints: null },
  // What the host's builtins are tested through.
  {
    folder: builtinsFolder,
    bundle: join(builtinsFolder, 'builtins.tar.gz'),
    entrypoints: ['countersign/decision', 'countersign/task'],
  },
  // What tests have answers masked by.
  {
    folder: answeringFolder,
    bundle: join(answeringFolder, 'answering.tar.gz'),
    entrypoints: ['countersign/decision', 'countersign/task', 'countersign/response'],
  },
  // What answers as a test says.
  {
    folder: givenFolder,
    bundle: join(givenFolder, 'given.tar.gz'),
    entrypoints: ['countersign/decision', 'countersign/task'],
  },
]
const capabilitiesPath = join(rego, 'capabilities.json')

const opa = findOpa()
if (opa === null) {
  console.error('opa is neither in .engines/bin nor on the PATH: run `npm run engines` (it needs Go), then this again')
  process.exitCode = 1
} else {
  try {
    run(opa, process.argv.includes('--check'))
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 1
  }
}

function run(tool: string, check: boolean): void {
  ask(tool, ['fmt', '--fail', '--list', 'countersign'], 'rego/ is not formatted: run `opa fmt -w rego/countersign`')
  ask(tool, ['check', '--strict', '--schema', 'schemas', 'countersign'], 'rego/ does not pass the strict check')
  const lent = capabilities(JSON.parse(ask(tool, ['capabilities', '--current'], 'opa does not tell its capabilities')))
  settle(capabilitiesPath, Buffer.from(lent), check, (bytes) => bytes)
  const tests = ask(
    tool,
    ['test', '--coverage', '--threshold', '100', '--format', 'json', 'countersign'],
    'a policy test failed, or a line is not covered',
  )
  console.log(`policy: formatted, checked, tested (coverage ${JSON.parse(tests).coverage} %)`)
  settle(join(root, 'docs/rules.md'), Buffer.from(rulesPage(join(rego, 'countersign'))), check, (bytes) => bytes)
  for (const { folder, bundle, entrypoints } of sources) {
    const { bytes } = buildPolicy([folder], { ...plainly, library: false, entrypoints }, tool)
    // Compilers of different Go releases pack differently; what they pack is the same, byte for byte.
    settle(bundle, bytes, check, (packed) => gunzipSync(packed))
  }
  checkStarters(rego, tool, (args, complaint, cwd) => ask(tool, args, complaint, cwd))
}

/** Writes a generated file when it differs, or with `check` throws. */
function settle(path: string, fresh: Uint8Array, check: boolean, content: (bytes: Uint8Array) => Uint8Array): void {
  const name = path.slice(root.length + 1)
  const there = read(path)
  if (there !== null && Buffer.compare(content(there), content(fresh)) === 0) {
    console.log(`policy: ${name} is fresh`)
    return
  }
  if (check) throw new Error(`${name} is stale: run \`npm run policy\` and commit it`)
  writeFileSync(path, fresh)
  console.log(`policy: ${name} written`)
}

function read(path: string): Uint8Array | null {
  try {
    return readFileSync(path)
  } catch {
    return null
  }
}

function findOpa(): string | null {
  const places = [join(root, '.engines/bin/opa'), 'opa']
  return places.find((place) => spawnSync(place, ['version']).status === 0) ?? null
}

function ask(tool: string, args: readonly string[], complaint: string, cwd = rego): string {
  try {
    return execFileSync(tool, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 64 * 1024 * 1024 })
  } catch (error) {
    const said = error instanceof Error && 'stdout' in error ? String(error.stdout) : ''
    throw new Error(`${said}${complaint}`, { cause: error })
  }
}
