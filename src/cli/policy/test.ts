import { buildPolicy, casesBeside, plainly } from '../../author/build.ts'
import type { BuiltPolicy } from '../../author/candidate.ts'
import { readCases, runCase, type CaseOutcome } from '../../author/cases.ts'
import { isSource } from '../../author/compose.ts'
import { findOpa } from '../../author/opa.ts'
import { runRegoTests, type RegoTestRun } from '../../author/rego-tests.ts'
import { exit, mayColour, parseWords, UsageFault, type Command, type Invocation } from '../command.ts'
import { styleText } from 'node:util'
import { libraryChoice, libraryOptions, libraryUsage } from './library-choice.ts'
import { openNamed, policyOptions, policyUsage } from './policy-source.ts'
import { regoTestSummary, regoTestText } from './rego-test-text.ts'
import { outputOf, printable, writeJson } from './table.ts'

/** `countersign policy test`: recorded cases and Rego tests through the very host that runs in production. */
export const test: Command = {
  usage: `usage: countersign policy test PATH… [--policy POLICY] [-o text|json]

Runs cases and tests. PATH is a JSON or YAML file that holds one case or a list of them, or a folder of such files:

  name: a mail to a partner after personal data was read
  input: { … }                       # input v1, as countersign policy record-case writes it
  expect: { effect: deny, rules: [data.beyond-destination] }

rules and obligations (types) are exactly those; without them only the effect counts. entrypoint is countersign/decision unless it
says countersign/task. The policy is tried as it is before it judges in production, then each case is judged as a call is.

PATH may also be a folder of Rego source (it needs opa): its tests are run by opa and, compiled, through the host that judges in
production, and must pass in both; then the cases in its cases/ are judged by what the folder compiles to.

  --policy POLICY  a bundle file, a folder, or the word default (default: the source folders, else default)
${libraryUsage}
${policyUsage.replace('the one of --config, else none', 'none')}
  -o text|json     how it is printed (default: text)

examples:
  countersign policy test cases/
  countersign policy test cases/mail.yaml --policy policy.tar.gz
  countersign policy test acme

exit status: 0 every case and test holds, 1 one does not, 64 wrong usage, 69 there is no opa, 78 the policy or a case cannot be used`,
  async run(invocation) {
    const { values, positionals } = parseWords(invocation.args, {
      ...libraryOptions,
      ...policyOptions,
      policy: { type: 'string' },
      output: { type: 'string', short: 'o', default: 'text' },
    })
    if (positionals.length === 0) throw new UsageFault('give files or folders of cases, or folders of Rego source')
    const output = outputOf(values.output)
    const library = libraryChoice(values)
    const folders = positionals.filter(isSource)
    const { cases, passedOver } = readCases(positionals.flatMap((path) => (folders.includes(path) ? (casesBeside(path) ?? []) : [path])))
    const { stdout, stderr } = invocation
    for (const path of passedOver) stderr.write(`${path} holds no case\n`)
    const opa = folders.length > 0 ? findOpa(invocation.env) : ''
    const rego = folders.length > 0 ? runRegoTests(folders, library, opa) : null
    const built = (): BuiltPolicy => ({ name: folders.join(', '), bytes: buildPolicy(folders, { ...plainly, library }, opa).bytes })
    const candidate = await openNamed(values.policy ?? (folders.length === 0 ? 'default' : built()), values, invocation)
    const outcomes = cases.map((one) => runCase(one, candidate))
    candidate.close()
    if (output === 'json')
      writeJson(invocation, { policy: { name: candidate.name, revision: candidate.bundle.revision }, outcomes, rego_tests: rego })
    else {
      if (rego !== null) stdout.write(regoTestText(rego, markOf(false, invocation)))
      for (const outcome of outcomes) stdout.write(outcomeText(outcome, invocation))
    }
    return verdict(outcomes, rego, stderr)
  },
}

function verdict(outcomes: readonly CaseOutcome[], rego: RegoTestRun | null, stderr: NodeJS.WritableStream): number {
  const failed = outcomes.filter(({ ok }) => !ok).length
  const tests = rego?.tests ?? []
  if (rego !== null) stderr.write(regoTestSummary(rego))
  stderr.write(`${outcomes.length} case${outcomes.length === 1 ? '' : 's'}, ${failed} failed\n`)
  if (outcomes.length + tests.length === 0) stderr.write('nothing to test was found\n')
  return failed > 0 || outcomes.length + tests.length === 0 || tests.some(({ ok }) => !ok) ? exit.findings : exit.ok
}

function markOf(ok: boolean, invocation: Invocation): string {
  const mark = ok ? '✓' : '✗'
  return mayColour(invocation) ? styleText(ok ? 'green' : 'red', mark, { validateStream: false }) : mark
}

function outcomeText({ ok, name, file, differences }: CaseOutcome, invocation: Invocation): string {
  const head = `${markOf(ok, invocation)} ${printable(name)}${ok ? '' : `  (${printable(file)})`}\n`
  return head + differences.map((line) => `    ${printable(line)}\n`).join('')
}
