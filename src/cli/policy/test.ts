import { readCases, runCase, type CaseOutcome } from '../../author/cases.ts'
import { exit, mayColour, parseWords, UsageFault, type Command, type Invocation } from '../command.ts'
import { styleText } from 'node:util'
import { openNamed, policyOptions, policyUsage } from './policy-source.ts'
import { outputOf, printable, writeJson } from './table.ts'

/** `countersign policy test`: recorded cases through the very host that runs in production. */
export const test: Command = {
  usage: `usage: countersign policy test PATH… [--policy POLICY] [-o text|json]

Runs cases. PATH is a JSON or YAML file that holds one case or a list of them, or a folder of such files:

  name: a mail to a partner after personal data was read
  input: { … }                       # input v1, as countersign policy record-case writes it
  expect: { effect: deny, rules: [data.beyond-destination] }

rules and obligations (types) are exactly those; without them only the effect counts. entrypoint is countersign/decision unless it
says countersign/task. The policy is tried as it is before it judges in production, then each case is judged as a call is.

  --policy POLICY  a bundle file, a folder, or the word default (default: default)
${policyUsage.replace('the one of --config, else none', 'none')}
  -o text|json     how it is printed (default: text)

examples:
  countersign policy test cases/
  countersign policy test cases/mail.yaml --policy policy.tar.gz

exit status: 0 every case holds, 1 one does not, 64 wrong usage, 78 the policy or a case cannot be used`,
  async run(invocation) {
    const { values, positionals } = parseWords(invocation.args, {
      ...policyOptions,
      policy: { type: 'string', default: 'default' },
      output: { type: 'string', short: 'o', default: 'text' },
    })
    if (positionals.length === 0) throw new UsageFault('give files or folders of cases')
    const output = outputOf(values.output)
    const { cases, passedOver } = readCases(positionals)
    const { stderr } = invocation
    for (const path of passedOver) stderr.write(`${path} holds no case\n`)
    const candidate = await openNamed(values.policy, values, invocation)
    const outcomes = cases.map((one) => runCase(one, candidate))
    candidate.close()
    const failed = outcomes.filter(({ ok }) => !ok)
    if (output === 'json') writeJson(invocation, { policy: { name: values.policy, revision: candidate.bundle.revision }, outcomes })
    else for (const outcome of outcomes) invocation.stdout.write(outcomeText(outcome, invocation))
    stderr.write(`${outcomes.length} case${outcomes.length === 1 ? '' : 's'}, ${failed.length} failed\n`)
    if (outcomes.length === 0) stderr.write('no case was found\n')
    return failed.length > 0 || outcomes.length === 0 ? exit.findings : exit.ok
  },
}

function outcomeText({ ok, name, file, differences }: CaseOutcome, invocation: Invocation): string {
  const mark = ok ? '✓' : '✗'
  const shown = mayColour(invocation) ? styleText(ok ? 'green' : 'red', mark, { validateStream: false }) : mark
  const head = `${shown} ${printable(name)}${ok ? '' : `  (${printable(file)})`}\n`
  return head + differences.map((line) => `    ${printable(line)}\n`).join('')
}
