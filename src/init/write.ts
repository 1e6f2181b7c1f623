/** Puts what `countersign init` made into a folder: all of it or nothing, and nothing that is there is overwritten unasked. */
import { generateKeyPairSync } from 'node:crypto'
import { existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildPolicy } from '../author/build.ts'
import { readCases } from '../author/cases.ts'
import { packaged } from '../author/compose.ts'
import { findOpa, OpaMissing } from '../author/opa.ts'
import { readSigningKey } from '../author/signing-key.ts'
import { tryBundle } from '../author/trial.ts'
import type { Env } from '../config/yaml-text.ts'
import { InitFault } from './identity.ts'

/** Something is there that nobody said may be overwritten. */
export class TakenFault extends InitFault {}

/** A file to be written. */
export interface InitFile {
  /** Path within the folder. */
  readonly path: string
  readonly bytes: string | Uint8Array
  readonly mode: number
}

/** The JSON Schema that the package holds. */
export const schemaFile = fileURLToPath(new URL('../../deploy/countersign.schema.json', import.meta.url))

/** The files of a starter: its rules with their tests, its recorded cases and its page. */
export function starterFiles(starter: string): readonly InitFile[] {
  const root = join(packaged, 'starters', starter)
  const paths = globSync(['policy/**/*.rego', 'cases/*.json', 'README.md'], { cwd: root }).sort()
  return paths.map((path) => ({ path: path.replaceAll('\\', '/'), bytes: readFileSync(join(root, path)), mode: 0o644 }))
}

/** The compiler, where there is one. */
export function compilerOf(env: Env): string | null {
  try {
    return findOpa(env)
  } catch (error) {
    if (error instanceof OpaMissing) return null
    throw error
  }
}

/** Refuses to write over anything. Throws TakenFault that names what is there. */
export function refuseTaken(folder: string, paths: readonly string[]): void {
  const taken = paths.filter((path) => existsSync(join(folder, path)))
  if (taken.length > 0)
    throw new TakenFault(`${taken.map((path) => join(folder, path)).join(', ')} is there: give another folder, or --force to write it anew`)
}

export function writeFiles(folder: string, files: readonly InitFile[]): void {
  for (const { path, bytes, mode } of files) {
    const whole = join(folder, path)
    mkdirSync(dirname(whole), { recursive: true })
    writeFileSync(whole, bytes, { mode })
  }
}

/** Names of what `compile` writes. */
export const compiledFiles = ['policy.key', 'policy.pub', 'policy.tar.gz'] as const

/** Compiles the starter in the folder, tries it as the sidecar does, and signs it by a key pair of its own. Throws AuthorFault. */
export function compile(folder: string, opa: string): void {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const key = join(folder, 'policy.key')
  writeFiles(folder, [
    { path: 'policy.key', bytes: privateKey.export({ type: 'pkcs8', format: 'pem' }), mode: 0o600 },
    { path: 'policy.pub', bytes: publicKey.export({ type: 'spki', format: 'pem' }), mode: 0o644 },
  ])
  const signing = readSigningKey(key, 'first-agent', { algorithm: null, scope: null, issued: null })
  const { cases } = readCases([join(folder, 'cases')])
  const { bytes } = buildPolicy([folder], { revision: null, serial: 1, library: null, selftest: cases, entrypoints: null, signing }, opa)
  tryBundle(bytes, signing.verification)
  writeFiles(folder, [{ path: 'policy.tar.gz', bytes, mode: 0o644 }])
}
