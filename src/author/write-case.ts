/** Writes cases: an input with what policy is to say of it. */

import { writeFileSync } from 'node:fs'
import { stringify } from 'yaml'
import type { Entrypoint } from '../decide/engine.ts'
import type { JsonRecord } from './json-path.ts'
import type { Effect } from './ledger-inputs.ts'
import { AuthorFault } from './opa.ts'

/** A case as it stands in a file. */
export interface CaseDocument {
  readonly name: string
  readonly entrypoint?: Entrypoint
  readonly input: JsonRecord
  readonly expect: { readonly effect: Effect; readonly rules?: readonly string[]; readonly obligations?: readonly string[] }
}

/** What a case expects. */
interface Judged {
  readonly effect: Effect
  readonly rules: readonly { readonly id: string }[] | readonly string[]
}

/** A case of an input and what was said of it. */
export function caseOf(input: JsonRecord, entrypoint: Entrypoint, said: Judged, name: string): CaseDocument {
  const rules = [...new Set(said.rules.map((rule) => (typeof rule === 'string' ? rule : rule.id)))].sort()
  return {
    name: name === '' ? 'recorded' : name,
    ...(entrypoint === 'countersign/decision' ? {} : { entrypoint }),
    input,
    expect: { effect: said.effect, rules },
  }
}

/** Writes a case as JSON, or as YAML when the name ends so. Throws AuthorFault when the file is there already. */
export function writeCase(path: string, document: CaseDocument | readonly CaseDocument[]): void {
  const text = /\.ya?ml$/.test(path) ? stringify(document, { lineWidth: 0 }) : `${JSON.stringify(document, null, 2)}\n`
  try {
    writeFileSync(path, text, { flag: 'wx' })
  } catch (error) {
    const there = error instanceof Error && 'code' in error && error.code === 'EEXIST'
    throw new AuthorFault(there ? `${path} is there already` : error instanceof Error ? error.message : String(error), { cause: error })
  }
}
