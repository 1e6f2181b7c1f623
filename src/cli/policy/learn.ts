import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { draftFiles } from '../../author/draft.ts'
import { learn as learned, type Learned } from '../../author/learn.ts'
import { AuthorFault } from '../../author/opa.ts'
import { exit, parseWords, UsageFault, type Command } from '../command.ts'
import { damageNotes, recordLines, recordOptions, recordUsage } from './record-source.ts'
import { figure, outputOf, printable, table, writeJson } from './table.ts'

const options = {
  ...recordOptions,
  out: { type: 'string' },
  force: { type: 'boolean', default: false },
  'include-denied': { type: 'boolean', default: false },
  'head-room': { type: 'string', default: '20' },
  sequence: { type: 'boolean', default: false },
  output: { type: 'string', short: 'o', default: 'text' },
} as const

/** `countersign policy learn`: a least-privilege draft from what tasks really did. */
export const learn: Command = {
  usage: `usage: countersign policy learn TASK… --out FOLDER [--logs PATH] [-o text|json]

Reads what these tasks really did and writes, for each agent among them, a draft to review:

  agents/NAME.yaml                            its registration with an intent no wider than what was used
  countersign/call/learned_NAME.rego          rules that refuse whatever of this agent is outside of what was seen
  countersign/call/learned_NAME_test.rego     what was seen is within, its neighbours are not
  cases/NAME.json                             the recorded inputs, for countersign policy test

The rules go into a copy of rego/ beside the default policy, and narrow it: they allow nothing. Resources of one kind become a pattern
from three of them on. Calls that were refused, or let through in observe mode only, are not learned from, and are listed.

  --out FOLDER      where the draft goes
  --force           write over files that are there
  --include-denied  learn from calls that were refused or only observed too
  --head-room N     per cent that budget and ttl get above what one task used at most (default: 20)
  --sequence        ask a person, too, when a tool comes right after one it never came after
  -o text|json      how what was learned is printed (default: text)
${recordUsage}

examples:
  countersign policy learn t_01M80RWCJT189J8K2JZVPPTKKN --logs ledger --out draft
  countersign policy learn $(countersign task ls --state completed --config countersign.yaml | cut -d' ' -f1) --config countersign.yaml --out draft

exit status: 0, 1 nothing could be learned, 64 wrong usage, 69 no Countersign answers, 78 the draft cannot be written`,
  async run(invocation) {
    const { values, positionals } = parseWords(invocation.args, options)
    if (positionals.length === 0) throw new UsageFault('which tasks? Give their ids: countersign task ls')
    if (values.out === undefined) throw new UsageFault('where to? Give --out FOLDER')
    if (!/^\d{1,4}$/.test(values['head-room'])) throw new UsageFault('--head-room takes whole per cent')
    const output = outputOf(values.output)
    const notes = damageNotes(invocation)
    const includeDenied = values['include-denied']
    const found = await learned(await recordLines(values, invocation), { tasks: new Set(positionals), includeDenied, damaged: notes.note })
    notes.end()
    const draft = { headRoom: 1 + Number(values['head-room']) / 100, sequence: values.sequence }
    const files = new Map(found.agents.flatMap((agent) => [...draftFiles(agent, draft)]))
    writeAll(values.out, files, values.force)
    if (output === 'json') writeJson(invocation, { ...found, files: [...files.keys()] })
    else invocation.stdout.write(learnedText(found, values.out, [...files.keys()]))
    return found.agents.length === 0 ? exit.findings : exit.ok
  },
}

/** All or nothing: what is there is not written over. */
function writeAll(folder: string, files: ReadonlyMap<string, string>, force: boolean): void {
  const there = [...files.keys()].filter((path) => existsSync(join(folder, path)))
  if (there.length > 0 && !force)
    throw new AuthorFault(`${there.map((path) => join(folder, path)).join(', ')}: there already. Say --force to write over`)
  for (const [path, text] of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
}

function learnedText(found: Learned, folder: string, files: readonly string[]): string {
  const parts: string[] = []
  for (const { id, tools, tasks, spent } of found.agents) {
    const used = Object.entries(spent).map(([meter, amount]) => `${meter} ${amount}`)
    parts.push(`${printable(id)}: ${tasks.length} task${tasks.length === 1 ? '' : 's'}, at most ${printable(used.join(', '))} in one`)
    const rows = tools.map((tool) => [
      tool.name,
      tool.calls,
      tool.patterns.join(' ') || '-',
      tool.data.join(' ') || '-',
      tool.egress.join(' '),
    ])
    parts.push(
      table([['tool', 'calls', 'resources', 'data', 'egress'], ...rows.map((row) => row.map((cell) => printable(String(cell))))], '  '),
      '',
    )
  }
  const not = found.not_learned.map(({ why, calls }) => `  ${printable(why)} (${figure(calls)} call${calls === 1 ? '' : 's'})`)
  const missing = found.missing.map((task) => `  ${printable(task)}: no judged call of it is in the record`)
  const body =
    found.agents.length > 0 ? ['  what was in bodies: no record keeps them, so values such as amounts are bounded by the budget alone'] : []
  parts.push(`not learned:\n${[...not, ...missing, ...body].join('\n')}`)
  if (files.length > 0) parts.push('', `written to ${printable(folder)}:\n${files.map((path) => `  ${path}`).join('\n')}`)
  return `${parts.join('\n')}\n`
}
