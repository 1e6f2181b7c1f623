/** Opens a policy for its author: a built bundle or a folder, through the very host that judges in production. */

import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { readBundle, readFiles, type Bundle } from '../decide/bundle/bundle.ts'
import type { Entrypoint } from '../decide/engine.ts'
import { openPolicy, type PolicyHost } from '../decide/module.ts'
import { readResult, type Result } from '../decide/result.ts'
import { Refusal } from '../refusal.ts'
import { filesInBundle, filesInFolder, regoIn } from './bundle-files.ts'
import { valueAt } from './json-path.ts'
import { readCatalogue, type Catalogue } from './catalogue.ts'
import { rulesOf, typesOf, type Said } from './ledger-inputs.ts'
import { compileFolder } from './build.ts'
import { AuthorFault, findOpa } from './opa.ts'

/** What a candidate said of one input, as production would take it. */
export interface Verdict extends Said {
  /** Null when policy gave no well-formed decision; then the effect is deny and the one rule is the code of the refusal. */
  readonly result: Result | null
  /** Why there is none, for the author. */
  readonly fault: string | null
}

/** A bundle that was just built. */
export interface BuiltPolicy {
  readonly name: string
  readonly bytes: Uint8Array
}

/** A policy that is tried, not in force. */
export interface Candidate {
  /** As it was named. */
  readonly name: string
  readonly bundle: Bundle
  /** Path → text of the Rego sources it carries; a bundle may carry none. */
  readonly sources: ReadonlyMap<string, string>
  readonly catalogue: Catalogue
  /** Names of the settings it was opened with. */
  readonly settings: ReadonlySet<string>
  readonly host: PolicyHost
  /** Judges as the path does; a policy that asks for the time is told `context.now` of the input. Never throws. */
  judge(entrypoint: Entrypoint, inputText: string): Verdict
  close(): void
}

const defaultBundle = new URL('../../rego/policy.tar.gz', import.meta.url)

/**
 * Opens what was built, or what `word` names: `default`, a bundle file, a folder with `policy.wasm`, or a folder of Rego source, which needs `opa`.
 * `settings` is what the operator sets for the rules, as policy reads it. Throws AuthorFault or BundleFault, both for the author.
 */
export function openCandidate(
  word: string | BuiltPolicy,
  env: Readonly<Record<string, string | undefined>>,
  settings?: Readonly<Record<string, unknown>>,
): Candidate {
  const { bundle, sources } = typeof word === 'string' ? opened(word, env) : packed(word.bytes)
  let judged = '{}'
  const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined }
  const host = openPolicy(bundle, { clock: () => momentOf(judged), log: quiet, ...(settings === undefined ? {} : { settings }) })
  return {
    name: typeof word === 'string' ? word : word.name,
    bundle,
    sources,
    catalogue: readCatalogue(sources),
    settings: new Set(Object.keys(settings ?? {})),
    host,
    judge(entrypoint, inputText) {
      judged = inputText
      return verdict(host, entrypoint, inputText)
    },
    close: () => host.close(),
  }
}

function opened(word: string, env: Readonly<Record<string, string | undefined>>): Pick<Candidate, 'bundle' | 'sources'> {
  if (word === 'default') return packed(readFileSync(defaultBundle))
  if (!existsSync(word)) throw new AuthorFault(`${word} is not there: give a bundle, a folder, or the word default`)
  if (!statSync(word).isDirectory()) return packed(readFileSync(word))
  if (!existsSync(join(word, 'policy.wasm'))) return packed(compileFolder(word, findOpa(env)))
  const files = filesInFolder(word)
  return { bundle: readFiles(files), sources: regoIn(files) }
}

function packed(bytes: Uint8Array): Pick<Candidate, 'bundle' | 'sources'> {
  return { bundle: readBundle(bytes), sources: regoIn(filesInBundle(bytes)) }
}

/** Epoch ms; only policies that ask for the time make it be read. */
function momentOf(inputText: string): number {
  const now = valueAt(JSON.parse(inputText), 'context.now')
  return typeof now === 'number' ? now : 0
}

function verdict(host: PolicyHost, entrypoint: Entrypoint, inputText: string): Verdict {
  let document: unknown
  try {
    document = host.evaluate(entrypoint, inputText)
  } catch (error) {
    return refused('decide.unavailable', error instanceof Error ? `${error.message}${causeOf(error)}` : 'it could not be evaluated')
  }
  try {
    const result = readResult(document)
    return { effect: result.effect, rules: rulesOf(result.reasons), obligations: typesOf(result.obligations), result, fault: null }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return refused(error.code, error.detail ?? 'no well-formed decision')
  }
}

function refused(code: string, fault: string): Verdict {
  return { effect: 'deny', rules: [code], obligations: [], result: null, fault }
}

function causeOf({ cause }: Error): string {
  return cause instanceof Error ? `: ${cause.message}` : ''
}
