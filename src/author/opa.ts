/** The policy compiler: finds `opa`, and compiles a folder of Rego as the default policy is compiled. */

import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Something an author gave that cannot be used; the message says what to do. */
export class AuthorFault extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'AuthorFault'
  }
}

export const howToGetOpa = `This starts from Rego source, which only the compiler opa can read. Get it with one of
  go install github.com/open-policy-agent/opa@v1.22.2
  brew install opa
  https://github.com/open-policy-agent/opa/releases
and have it on the PATH, or name it in the variable OPA. A built bundle (opa build) needs no opa here.`

const packageRoot = new URL('../../', import.meta.url)
const capabilities = fileURLToPath(new URL('rego/capabilities.json', packageRoot))

/** Finds the compiler: the variable OPA, what `npm run engines` installed, the PATH. Throws AuthorFault that says how to get it. */
export function findOpa(env: Readonly<Record<string, string | undefined>>): string {
  const named = env['OPA']
  const places = named === undefined || named === '' ? [fileURLToPath(new URL('.engines/bin/opa', packageRoot)), 'opa'] : [named]
  const found = places.find((place) => spawnSync(place, ['version'], { env }).status === 0)
  if (found === undefined) throw new AuthorFault(named === undefined ? howToGetOpa : `${named} (OPA) does not run. ${howToGetOpa}`)
  return found
}

/**
 * Compiles a folder of Rego with a `.manifest` into a bundle: no optimiser, the builtins that Countersign lends, no tests, the
 * revision that its sources give. Throws AuthorFault with what the compiler said.
 */
export function compileFolder(folder: string, opa: string): Uint8Array {
  const scratch = mkdtempSync(join(tmpdir(), 'countersign-policy-'))
  try {
    const target = join(scratch, 'policy.tar.gz')
    const fixed = ['--bundle', '.', '--target', 'wasm', '--optimize', '0', '--ignore', '*_test.rego', '--ignore', 'starters']
    const entrypoints = isAnnotated(folder) ? [] : ['--entrypoint', 'countersign/decision', '--entrypoint', 'countersign/task']
    const named = ['--revision', sourceRevision(folder), '--capabilities', capabilities, '--output', target]
    execFileSync(opa, ['build', ...fixed, ...entrypoints, ...named], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' })
    return readFileSync(target)
  } catch (error) {
    // what is wrong with a source is on one of them, what is wrong with the call on the other
    const said =
      error instanceof Error && 'stderr' in error && 'stdout' in error ? `${String(error.stdout)}${String(error.stderr)}`.trim() : ''
    throw new AuthorFault(`${folder} does not compile${said === '' ? '' : `:\n${said}`}`, { cause: error })
  } finally {
    rmSync(scratch, { recursive: true })
  }
}

/** What belongs to a policy: neither tests nor the starters that stand beside the default policy. */
function isSource(path: string): boolean {
  return !path.endsWith('_test.rego') && !/^starters[/\\]/.test(path)
}

/** Whether annotations name the entrypoints; the compiler takes those by itself. */
function isAnnotated(folder: string): boolean {
  return globSync('**/*.rego', { cwd: folder })
    .filter(isSource)
    .some((path) => /^#\s+entrypoint: true\s*$/m.test(readFileSync(join(folder, path), 'utf8')))
}

/** The same sources give the same revision, wherever and whenever they are compiled. */
function sourceRevision(folder: string): string {
  const hash = createHash('sha256')
  const paths = globSync(['.manifest', '**/*.rego', '**/data.{json,yaml,yml}'], { cwd: folder }).filter(isSource)
  for (const path of paths.sort()) {
    const bytes = readFileSync(join(folder, path))
    hash.update(`${path.replaceAll('\\', '/')}\n${bytes.length}\n`).update(bytes)
  }
  return hash.digest('hex').slice(0, 12)
}
