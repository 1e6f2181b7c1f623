import { styleText } from 'node:util'
import type { Check, Severity } from './findings.ts'

const colours = { ok: 'green', note: 'cyan', warning: 'yellow', error: 'red' } as const
const indent = ' '.repeat(9)

/** For people: a line for what is well, and for each finding two more that say what to do. */
export function checksText(checks: readonly Check[], colour: boolean): string {
  return checks.map((check) => checkText(check, colour)).join('')
}

/** For programs. */
export function checksJson(checks: readonly Check[]): string {
  return `${JSON.stringify({ checks }, null, 2)}\n`
}

/** What it comes to, for the end. */
export function summary(checks: readonly Check[]): string {
  const counts = [
    [count(checks, 'error'), 'problem'],
    [count(checks, 'warning'), 'warning'],
    [count(checks, 'note'), 'note'],
  ] as const
  const said = counts.filter(([number]) => number > 0).map(([number, noun]) => `${number} ${noun}${number === 1 ? '' : 's'}`)
  return said.length === 0 ? 'nothing wrong was found' : `${said.join(', ')}; docs/doctor.md explains the codes`
}

function count(checks: readonly Check[], severity: Severity): number {
  return checks.filter((check) => check.severity === severity).length
}

function checkText({ code, severity, subject, seen, fix }: Check, colour: boolean): string {
  const head = severity.padEnd(indent.length)
  const first = `${colour ? styleText(colours[severity], head, { validateStream: false }) : head}${code === null ? '' : `${code}  `}`
  const where = clean(subject)
  const lines = [`${first}${colour ? styleText('bold', where, { validateStream: false }) : where}: ${clean(seen)}`]
  if (fix !== null) lines.push(`${indent}fix: ${clean(fix)}`)
  return `${lines.join('\n')}\n`
}

/** What servers and certificates say never moves a cursor. */
function clean(text: string): string {
  return text.replaceAll(/[\p{C}\u2028\u2029]/gu, '?')
}
