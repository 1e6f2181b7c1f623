import { ConfigFault, formatFindings, type Finding } from '../config/findings.ts'
import { loadConfig } from '../config/load.ts'
import { exit, parseWords, UsageFault, type Command } from './command.ts'

/** `countersign check FILE`: every problem of a configuration at once, each with its place and what to do. */
export const check: Command = {
  usage: `usage: countersign check [-o text|json] [--effective] FILE

Prints each finding as file:line:column CODE message. The codes are explained in docs/config.md.

  -o text|json   how findings are printed (default: text)
  --effective    print the effective configuration, defaults filled in, as JSON

exit status: 0 usable, 1 not usable, 64 wrong usage`,
  async run({ args, env, stdout, stderr }) {
    const { values, positionals } = parseWords(args, {
      output: { type: 'string', short: 'o', default: 'text' },
      effective: { type: 'boolean' },
    })
    const [file, ...rest] = positionals
    if (file === undefined || rest.length > 0) throw new UsageFault('check takes one file')
    if (values.output !== 'text' && values.output !== 'json') throw new UsageFault('-o takes text or json')
    const print = (findings: readonly Finding[]): void => {
      if (values.output === 'json') stdout.write(`${JSON.stringify({ file, findings }, null, 2)}\n`)
      else if (findings.length > 0) stdout.write(`${formatFindings(file, findings)}\n`)
    }
    try {
      const loaded = loadConfig(file, env)
      const findings = [...loaded.findings, ...loaded.placeholders]
      if (values.effective) stdout.write(`${JSON.stringify(loaded.config, null, 2)}\n`)
      else print(findings)
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
