import type { RegoTestRun } from '../../author/rego-tests.ts'
import { printable } from './table.ts'

/** Tests that did not pass, with how each of the two ended. Others say nothing. */
export function regoTestText({ tests, uncovered }: RegoTestRun, mark: string): string {
  const lines = tests.flatMap(({ name, file, line, opa, host, ok, why }) => {
    if (ok) return []
    const head = `${mark} ${name}  (${printable(file)}:${line})\n    opa: ${opa}, host: ${host}\n`
    return [head, ...why.split('\n').map((one) => (one === '' ? '' : `    ${printable(one)}\n`))]
  })
  return lines.join('') + uncovered.map((place) => `${printable(place)} is reached by no test\n`).join('')
}

/** One line about all of them. */
export function regoTestSummary({ tests, coverage }: RegoTestRun): string {
  const failed = tests.filter(({ ok }) => !ok).length
  const reached = coverage === null ? '' : `, ${coverage} % of the lines reached`
  return `${tests.length} Rego test${tests.length === 1 ? '' : 's'} in opa and in the host, ${failed} failed${reached}\n`
}
