import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

/** The conformance table: every clause that a `clauses.json` lists, with the tests whose titles begin with it in brackets. */
export interface Conformance {
  readonly markdown: string
  /** Clauses without a test, tags without a clause, clauses listed twice in different words. Empty when all is mapped. */
  readonly problems: readonly string[]
}

interface Clause {
  readonly id: string
  readonly asks: string
  readonly tests: { readonly title: string; readonly file: string }[]
}

const root = resolve(import.meta.dirname, '..')
const tests = join(root, 'test')

/** Reads test/conformance/**\/clauses.json and the titles of all tests. */
export function conformance(): Conformance {
  const names = readdirSync(tests, { recursive: true, encoding: 'utf8' }).filter((name) => !name.includes('node_modules'))
  const problems: string[] = []
  const clauses = new Map<string, Clause>()
  for (const name of names.filter((one) => one.endsWith('clauses.json')).sort()) addClauses(name, clauses, problems)
  for (const name of names.filter((one) => one.endsWith('.test.ts')).sort()) addTests(name, clauses, problems)
  for (const { id, tests: held } of clauses.values()) if (held.length === 0) problems.push(`no test holds ${id}`)
  return { markdown: markdown([...clauses.values()]), problems }
}

function addClauses(name: string, clauses: Map<string, Clause>, problems: string[]): void {
  const listed: Record<string, string> = JSON.parse(readFileSync(join(tests, name), 'utf8'))
  for (const [id, asks] of Object.entries(listed)) {
    const known = clauses.get(id)
    if (known === undefined) clauses.set(id, { id, asks, tests: [] })
    else if (known.asks !== asks) problems.push(`${id} stands in ${dirname(name)} in other words than elsewhere`)
  }
}

/** A title is a string that opens a call's arguments and begins with clauses in brackets; a `describe` counts as one test. */
function addTests(name: string, clauses: Map<string, Clause>, problems: string[]): void {
  const text = readFileSync(join(tests, name), 'utf8')
  for (const [, , tags = '', title = ''] of text.matchAll(/\(\s*(['"`])\[([A-Z][^\]\n]*)\] ((?:(?!\1)[^\n\\]|\\.)*)\1\s*,/g)) {
    for (const id of tags.split('; ')) {
      const clause = clauses.get(id)
      if (clause === undefined) problems.push(`${name}: no clauses.json lists ${id}`)
      else clause.tests.push({ title: title.replaceAll(/\\(.)/g, '$1'), file: `test/${name}` })
    }
  }
}

function markdown(clauses: readonly Clause[]): string {
  const documents = Map.groupBy(clauses, ({ id }) => documentOf(id))
  const parts = [
    '# Conformance',
    'Made from the tests by `npm run conformance`; a test keeps it fresh and fails on a clause that no test holds. Each row is a clause of a specification (or, under Countersign, a rule of our own) and the tests that hold it; where a test is stricter than the letter its title says so.',
  ]
  for (const [document, own] of [...documents].sort(([one], [other]) => order(one) - order(other) || one.localeCompare(other))) {
    parts.push(`## ${document}`, table(own.toSorted((one, other) => one.id.localeCompare(other.id, 'en', { numeric: true }))))
  }
  return `${parts.join('\n\n')}\n`
}

function table(clauses: readonly Clause[]): string {
  const rows = clauses.map(({ id, asks, tests: held }) => `| ${cell(partOf(id))} | ${cell(asks)} | ${held.map(shown).join('<br>')} |`)
  return ['| clause | what it asks | held by |', '| --- | --- | --- |', ...rows].join('\n')
}

function shown({ title, file }: Clause['tests'][number]): string {
  return `${cell(title)} ([${file.slice(file.lastIndexOf('/') + 1)}](../${file}))`
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;')
}

function documentOf(id: string): string {
  const end = id.search(/ §|: /)
  return end === -1 ? id : id.slice(0, end)
}

function partOf(id: string): string {
  const part = id.slice(documentOf(id).length).replace(/^: /, '').trim()
  return part === '' ? 'the whole' : part
}

/** SPIFFE first, then what it rests on, our own rules last. */
function order(document: string): number {
  const spiffe = [
    'SPIFFE-ID',
    'JWT-SVID',
    'X509-SVID',
    'WIT-SVID',
    'Trust Domain and Bundle',
    'Federation',
    'Workload Endpoint',
    'Workload API',
  ]
  const at = spiffe.indexOf(document)
  return at !== -1 ? at : document === 'Countersign' ? 100 : 50
}
