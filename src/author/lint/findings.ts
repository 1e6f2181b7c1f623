/** What `countersign policy lint` finds: a stable code, where, what, and what to do about it. */

export interface LintFinding {
  readonly code: LintCode
  readonly severity: 'error' | 'warning' | 'note'
  /** As the author names it; empty when it is about the whole policy. */
  readonly file: string
  readonly line: number
  readonly message: string
}

/** Every code that a finding may carry; each stands in docs/policy-loop.md. */
export const lintCodes = {
  CP1001: 'the compiler refuses the source',
  CP1002: 'a file is not formatted',
  CP1101: 'a rule has no annotation',
  CP1102: 'an annotation is incomplete',
  CP1103: 'two rules have one id',
  CP1104: 'a control id is unknown',
  CP1105: 'a fact or a setting is in no schema',
  CP1106: 'a rule does something else than its annotation says',
  CP1107: 'a rule requires facts and never waits for them',
  CP1201: 'the policy would not come into force',
  CP1202: 'a default is not a refusal',
  CP1203: 'an entrypoint is not annotated',
  CP1204: 'an entrypoint is not there',
  CP1301: 'a builtin is not lent to policy',
  CP1302: 'a rule reads a clock of its own',
  CP1303: 'a helper reads the input',
  CP1304: 'a script builds with the optimiser',
  CP1401: 'no test names a rule',
  CP1402: 'no test shows what a rule lets pass',
} as const

export type LintCode = keyof typeof lintCodes

const milder: Readonly<Partial<Record<LintCode, LintFinding['severity']>>> = { CP1002: 'warning', CP1204: 'note', CP1402: 'warning' }

export function finding(code: LintCode, file: string, line: number, message: string): LintFinding {
  return { code, severity: milder[code] ?? 'error', file, line, message }
}

/** One line a finding, as compilers print them. */
export function findingText({ file, line, code, message }: LintFinding): string {
  return `${file === '' ? '' : `${file}:${line}  `}${code}  ${message}`
}
