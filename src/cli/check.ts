import { ConfigFault, type Finding } from '../config/findings.ts'
import { loadConfig } from '../config/load.ts'
import { formatOf } from './finding-formats.ts'
import { exit, parseWords, UsageFault, type Command } from './command.ts'

/** `countersign check FILE`: every problem of a configuration at once, each with its place and what to do. */
export const check: Command = {
  usage: `usage: countersign check [--format text|json|sarif|github] [--strict] [--effective] FILE

Prints each finding as file:line:column CODE message. The codes are explained in docs/config.md. Files that the configuration includes
are checked with it, and named where they are meant.

  --format NAME  text (default); json; sarif: SARIF 2.1.0 for code scanning; github: annotations of a GitHub Actions job. Also -o
  --strict       a warning makes it unusable too
  --effective    print the effective configuration, defaults filled in, as JSON

exit status: 0 usable, 1 not usable, 64 wrong usage`,
  async run({ args, env, stdout, stderr, version }) {
    const { values, positionals } = parseWords(args, {
      format: { type: 'string', short: 'o' },
      output: { type: 'string' },
      strict: { type: 'boolean' },
      effective: { type: 'boolean' },
    })
    const [file, ...rest] = positionals
    if (file === undefined || rest.length > 0) throw new UsageFault('check takes one file')
    const format = formatOf(values.format ?? values.output ?? 'text')
    const print = (findings: readonly Finding[]): void => {
      stdout.write(format({ file, findings, version }))
    }
    try {
      const loaded = loadConfig(file, env)
      const findings = [...loaded.findings, ...loaded.placeholders]
      if (values.effective) stdout.write(`${JSON.stringify(loaded.config, null, 2)}\n`)
      else print(findings)
      const weak = findings.filter(({ severity }) => severity === 'warning').length
      if (values.strict === true && weak > 0) {
        stderr.write(`${count(weak, 'warning')}\n`)
        return exit.findings
      }
      stderr.write(findings.length === 0 ? `${file} is good\n` : `${file} can be used; ${count(findings.length, 'remark')}\n`)
      return exit.ok
    } catch (error) {
      if (!(error instanceof ConfigFault)) throw error
      print(error.findings)
      stderr.write(`${count(error.findings.filter((finding) => finding.severity === 'error').length, 'problem')}\n`)
      return exit.findings
    }
  },
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
