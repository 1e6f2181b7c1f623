/** Findings as people, programs and code review read them. */
import { isAbsolute, relative, sep } from 'node:path'
import { findingCodes, formatFindings, type Finding } from '../config/findings.ts'
import { UsageFault } from './command.ts'

export interface Found {
  /** The configuration, as it was named. */
  readonly file: string
  readonly findings: readonly Finding[]
  /** Of this Countersign. */
  readonly version: string
}

type Format = (found: Found) => string

const formats: Readonly<Record<string, Format>> = {
  text: ({ file, findings }) => (findings.length === 0 ? '' : `${formatFindings(file, findings)}\n`),
  json: ({ file, findings }) => `${JSON.stringify({ file, findings }, null, 2)}\n`,
  sarif: (found) => `${JSON.stringify(sarif(found), null, 2)}\n`,
  github: (found) => found.findings.map((finding) => `${annotation(found, finding)}\n`).join(''),
}

/** Throws UsageFault for a name that is none. */
export function formatOf(name: string): Format {
  const format = Object.hasOwn(formats, name) ? formats[name] : undefined
  if (format === undefined) throw new UsageFault(`--format takes ${Object.keys(formats).join(', ')}`)
  return format
}

/** SARIF 2.1.0 (OASIS): one run, with the codes that spoke as its rules. */
function sarif({ file, findings, version }: Found): object {
  const spoken = [...new Set(findings.map(({ code }) => code))].sort()
  const rules = spoken.map((code) => ({ id: code, shortDescription: { text: findingCodes[code] } }))
  const results = findings.map((finding) => ({
    ruleId: finding.code,
    ruleIndex: spoken.indexOf(finding.code),
    level: finding.severity,
    message: { text: finding.message },
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri: encodeURI(placeOf(file, finding)) },
          region: { startLine: finding.line, startColumn: finding.column },
        },
        ...(finding.path === '' ? {} : { logicalLocations: [{ fullyQualifiedName: finding.path }] }),
      },
    ],
  }))
  return {
    $schema: 'https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json',
    version: '2.1.0',
    runs: [{ tool: { driver: { name: 'countersign check', version, rules } }, columnKind: 'utf16CodeUnits', results }],
  }
}

/** A workflow command of GitHub Actions, which the job shows beside the line. */
function annotation({ file }: Found, finding: Finding): string {
  const level = finding.severity === 'note' ? 'notice' : finding.severity
  const at = { file: placeOf(file, finding), line: finding.line, col: finding.column, title: finding.code }
  const properties = Object.entries(at).map(
    ([name, value]) => `${name}=${escaped(String(value)).replaceAll(':', '%3A').replaceAll(',', '%2C')}`,
  )
  return `::${level} ${properties.join(',')}::${escaped(finding.message)}`
}

function escaped(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
}

/** From the folder that the command runs in, which for a checkout is its root. */
function placeOf(file: string, finding: Finding): string {
  const path = finding.file ?? file
  return (isAbsolute(path) ? relative('.', path) : path).split(sep).join('/')
}
