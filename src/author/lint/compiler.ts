/** What the compiler itself has to say: its strict check against the schemas, and its format. */

import type { Composition } from '../compose.ts'
import { textAt, valueAt } from '../json-path.ts'
import { runOpa } from '../opa.ts'
import { finding, type LintFinding } from './findings.ts'
import { recordsIn } from './modules.ts'

export function checkSources({ folder, origins, schemas }: Composition, opa: string): LintFinding[] {
  const { ok, stdout, stderr } = runOpa(opa, ['check', '--strict', '--format', 'json', '--schema', schemas, '.'], folder)
  if (ok) return []
  const errors = recordsIn(errorsIn(`${stdout}${stderr}`))
  if (errors.length === 0) return [finding('CP1001', '', 0, `${stdout}${stderr}`.trim())]
  return errors.map((one) => {
    const file = textAt(one, 'location.file')
    return finding(
      'CP1001',
      origins.get(file) ?? file,
      Number(valueAt(one, 'location.row') ?? 0),
      `${textAt(one, 'code')}: ${textAt(one, 'message')}`,
    )
  })
}

function errorsIn(text: string): unknown {
  try {
    return valueAt(JSON.parse(text), 'errors')
  } catch {
    return null
  }
}

export function checkFormat({ folder, origins, own }: Composition, opa: string): LintFinding[] {
  const { stdout } = runOpa(opa, ['fmt', '--list', '.'], folder)
  const named = stdout.split('\n').map((line) => line.trim().replace(/^\.\//, ''))
  return named
    .filter((path) => own.includes(path))
    .map((path) => finding('CP1002', origins.get(path) ?? path, 1, `the file is not formatted: opa fmt -w ${origins.get(path) ?? path}`))
}
