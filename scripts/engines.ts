/** Installs the real engines that the suites run against, by name, from their registries, into `.engines/bin`. Run it again at will. */

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

interface Engine {
  readonly name: string
  /** What it is for. */
  readonly needed: string
  /** The command that installs it into `bin`. */
  readonly how: {
    readonly tool: string
    readonly args: readonly string[]
    readonly env: Readonly<Record<string, string>>
    readonly missing: string
  }
  /** How an installed one is asked for its version, and what it must say. */
  readonly check: { readonly args: readonly string[]; readonly says: string }
}

const bin = resolve(fileURLToPath(new URL('../.engines/bin', import.meta.url)))

const goMissing = 'install Go 1.26 or later (https://go.dev/dl), then run `npm run engines` again'

const engines: readonly Engine[] = [
  {
    name: 'opa',
    needed: 'formats, checks, tests and compiles rego/',
    how: {
      tool: 'go',
      args: ['install', 'github.com/open-policy-agent/opa@v1.22.2'],
      env: { GOBIN: bin, CGO_ENABLED: '0' },
      missing: goMissing,
    },
    check: { args: ['version'], says: 'Version: 1.22.2' },
  },
]

mkdirSync(bin, { recursive: true })
const failed = engines.filter((engine) => !provide(engine))
if (failed.length > 0) {
  console.error(`not installed: ${failed.map(({ name }) => name).join(', ')}`)
  process.exitCode = 1
}

function provide(engine: Engine): boolean {
  if (ready(engine)) {
    console.log(`${engine.name}: there (${engine.check.says})`)
    return true
  }
  const { tool, args, env, missing } = engine.how
  if (spawnSync(tool, ['version']).error !== undefined) {
    console.error(`${engine.name}: \`${tool}\` is not on the PATH. ${engine.name} ${engine.needed}: ${missing}`)
    return false
  }
  console.log(`${engine.name}: ${tool} ${args.join(' ')} (minutes the first time)`)
  const started = Date.now()
  try {
    execFileSync(tool, args, { stdio: 'inherit', env: { ...process.env, ...env } })
  } catch {
    console.error(`${engine.name}: \`${tool} ${args.join(' ')}\` failed; see above`)
    return false
  }
  if (!ready(engine)) {
    console.error(`${engine.name}: installed, but it does not say ${JSON.stringify(engine.check.says)}`)
    return false
  }
  console.log(`${engine.name}: installed in ${Math.round((Date.now() - started) / 1000)} s`)
  return true
}

function ready(engine: Engine): boolean {
  const asked = spawnSync(join(bin, engine.name), engine.check.args, { encoding: 'utf8' })
  return asked.status === 0 && asked.stdout.includes(engine.check.says)
}
