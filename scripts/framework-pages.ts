import {
  coverageWords,
  type Coverage,
  type Framework,
  type FrameworkData,
  type FrameworkRow,
  type OwnControl,
} from '../src/evidence/frameworks.ts'
import { readScenarios, type Scenario } from '../test/support/scenario/scenario.ts'

const kinds = Object.keys(coverageWords) as Coverage[]

/** docs/frameworks.md. */
export function frameworksPage({ frameworks, controls }: FrameworkData): string {
  const counts = frameworks.map(({ framework, title, version, rows }) => [
    `[${title} ${version}](#${anchor(`${title} ${version}`)})`,
    `\`${framework}\``,
    ...kinds.map((kind) => String(rows.filter(({ status }) => status === kind).length)),
  ])
  const parts = [
    '# Frameworks',
    'Made from `src/evidence/frameworks/` by `npm run frameworks`; a test keeps it fresh, and holds that every id is known to its framework, that every rule, test and case named here exists, and that what is called enforced has a rule or an invariant behind it, and a case that passes and one that is refused.',
    'This is a mapping by its makers, so that an auditor knows where to look. It is no claim that anything is complied with: what a framework asks of an organisation, no proxy can do for it. Each row says what it does not mean.',
    meanings,
    'Which controls were at work in a task or since yesterday, from the record itself:',
    '```sh\ncountersign frameworks list\ncountersign frameworks show ASI02\ncountersign frameworks coverage --since 24h --config countersign.yaml\ncountersign frameworks coverage --task t_01M80RWCJT189J8K2JZVPPTKKN --ledger ledger -o markdown\n```',
    '*Rules spoke* counts the calls in which a rule that serves a row refused, asked, or was observed; *controls behind* counts refusals and events of the controls that the row rests on. Nothing at work is no gap: nobody may have tried.',
    table(['framework', 'short name', ...kinds.map((kind) => coverageWords[kind])], counts),
    '## What Countersign does',
    table(['control', 'what it is', 'rules', 'refusals', 'events', 'tests'], controls.map(controlRow)),
    ...frameworks.flatMap(section),
  ]
  return `${parts.join('\n\n')}\n`
}

const meanings = `- **enforced**: a rule of the default policy, or an [invariant](invariants.md), stops what breaks it, for calls that go through Countersign;
- **evidenced**: it is not stopped here, and the record shows it;
- **by recipe**: it holds where things are set up as the page that is named says;
- **not covered**: it is not.`

function controlRow({ id, title, about, page, rules, codes, events, tests }: OwnControl): string[] {
  return [`\`${id}\`: [${title}](${page})`, about, named(rules), named(codes), named(events), tests.map(testLink).join('<br>')]
}

function section({ title, version, date, source, note, whole, rows }: Framework): string[] {
  const about = [
    `${source}. Version ${version}, ${date}.`,
    whole ? 'All of its rows stand here.' : 'Rows that do not concern a proxy are left out.',
    note,
  ]
  return [
    `## ${title} ${version}`,
    about.filter((text) => text !== '').join(' '),
    table(['id', 'title', 'status', 'limits', 'controls', 'rules', 'tests', 'evidence'], rows.map(frameworkRow)),
  ]
}

function frameworkRow({ label, title, status, note, controls, rules, tests, query, level }: FrameworkRow): string[] {
  const id = level === null ? label : `${label} (level ${level})`
  return [
    id,
    title,
    coverageWords[status],
    note,
    named(controls),
    named(rules),
    tests.map(testLink).join('<br>'),
    query === null ? '' : `\`${query}\``,
  ]
}

/** docs/aarm.md. */
export function aarmPage({ frameworks }: FrameworkData): string {
  const rows = frameworks.find(({ framework }) => framework === 'aarm')?.rows ?? []
  const scenarios = readScenarios(new URL('../test/scenarios/', import.meta.url))
  const cells = rows.map(({ id, title, status, note, tests }) => {
    const own = scenarios.filter(({ refs }) => refs.includes(`AARM-${id}`))
    const shown = (shows: Scenario['shows']): string => String(own.filter((one) => one.shows === shows).length)
    return [
      id,
      must(id),
      title,
      coverageWords[status],
      note,
      shown('passes'),
      shown('refuses'),
      tests.map(testLink).join('<br>'),
      `\`npm run aarm -- ${id}\``,
    ]
  })
  const head = ['item', 'AARM', 'what it asks', 'status', 'limits', 'cases that pass', 'cases that are refused', 'tests', 'run it']
  return `${[...aarmHead, table(head, cells)].join('\n\n')}\n`
}

const aarmHead = [
  '# AARM, self-assessed',
  'Made from `src/evidence/frameworks/aarm.yaml` by `npm run frameworks`; a test keeps it fresh.',
  '**Partial conformance, self-assessed, evidence attached:** Countersign satisfies the technical requirements R1 to R6 (but for R1.5) and R9 of AARM in the numbering of 2026-03-26, R8 in part, and R7 through a plug-in alone. Whoever may call a product by the name that AARM gives it, AARM decides, by means that are not technical: taking part in its working group, customers in production, a recognised certification, benchmarks, and an assessment of its own. Nothing of that is claimed here.',
  'AARM moved its numbers twice, so an item is cited with the date: `AARM 2026-03-26 R3`. Sub-ids such as R3.2 are ours, one for each thing that can be tested; AARM has none.',
  'The assessment can be run again by anybody, from a checkout:',
  '```sh\nnpm ci\nnpm run aarm\nnpm run aarm -- R1 R4.d3\n```',
  'It runs the tests below and prints a row for each item: how many tests and cases passed, failed or were not run. It ends with 1 when an item that is called enforced or evidenced has a test that failed, or none. A case is a small story of YAML in `test/scenarios/`, played through the whole proxy with an upstream that counts what reaches it; [scenarios.md](scenarios.md) lists them.',
  'Where AARM rates a gateway as limited, these close the gap, as far as they go: the intent of a task is given when it is opened, so the original request is known (R2.3, R3.3, R3.4); answers are judged before the agent has them; what was read follows the caller. Deviations: parameters stand in a receipt as digests (R5.1); receipts are lines under a signed checkpoint in a form of their own (R5.2); which call depends on which is known by the same resource or by what the caller declares, and by nothing else (R4.d4).',
]

/** R7 to R9 are SHOULD, and so is the append-only context log. */
function must(id: string): string {
  return /^R[789]|^R2\.5/.test(id) ? 'SHOULD' : 'MUST'
}

function testLink(file: string): string {
  return `[${file.slice('test/'.length).replace('.test.ts', '')}](../${file})`
}

function named(names: readonly string[]): string {
  return names.map((name) => `\`${name}\``).join(', ')
}

function anchor(heading: string): string {
  const plain = heading.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, '')
  return plain.trim().replaceAll(' ', '-')
}

function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(titles), line(titles.map(() => '---')), ...rows.map((row) => line(row))].join('\n')
}
