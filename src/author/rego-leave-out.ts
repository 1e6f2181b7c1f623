/** Takes out of composed tests what cannot be compiled for the host, so that all others can. */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { capabilitiesPath } from './build.ts'
import { inOrigins, type Composition } from './compose.ts'
import { isRecord, textAt, valueAt } from './json-path.ts'
import { AuthorFault, runOpa } from './opa.ts'
import { readModule } from './rego-text.ts'

/** The compiler tells ten faults at a time, and what is taken out may be missed elsewhere. */
const mostRounds = 50

/**
 * Checks the sources against what the host lends and blanks the statements of tests that do not pass, in the scratch folder. Gives
 * `package/name` of each → what the compiler said. Throws AuthorFault for a fault outside of tests.
 */
export function leaveOut(composed: Composition, opa: string): ReadonlyMap<string, string> {
  const left = new Map<string, string>()
  const lent = lentToTests(composed, opa)
  for (let round = 0; round < mostRounds; round++) {
    const faults = check(composed, lent, opa)
    if (faults.length === 0) return left
    for (const fault of faults) {
      const { file, line, message } = fault
      const name = file.endsWith('_test.rego') ? blank(join(composed.folder, file), line) : null
      if (name === null) throw new AuthorFault(inOrigins(composed, `${file}:${line}: ${message}`))
      left.set(name, message)
    }
  }
  throw new AuthorFault('the tests do not compile for the host: too many faults')
}

interface Fault {
  readonly file: string
  readonly line: number
  readonly message: string
}

/** What policy may call, and `print`, which a build takes out. Gives the path of a file of them. */
function lentToTests({ folder, scratch }: Composition, opa: string): string {
  const builtinsOf = (text: string): readonly unknown[] => {
    const found = valueAt(JSON.parse(text), 'builtins')
    return Array.isArray(found) ? found : []
  }
  const lent = readFileSync(capabilitiesPath, 'utf8')
  const printing = builtinsOf(runOpa(opa, ['capabilities', '--current'], folder).stdout)
  const more = printing.filter((one) => ['print', 'internal.print'].includes(textAt(one, 'name')))
  const path = join(scratch, 'lent-to-tests.json')
  writeFileSync(path, JSON.stringify({ ...JSON.parse(lent), builtins: [...builtinsOf(lent), ...more] }))
  return path
}

function check({ folder }: Composition, lent: string, opa: string): readonly Fault[] {
  const { ok, stdout, stderr } = runOpa(opa, ['check', '--format', 'json', '--capabilities', lent, '.'], folder)
  if (ok) return []
  let found: unknown
  try {
    found = JSON.parse(`${stdout}${stderr}`)
  } catch (error) {
    throw new AuthorFault(`${stdout}${stderr}`.trim(), { cause: error })
  }
  const errors = isRecord(found) && Array.isArray(found['errors']) ? found['errors'] : []
  if (errors.length === 0) throw new AuthorFault(`${stdout}${stderr}`.trim())
  return errors.map((one: unknown) => ({
    file: textAt(one, 'location.file'),
    line: Number(valueAt(one, 'location.row') ?? 0),
    message: textAt(one, 'message'),
  }))
}

/** Empties the statement that holds the line, and leaves every line where it is. Gives its name; null when no statement holds it. */
function blank(path: string, line: number): string | null {
  const text = readFileSync(path, 'utf8')
  const { package: owner, statements } = readModule(text)
  const at = statements.findLastIndex((statement) => statement.line <= line)
  const statement = statements[at]
  if (statement === undefined) return null
  const end = statements[at + 1]?.line ?? Infinity
  const lines = text.split('\n').map((one, index) => (index + 1 >= statement.line && index + 1 < end ? '' : one))
  writeFileSync(path, lines.join('\n'))
  return `${owner.replaceAll('.', '/')}/${statement.name}`
}
