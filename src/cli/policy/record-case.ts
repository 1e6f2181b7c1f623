import { bodyPlace } from '../../author/ledger-inputs.ts'
import { AuthorFault } from '../../author/opa.ts'
import { caseOf, writeCase } from '../../author/write-case.ts'
import { exit, parseWords, UsageFault, type Command } from '../command.ts'
import { fromRecord } from './explain.ts'
import { recordOptions, recordUsage } from './record-source.ts'
import { writeJson } from './table.ts'

/** `countersign policy record-case`: what happened becomes what is tested. */
export const recordCase: Command = {
  usage: `usage: countersign policy record-case CALL [--logs PATH] [--name NAME] [--out FILE]

Writes a case of a recorded decision: its input, the effect and the rules as they were recorded. Run it with countersign policy test.

  CALL         a decision id: c_01JD…
  --name NAME  what the case is called (default: the id)
  --out FILE   a new file, .json or .yaml (default: JSON on standard output)
${recordUsage}

examples:
  countersign policy record-case c_01M80RWCQQ999AFGYFWR46T1EV --logs ledger --name "mail after personal data" --out cases/mail.yaml

exit status: 0, 1 there is no such call or policy was never asked about it, 64 wrong usage, 69 no Countersign answers, 78 the case
cannot be written`,
  async run(invocation) {
    const { values, positionals } = parseWords(invocation.args, { ...recordOptions, name: { type: 'string' }, out: { type: 'string' } })
    const [id, ...rest] = positionals
    if (id === undefined || rest.length > 0) throw new UsageFault('record-case takes one call')
    const given = await fromRecord(id, values, invocation)
    if (given === null) return exit.findings
    const said = given.recorded?.said
    if (said === null || said === undefined) throw new AuthorFault(`what policy said of ${id} is masked in the record`)
    const hidden = given.recorded?.hidden.filter((place) => place.startsWith('/input')) ?? []
    if (hidden.length > 0) {
      const body = hidden.every((place) => place === bodyPlace)
      invocation.stderr.write(
        `the record leaves out ${hidden.join(', ')}: ${body ? 'add the body if a rule reads it' : 'add what a rule reads'}\n`,
      )
    }
    const document = caseOf(given.input, given.entrypoint, said, values.name ?? id)
    if (values.out === undefined) writeJson(invocation, document)
    else {
      writeCase(values.out, document)
      invocation.stderr.write(`the case is in ${values.out}\n`)
    }
    return exit.ok
  },
}
