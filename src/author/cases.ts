/** Cases: inputs with what policy is to say of them, and their run through the host of production. */

import { globSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import type { Entrypoint } from '../decide/engine.ts'
import type { Candidate } from './candidate.ts'
import { readText } from './input-file.ts'
import { isRecord, textAt, type JsonRecord } from './json-path.ts'
import type { Effect } from './ledger-inputs.ts'
import { AuthorFault } from './opa.ts'

/** Effect, rules and obligations; what is null was not asked for. */
export interface Expected {
  readonly effect: Effect
  /** Ids, sorted: exactly these. */
  readonly rules: readonly string[] | null
  /** Types, sorted: exactly these. */
  readonly obligations: readonly string[] | null
}

export interface Case {
  readonly file: string
  readonly name: string
  readonly entrypoint: Entrypoint
  readonly input: JsonRecord
  readonly expect: Expected
}

export interface CaseOutcome {
  readonly file: string
  readonly name: string
  readonly ok: boolean
  readonly got: { readonly effect: Effect; readonly rules: readonly string[]; readonly obligations: readonly string[] }
  /** What differs from what was expected, a line each. */
  readonly differences: readonly string[]
}

/** Cases of these files and folders, and the files of folders that hold none. Throws AuthorFault for a case that cannot be read. */
export function readCases(paths: readonly string[]): { readonly cases: readonly Case[]; readonly passedOver: readonly string[] } {
  const cases: Case[] = []
  const passedOver: string[] = []
  for (const { path, named } of paths.flatMap(filesOf)) {
    const documents = documentsOf(path)
    // beside cases, a folder may hold data and schemas; a file that was named is meant
    if (!named && !documents.some((one) => isRecord(one) && ('expect' in one || 'input' in one))) passedOver.push(path)
    else for (const [at, one] of documents.entries()) cases.push(readCase(one, path, documents.length === 1 ? '' : `[${at}]`))
  }
  return { cases, passedOver }
}

function filesOf(path: string): { readonly path: string; readonly named: boolean }[] {
  let folder: boolean
  try {
    folder = statSync(path).isDirectory()
  } catch (error) {
    throw new AuthorFault(error instanceof Error ? error.message : String(error), { cause: error })
  }
  if (!folder) return [{ path, named: true }]
  const names = globSync('**/*.{json,yaml,yml}', { cwd: path })
  return names.sort().map((name) => ({ path: join(path, name), named: false }))
}

function documentsOf(path: string): readonly unknown[] {
  const text = readText(path)
  let found: unknown
  try {
    found = path.endsWith('.json') ? JSON.parse(text) : parse(text)
  } catch (error) {
    throw new AuthorFault(`${path}: ${error instanceof Error ? error.message : 'it cannot be read'}`, { cause: error })
  }
  return Array.isArray(found) ? found : [found]
}

const entrypoints: readonly Entrypoint[] = ['countersign/decision', 'countersign/task']
const members = ['name', 'entrypoint', 'input', 'expect', 'description']

function readCase(found: unknown, path: string, place: string): Case {
  const wrong = (what: string): AuthorFault => new AuthorFault(`${path}${place}: ${what}`)
  if (!isRecord(found)) throw wrong('a case is an object with name, input and expect')
  const unknown = Object.keys(found).find((name) => !members.includes(name))
  if (unknown !== undefined) throw wrong(`a case has no member "${unknown}"; it has ${members.join(', ')}`)
  const { input, expect, entrypoint: named = 'countersign/decision' } = found
  const entrypoint = entrypoints.find((one) => one === named)
  if (entrypoint === undefined) throw wrong(`the entrypoint is one of ${entrypoints.join(', ')}`)
  if (!isRecord(input)) throw wrong('the input is an object')
  if (!isRecord(expect)) throw wrong('expect is an object with effect, and rules and obligations by choice')
  const stray = Object.keys(expect).find((name) => !['effect', 'rules', 'obligations'].includes(name))
  if (stray !== undefined) throw wrong(`expect has no member "${stray}"`)
  const { effect, rules, obligations } = expect
  if (effect !== 'allow' && effect !== 'deny' && effect !== 'ask') throw wrong('expect.effect is allow, deny or ask')
  return {
    file: path,
    name: textAt(found, 'name') || `${path}${place}`,
    entrypoint,
    input,
    expect: {
      effect,
      rules: namesIn(rules, () => wrong('expect.rules is a list of rule ids')),
      obligations: namesIn(obligations, () => wrong('expect.obligations is a list of types')),
    },
  }
}

function namesIn(value: unknown, wrong: () => AuthorFault): readonly string[] | null {
  if (value === undefined) return null
  if (!Array.isArray(value) || !value.every((one): one is string => typeof one === 'string')) throw wrong()
  return [...new Set(value)].sort()
}

/** Runs one case. */
export function runCase(one: Case, candidate: Candidate): CaseOutcome {
  const verdict = candidate.judge(one.entrypoint, JSON.stringify(one.input))
  const obligations = [...new Set((verdict.result?.obligations ?? []).map(({ type }): string => type))].sort()
  const got = { effect: verdict.effect, rules: verdict.rules, obligations }
  const differences = [
    ...(got.effect === one.expect.effect ? [] : [`effect: expected ${one.expect.effect}, got ${got.effect}`]),
    ...setDifference('rules', one.expect.rules, got.rules),
    ...setDifference('obligations', one.expect.obligations, obligations),
    ...(verdict.fault === null ? [] : [`the policy gave no well-formed decision: ${verdict.fault}`]),
  ]
  return { file: one.file, name: one.name, ok: differences.length === 0, got, differences }
}

function setDifference(what: string, expected: readonly string[] | null, got: readonly string[]): string[] {
  if (expected === null) return []
  const missing = expected.filter((name) => !got.includes(name)).map((name) => `- ${name}`)
  const extra = got.filter((name) => !expected.includes(name)).map((name) => `+ ${name}`)
  return missing.length + extra.length === 0 ? [] : [`${what}: ${[...missing, ...extra].join('  ')}`]
}
