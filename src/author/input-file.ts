/** Reads what an author hands over: an input, a stored line or a document with either, as JSON. */

import { readFileSync } from 'node:fs'
import type { Entrypoint } from '../decide/engine.ts'
import { isRecord, type JsonRecord } from './json-path.ts'
import { readLedgerLine, type Recorded } from './ledger-inputs.ts'
import { AuthorFault } from './opa.ts'

export interface GivenInput {
  readonly input: JsonRecord
  readonly entrypoint: Entrypoint
  /** When a stored line was given. */
  readonly recorded: Recorded | null
}

/** Takes a policy input, a stored ledger line, or `{ "input": … }`. Throws AuthorFault for anything else. */
export function readInput(text: string, name: string): GivenInput {
  let found: unknown
  try {
    found = JSON.parse(text)
  } catch (error) {
    throw new AuthorFault(`${name} is not JSON: ${error instanceof Error ? error.message : ''}`, { cause: error })
  }
  const line = readLedgerLine(text)
  if (line.type === 'judged') {
    const { input } = line.recorded
    if (input === null) throw new AuthorFault(`${name}: the whole input is masked in this line`)
    return { input, entrypoint: 'countersign/decision', recorded: line.recorded }
  }
  if (line.type === 'unjudged') throw new AuthorFault(`${name}: policy was never asked about this call, it ended as ${line.code}`)
  const input = isRecord(found) && isRecord(found['input']) ? found['input'] : found
  if (!isRecord(input) || input['v'] !== 1) throw new AuthorFault(`${name} is no input v1: see rego/schemas/input.json`)
  return { input, entrypoint: input['action'] === undefined ? 'countersign/decision' : 'countersign/task', recorded: null }
}

/** Reads a file, or what stands for it. Throws AuthorFault. */
export function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new AuthorFault(error instanceof Error ? error.message : String(error), { cause: error })
  }
}
