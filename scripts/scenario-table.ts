import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { z } from 'zod'
import { readScenarios, type Scenario } from '../test/support/scenario/scenario.ts'

/** The mapping of scenarios to what they show. */
export interface Mapping {
  readonly markdown: string
  /** References to nothing, and rows that say `met` without a case of each kind. Empty when all holds. */
  readonly problems: readonly string[]
}

const statuses = ['met', 'partial', 'open', 'plug-in', 'elsewhere', 'not-ours'] as const

const catalogueForm = z.array(
  z.strictObject({
    prefix: z.string(),
    title: z.string(),
    source: z.string(),
    rows: z.record(z.string(), z.strictObject({ says: z.string(), status: z.enum(statuses), note: z.string().optional() })),
  }),
)

const folder = new URL('../test/scenarios/', import.meta.url)

/** Reads `test/scenarios/`: the catalogue and every case. */
export function mapping(): Mapping {
  const catalogue = catalogueForm.parse(parse(readFileSync(new URL('catalogue.yaml', folder), 'utf8')))
  const scenarios = readScenarios(folder)
  const byRef = new Map<string, Scenario[]>()
  for (const one of scenarios) for (const ref of one.refs) byRef.set(ref, [...(byRef.get(ref) ?? []), one])
  const known = new Set(catalogue.flatMap(({ prefix, rows }) => Object.keys(rows).map((id) => `${prefix}${id}`)))
  const problems = [...byRef.keys()].filter((ref) => !known.has(ref)).map((ref) => `catalogue.yaml does not know ${ref}`)
  const parts = [
    '# Scenarios',
    `Made from \`test/scenarios/\` by \`npm run scenarios\`; a test keeps it fresh. ${scenarios.length} cases play through the whole proxy: each says what it shows, and which requirement it is about. A row is *met* only with a case that passes and a case that is refused.`,
  ]
  for (const { prefix, title, source, rows } of catalogue) {
    parts.push(`## ${title}`, `${source}.`)
    const lines = Object.entries(rows).map(([id, row]) => {
      const found = byRef.get(`${prefix}${id}`) ?? []
      const [passes, refuses] = (['passes', 'refuses'] as const).map((shows) => found.filter((one) => one.shows === shows))
      if (row.status === 'met' && !(passes?.length && refuses?.length)) problems.push(`${prefix}${id} is met without a case of each kind`)
      const note = row.note === undefined ? '' : `: ${row.note}`
      return `| ${prefix}${id} | ${row.says} | ${row.status}${note} | ${named(passes ?? [])} | ${named(refuses ?? [])} |`
    })
    parts.push(['| id | what it asks | status | passes | is refused |', '| --- | --- | --- | --- | --- |', ...lines].join('\n'))
  }
  return { markdown: `${parts.join('\n\n')}\n`, problems }
}

function named(scenarios: readonly Scenario[]): string {
  return scenarios.map(({ name, file }) => `${name} ([${file}](../test/scenarios/${file}))`).join('<br>')
}
