import { findingText } from '../../author/lint/findings.ts'
import { lintPolicy } from '../../author/lint/lint.ts'
import { findOpa } from '../../author/opa.ts'
import { exit, parseWords, UsageFault, type Command } from '../command.ts'
import { libraryChoice, libraryOptions, libraryUsage } from './library-choice.ts'
import { outputOf, printable, writeJson } from './table.ts'

/** `countersign policy lint`: what is wrong with Rego source, all of it at once. */
export const lint: Command = {
  usage: `usage: countersign policy lint FOLDER… [-o text|json]

Reads Rego with opa and prints each finding as file:line CODE message. The codes are explained in docs/policy-loop.md. Checked are:
opa's format and strict check against the schemas; the annotation of every rule that decides, with ids, facts and framework controls
that exist; that nothing is allowed by default, and that the policy comes into force; builtins, clocks and inputs where they do not
belong; a test that each rule refuses something, and one that it lets something pass.

  FOLDER           Rego, data.json and .manifest; or a folder that holds them in policy/
${libraryUsage}
  -o text|json     how it is printed (default: text)

exit status: 0 nothing but notes, 1 findings, 64 wrong usage, 69 there is no opa, 78 there is no source`,
  run: async (invocation) => {
    const { values, positionals } = parseWords(invocation.args, {
      ...libraryOptions,
      output: { type: 'string', short: 'o', default: 'text' },
    })
    if (positionals.length === 0) throw new UsageFault('give folders of Rego source')
    const output = outputOf(values.output)
    const findings = lintPolicy(positionals, libraryChoice(values), findOpa(invocation.env))
    if (output === 'json') writeJson(invocation, { findings })
    else for (const one of findings) invocation.stdout.write(`${findingText(one).split('\n').map(printable).join('\n  ')}\n`)
    const counted = findings.filter(({ severity }) => severity !== 'note').length
    const notes = findings.length - counted
    invocation.stderr.write(
      `${counted} finding${counted === 1 ? '' : 's'}${notes === 0 ? '' : `, ${notes} note${notes === 1 ? '' : 's'}`}\n`,
    )
    return counted > 0 ? exit.findings : exit.ok
  },
}
