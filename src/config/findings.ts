/** A thing `countersign check` found: where, a stable code, what, and what to do about it. */
export interface Finding {
  /** Absent: the configuration file itself. */
  readonly file?: string
  readonly code: FindingCode
  readonly severity: 'error' | 'warning' | 'note'
  readonly line: number
  readonly column: number
  /** Dotted path of the setting, empty for the whole file. */
  readonly path: string
  readonly message: string
}

/** Every code that a finding may carry; each stands in docs/config.md. */
export const findingCodes = {
  CS1001: 'the file cannot be read',
  CS1101: 'the file is not valid YAML',
  CS1110: 'an environment variable is not set',
  CS1201: 'a value has the wrong type or form',
  CS1202: 'a required setting is missing',
  CS1204: 'a key is unknown',
  CS1301: 'a secret stands in the file',
  CS1310: 'a credential is standing',
  CS1401: 'a name refers to nothing',
  CS1402: 'two settings collide',
  CS1403: 'a setting can never take effect',
  CS1404: 'a credential cannot be put on the request this way',
  CS1501: 'a plain listener would be reachable from outside',
  CS1502: 'a caller from outside would need no proof',
  CS1601: 'an agent would not be live',
  CS1602: 'an agent that others host is approved without an end',
  CS1603: 'an owner is a placeholder',
  CS1604: 'an intent names what is out of bounds',
  CS1605: 'an approval has lapsed',
  CS1606: 'an approval lapses soon',
  CS1607: 'an agent is declared in a file and registered through the admin API',
  CS1701: 'a policy bundle would be trusted unsigned',
  CS1711: 'an evaluation of policy took longer than its budget',
  CS1712: 'no watchdog looks after policy evaluations',
  CS1713: 'an evaluation of policy did not end, so the process was ended',
  CS1714: 'answers are to be judged, and the policy has no entrypoint for it',
  CS1901: 'a setting weakens protection',
} as const

export type FindingCode = keyof typeof findingCodes

/** A file or folder that was read, and its `stampOfPath` before that. */
export interface Watched {
  readonly path: string
  readonly stamp: string
}

/** One line a finding, `file:line:column  CODE  message`, as compilers print them. */
export function formatFindings(file: string, findings: readonly Finding[]): string {
  return findings
    .map((finding) => `${finding.file ?? file}:${finding.line}:${finding.column}  ${finding.code}  ${finding.message}`)
    .join('\n')
}

/** A configuration that cannot be used; carries every finding, not just the first. */
export class ConfigFault extends Error {
  readonly file: string
  readonly findings: readonly Finding[]
  /** What was read besides, as far as the configuration says; a change in it may mend what is wrong. */
  readonly watched: readonly Watched[]

  constructor(file: string, findings: readonly Finding[], watched: readonly Watched[] = []) {
    super(formatFindings(file, findings))
    this.name = 'ConfigFault'
    this.file = file
    this.findings = findings
    this.watched = watched
  }
}
