/**
 * `npm run bench:picture`: draws docs/performance.svg from bench/results.json and writes its figures into docs/performance.md. With `--take`
 * it first makes bench/results.json of what `npm run bench` and the measurements beside it left in bench/results.
 */

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { delayTable, type DelayRow } from './delays.ts'
import { goalsIn, goalTable, type Goal } from './goals.ts'
import { table, type Report, type Row } from './report.ts'
import type { TargetName } from './targets.ts'

/** What is published of a run: everything but its rounds. */
type Published = Pick<Report, 'machine' | 'settings' | 'rows' | 'noise' | 'errors'> & {
  readonly delays: readonly DelayRow[]
  readonly goals: readonly Goal[]
}

const { values } = parseArgs({
  options: {
    take: { type: 'boolean', default: false },
    /** The run that is taken. */
    from: { type: 'string', default: 'full' },
  },
})
const here = import.meta.dirname
const docs = resolve(here, '../docs')
const file = join(here, 'results.json')

function take(): void {
  const run: Report = JSON.parse(readFileSync(join(here, 'results', `${values.from}.json`), 'utf8'))
  const { machine, settings, rows, noise, errors, delays } = run
  const taken: Published = { machine, settings, rows, noise, errors, delays, goals: goalsIn(join(here, 'results')) }
  writeFileSync(file, `${JSON.stringify(taken, null, 2)}\n`)
}

/** One bar a target, those that judge calls first. */
function picture({ rows, settings, machine }: Published): string {
  const load = 'GET 1 KiB'
  const of = (names: readonly TargetName[]): Row[] =>
    rows
      .filter(({ target, workload }) => workload === load && names.includes(target))
      .toSorted((a, b) => b.requestsPerSecond.median - a.requestsPerSecond.median)
  const groups = [
    { title: 'Judges calls', rows: of(['countersign', 'agentgateway', 'envoy + opa', 'envoy + opa no-op', 'iron-proxy']) },
    { title: 'Only forwards them', rows: of(['nginx', 'envoy', 'bare undici', 'http-proxy']) },
  ]
  const most = Math.max(...groups.flatMap((group) => group.rows.map((row) => row.requestsPerSecond.most)))
  const marks: string[] = []
  let y = 74
  for (const group of groups) {
    if (group.rows.length === 0) continue
    marks.push(`<text class="group" x="24" y="${y + 4}">${group.title}</text>`)
    y += 18
    for (const row of group.rows) {
      marks.push(bar(row, y, most))
      y += 30
    }
    y += 22
  }
  const height = y + 10
  const note = `${load} answers, ${settings['connections']} connections, one core; medians of ${settings['rounds']} rounds, lines from least to most; Node ${String(machine['node']).slice(1)}`
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title note">
<title id="title">Requests per second on one core</title>
<style>${style}</style>
<rect class="ground" width="${width}" height="${height}" rx="8"/>
<text class="title" x="24" y="32">Requests per second on one core</text>
<text class="note" id="note" x="24" y="52">${escaped(note)}</text>
${marks.join('\n')}
</svg>
`
}

const width = 760
/** Where bars begin, and how long the longest is. */
const [left, longest] = [190, 440]

const style = `
text { font-family: system-ui, -apple-system, "Segoe UI", sans-serif; font-size: 13px; fill: #1f2328 }
.ground { fill: #ffffff }
.title { font-size: 17px; font-weight: 600 }
.note, .group { fill: #59636e; font-size: 12px }
.group { font-weight: 600 }
.name { text-anchor: end }
.bar { fill: #8c959f }
.own .bar { fill: #0969da }
.own text { font-weight: 600 }
.range { stroke: #1f2328; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .ground { fill: #0d1117 }
  .note, .group { fill: #9198a1 }
  .bar { fill: #656c76 }
  .own .bar { fill: #4493f8 }
  .range { stroke: #f0f6fc }
}
`

const labels: Readonly<Partial<Record<TargetName, string>>> = {
  countersign: 'Countersign',
  envoy: 'Envoy',
  'envoy + opa': 'Envoy + OPA, same rules',
  'envoy + opa no-op': 'Envoy + OPA, no rules',
  'bare undici': 'bare undici',
}

function bar({ target, requestsPerSecond: { median, least, most: highest } }: Row, y: number, most: number): string {
  const at = (value: number): string => (left + (value / most) * longest).toFixed(1)
  const middle = y + 11
  return `<g${target === 'countersign' ? ' class="own"' : ''}>
<text class="name" x="${left - 10}" y="${y + 16}">${escaped(labels[target] ?? target)}</text>
<rect class="bar" x="${left}" y="${y}" width="${(Number(at(median)) - left).toFixed(1)}" height="22" rx="3"/>
<line class="range" x1="${at(least)}" x2="${at(highest)}" y1="${middle}" y2="${middle}"/>
<text x="${(Number(at(highest)) + 10).toFixed(1)}" y="${y + 16}">${Math.round(median).toLocaleString('en')}</text>
</g>`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}

/** Writes what was measured between the marks of the page. */
function fillPage(page: string, given: Published): void {
  const { machine, settings, goals, delays } = given
  const facts = [...Object.entries(machine), ...Object.entries(settings)].map(([name, value]) => `${name} ${value}`).join(', ')
  const figures = [
    `![Requests per second on one core](performance.svg)`,
    '',
    `Measured with: ${facts}.`,
    '',
    goalTable(goals),
    '',
    '```text',
    table(given).trim(),
    ...(delays.length === 0 ? [] : ['', delayTable(delays).trim()]),
    '```',
  ].join('\n')
  const text = readFileSync(page, 'utf8')
  const filled = text.replace(/<!-- figures -->[^]*<!-- \/figures -->/, () => `<!-- figures -->\n${figures}\n<!-- /figures -->`)
  if (filled === text && !text.includes(figures)) throw new Error(`${page} has no place for figures`)
  writeFileSync(page, filled)
}

if (values.take) take()
if (!existsSync(file)) {
  console.error('there is no bench/results.json: run `npm run bench`, then `npm run bench:picture -- --take`')
  process.exit(66)
}
const published: Published = JSON.parse(readFileSync(file, 'utf8'))
writeFileSync(join(docs, 'performance.svg'), picture(published))
fillPage(join(docs, 'performance.md'), published)
console.log('written: docs/performance.svg, docs/performance.md')
