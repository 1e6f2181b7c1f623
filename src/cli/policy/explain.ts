import { text as textOf } from 'node:stream/consumers'
import type { Candidate } from '../../author/candidate.ts'
import { explain as explained, type Explanation } from '../../author/explain.ts'
import { readInput, readText, type GivenInput } from '../../author/input-file.ts'
import { findCall } from '../../author/ledger-inputs.ts'
import { AuthorFault, findOpa } from '../../author/opa.ts'
import { traceRules, type Trace } from '../../author/trace.ts'
import { caseOf, writeCase } from '../../author/write-case.ts'
import { exit, mayColour, parseWords, UsageFault, type Command, type Invocation } from '../command.ts'
import { explanationText } from './explanation-text.ts'
import { offNote, openNamed, policyInForce, policyOptions, policyUsage, settingsOf } from './policy-source.ts'
import { recordLines, recordOptions, recordUsage } from './record-source.ts'
import { outputOf, writeJson } from './table.ts'
import { traceText } from './trace-text.ts'

const options = {
  ...recordOptions,
  ...policyOptions,
  policy: { type: 'string' },
  input: { type: 'string' },
  'save-case': { type: 'string' },
  trace: { type: 'boolean', default: false },
  output: { type: 'string', short: 'o', default: 'text' },
} as const

/** `countersign policy explain`: why a call was decided so. */
export const explain: Command = {
  usage: `usage: countersign policy explain CALL [--policy POLICY] [--logs PATH] [-o text|json]
       countersign policy explain --input FILE [--policy POLICY] [-o text|json]

Judges a recorded call, or an input, and says which rules fired, what each of them means and looked at, which fact was missing, and
which smallest changes would have made it an allow. Each of those was judged by the policy itself; where none was found, it says so.

  CALL             a decision id: c_01JD…
  --input FILE     a policy input or a stored line, as JSON; - for standard input
  --policy POLICY  a bundle file, a folder, or the word default; give the policy that judged the call (default: the one that the
                   configuration of --config or --settings has in force, else default)
  --save-case FILE write the input and what this policy says as a case for countersign policy test
  --trace          the lines around the rules that fired, which of them held, and with which values (needs opa)
${policyUsage}
  -o text|json     how it is printed (default: text)
${recordUsage}

examples:
  countersign policy explain c_01M80RWCQQ999AFGYFWR46T1EV --config countersign.yaml
  countersign policy explain c_01M80RWCQQ999AFGYFWR46T1EV --logs ledger --policy candidate.tar.gz
  countersign policy explain --input request.json --policy ./rego

exit status: 0, 1 there is no such call or policy was never asked about it, 64 wrong usage, 69 no Countersign answers or there is no opa, 78 the policy
or the input cannot be used`,
  async run(invocation) {
    const { values, positionals } = parseWords(invocation.args, options)
    const [id, ...rest] = positionals
    if (rest.length > 0) throw new UsageFault('explain takes one call')
    if ((id === undefined) === (values.input === undefined)) throw new UsageFault('give a decision id, or --input FILE')
    const output = outputOf(values.output)
    const given = id === undefined ? await fromFile(values.input ?? '-', invocation) : await fromRecord(id, values, invocation)
    if (given === null) return exit.findings
    const candidate = await openNamed(values.policy ?? (await policyInForce(values, invocation.env)), values, invocation)
    const explanation = explained(given.input, candidate, given.entrypoint, given.recorded)
    candidate.close()
    const spoke = explanation.rules.map((rule) => rule.id)
    offNote(
      candidate,
      (given.recorded?.said?.rules ?? []).filter((rule) => !spoke.includes(rule)),
      invocation,
    )
    if (values['save-case'] !== undefined) {
      writeCase(values['save-case'], caseOf(given.input, given.entrypoint, explanation, id ?? values.input ?? ''))
      invocation.stderr.write(`the case is in ${values['save-case']}\n`)
    }
    const trace = values.trace ? await traced(explanation, given, candidate, values, invocation) : null
    if (output === 'json') writeJson(invocation, trace === null ? explanation : { ...explanation, trace: Object.fromEntries(trace) })
    else invocation.stdout.write(explanationText(explanation, mayColour(invocation)) + (trace === null ? '' : traceText(trace)))
    return exit.ok
  },
}

async function traced(
  { rules }: Explanation,
  { input }: GivenInput,
  candidate: Candidate,
  values: Parameters<typeof settingsOf>[0],
  { env }: Invocation,
): Promise<Trace> {
  const files = [...new Set(rules.map(({ file }) => file))].filter((file) => file !== '')
  const settings = (await settingsOf(values, env)) ?? null
  return traceRules(candidate, { input, settings, files }, findOpa(env))
}

async function fromFile(path: string, { stdin }: Invocation): Promise<GivenInput> {
  return path === '-' ? readInput(await textOf(stdin), 'standard input') : readInput(readText(path), path)
}

/** Null, with a note, when there is nothing to explain. */
export async function fromRecord(
  id: string,
  values: Parameters<typeof recordLines>[0],
  invocation: Invocation,
): Promise<GivenInput | null> {
  const found = await findCall(await recordLines(values, invocation), id)
  if (found === null) {
    invocation.stderr.write(`the record has no decision ${id}\n`)
    return null
  }
  if (found.type === 'unjudged') {
    invocation.stderr.write(`policy was never asked about ${id}: it ended as ${found.code} before. See docs/refusals.md\n`)
    return null
  }
  const { recorded } = found
  if (recorded.input === null) throw new AuthorFault(`the input of ${id} is masked in the record`)
  return { input: recorded.input, entrypoint: 'countersign/decision', recorded }
}
