/** Builds a bundle from Rego source: no optimiser, the builtins that Countersign lends, the same bytes wherever it is built. */

import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Case } from './cases.ts'
import { packaged, inOrigins, withSources, type Composition } from './compose.ts'
import { AuthorFault, runOpa } from './opa.ts'
import type { SigningKey } from './signing-key.ts'

export interface BuildOptions {
  /** Null for one that the sources give. */
  readonly revision: string | null
  /** `metadata.countersign.serial`, which never goes back; null to leave it as the author's manifest has it. */
  readonly serial: number | null
  /** See `ComposeOptions.library`. */
  readonly library: boolean | null
  /** Become `metadata.countersign.selftest`: tried wherever the bundle is activated. */
  readonly selftest: readonly Case[]
  /** Null to take those that annotations name, or the two of every policy when none does. */
  readonly entrypoints: readonly string[] | null
  readonly signing: SigningKey | null
}

export interface Built {
  readonly bytes: Uint8Array
  /** Whether the packaged library is in it. */
  readonly library: boolean
}

/** What a bundle is built with unless it is said otherwise. */
export const plainly: BuildOptions = { revision: null, serial: null, library: null, selftest: [], entrypoints: null, signing: null }

export const capabilitiesPath = join(packaged, 'capabilities.json')

/** What every build has in common: data that comes later must never be taken for known, which the optimiser does. */
export const buildFlags = ['--bundle', '.', '--target', 'wasm', '--optimize', '0', '--capabilities', capabilitiesPath]

/** Composes the folders and compiles them. Throws AuthorFault, with file and line where the compiler names them. */
export function buildPolicy(folders: readonly string[], options: BuildOptions, opa: string): Built {
  if (options.selftest.length > 0 && !options.selftest.some(({ expect }) => expect.effect === 'deny'))
    throw new AuthorFault(
      'no case expects a deny: a policy that was never seen to refuse anything has not been tried. Add one to the cases',
    )
  const metadata = {
    ...(options.serial === null ? {} : { serial: options.serial }),
    ...(options.selftest.length === 0 ? {} : { selftest: options.selftest.map(selfTestOf) }),
  }
  return withSources(folders, { library: options.library, tests: false, metadata }, (composed) => ({
    bytes: compile(composed, options, opa, folders.join(', ')),
    library: composed.library,
  }))
}

/** A folder as the default policy is built: what `simulate`, `diff` and the others judge with when they are given source. */
export function compileFolder(folder: string, opa: string): Uint8Array {
  return buildPolicy([folder], plainly, opa).bytes
}

function selfTestOf({ entrypoint, input, expect }: Case): object {
  return { entrypoint, input, effect: expect.effect }
}

function compile(composed: Composition, options: BuildOptions, opa: string, name: string): Uint8Array {
  const target = join(composed.scratch, 'policy.tar.gz')
  const entrypoints = (options.entrypoints ?? unannotated(composed)).flatMap((entrypoint) => ['--entrypoint', entrypoint])
  const revision = options.revision ?? sourceRevision(composed)
  const args = ['build', ...buildFlags, ...entrypoints, '--revision', revision, ...signingFlags(options.signing, composed.scratch)]
  const { ok, stdout, stderr } = runOpa(opa, [...args, '--output', target], composed.folder)
  // what is wrong with a source is on one of them, what is wrong with the call on the other
  if (!ok) throw new AuthorFault(`${name} does not compile:\n${inOrigins(composed, `${stdout}${stderr}`.trim())}`)
  return readFileSync(target)
}

/** The compiler takes annotated entrypoints by itself. */
function unannotated({ folder, origins }: Composition): readonly string[] {
  const annotated = [...origins.keys()].some(
    (path) => path.endsWith('.rego') && /^#\s+entrypoint: true\s*$/m.test(readFileSync(join(folder, path), 'utf8')),
  )
  return annotated ? [] : ['countersign/decision', 'countersign/task']
}

/** The same sources give the same revision, wherever and whenever they are compiled. */
function sourceRevision({ folder, origins }: Composition): string {
  const hash = createHash('sha256')
  for (const path of ['.manifest', ...[...origins.keys()].sort()]) {
    const bytes = readFileSync(join(folder, path))
    hash.update(`${path}\n${bytes.length}\n`).update(bytes)
  }
  return hash.digest('hex').slice(0, 12)
}

/** Claims of our own take the key id out of the header, so it stands among them (`keyid`), where verifiers look next. */
function signingFlags(signing: SigningKey | null, scratch: string): readonly string[] {
  if (signing === null) return []
  const claims = join(scratch, 'claims.json')
  const { verification, scope, issued } = signing
  writeFileSync(
    claims,
    JSON.stringify({ keyid: verification.id, ...(scope === null ? {} : { scope }), ...(issued === null ? {} : { iat: issued }) }),
  )
  return ['--signing-key', signing.path, '--signing-alg', verification.algorithm, '--claims-file', claims]
}

/** The cases that lie beside the sources of a folder; null when it has none. */
export function casesBeside(folder: string): string | null {
  const path = join(folder, 'cases')
  return existsSync(path) ? path : null
}
