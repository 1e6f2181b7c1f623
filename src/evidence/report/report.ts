/** The report of one set, or of several that were merged: one file without scripts that prints well. A function of what it is given. */
import { hash } from 'node:crypto'
import { html, Html } from '../../admin/html.ts'
import type { Summary } from '../summary/summary.ts'
import { style } from './report-style.ts'
import { credentials, delegation, governed, intentOf, people, responsible, stateBadge, touched } from './sections.ts'
import { momentsOf, timeline } from './timeline.ts'
import { mono, shown, time } from './words.ts'

/** One set of a report. */
export interface ReportPart {
  /** The ledger's name. */
  readonly origin: string
  /** RFC 3339. */
  readonly made: string
  readonly madeBy: string
  readonly summary: Summary
}

const styled = new Html(`<style>${style}</style>`)
const policy = `default-src 'none'; style-src 'sha256-${hash('sha256', style, 'base64')}'; base-uri 'none'; form-action 'none'`

/** The whole page, as text. At least one part. */
export function reportPage(parts: readonly ReportPart[]): string {
  const title = shown(ownTask(parts[0])?.purpose ?? parts[0]?.summary.task ?? null)
  const summaries = parts.map(({ summary }) => summary)
  const origins = parts.map(({ origin }) => origin)
  return `${html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${policy}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>Evidence: ${title}</title>
        ${styled}
      </head>
      <body>
        <main>
          ${head(parts, title)}
          <h2 id="timeline">What happened</h2>
          ${timeline(momentsOf(summaries), origins)} ${parts.map((part, at) => chapter(part, parts.length === 1 ? null : at + 1))}
          ${howToVerify(parts.length > 1)}
        </main>
      </body>
    </html> `.toString()}\n`
}

function ownTask(part: ReportPart | undefined): Summary['tasks'][number] | undefined {
  return part?.summary.tasks.find(({ task }) => task === part.summary.task)
}

function head(parts: readonly ReportPart[], title: string): Html {
  const sum = (of: (counts: Summary['counts']) => number): number => parts.reduce((all, { summary }) => all + of(summary.counts), 0)
  const sums = [
    ['calls let through', sum(({ permitted }) => permitted)],
    ['calls refused', sum(({ refused }) => refused)],
    ['times people were asked', sum(({ approvals }) => approvals)],
    ['credentials lent', sum(({ credentials: lent }) => lent)],
    ['tasks', sum(({ tasks }) => tasks)],
    ['lines of record', sum(({ lines }) => lines)],
  ] as const
  const spans = parts.flatMap(({ summary }) => (summary.span === null ? [] : [summary.span]))
  const [from, to] = [
    spans.map((span) => span.from).toSorted()[0] ?? null,
    spans
      .map((span) => span.to)
      .toSorted()
      .at(-1) ?? null,
  ]
  return html`<p class="soft">Evidence of ${parts.length === 1 ? 'a task' : `a task through ${parts.length} Countersigns`}</p>
    <h1>${title} ${stateBadge(ownTask(parts[0])?.state ?? 'unknown')}</h1>
    <p>From ${time(from)} to ${time(to)} UTC.</p>
    ${parts.map(
      ({ summary, origin, made, madeBy }) =>
        html`<p class="soft">
          Task ${mono(summary.task)} out of the ledger ${mono(origin)}, exported ${time(made)} UTC by ${shown(madeBy)}.
        </p>`,
    )}
    <ul class="sums">
      ${sums.map(([word, number]) => html`<li><b>${number}</b>${word}</li>`)}
    </ul>`
}

function chapter({ summary, origin }: ReportPart, number: number | null): Html {
  const about = number === null ? null : html`<h2>Part ${number}: ${mono(origin)}</h2>`
  const open =
    summary.counts.open === 0
      ? null
      : html`<p class="note">${summary.counts.open} calls that were let through have no outcome among the lines.</p>`
  return html`${about}${open}
    <h2>What it was for</h2>
    ${intentOf(summary.tasks.find(({ task }) => task === summary.task))}
    <h2>Who handed what to whom</h2>
    ${delegation(summary)}
    <h2>What people were asked, and answered</h2>
    ${people(summary)}
    <h2>Credentials, and how each ended</h2>
    ${credentials(summary)}
    <h2>What was touched</h2>
    ${touched(summary)}
    <h2>Who took part, and who answers for it</h2>
    ${responsible(summary)}
    <h2>What it was governed by</h2>
    ${governed(summary)}`
}

function howToVerify(merged: boolean): Html {
  return html`<h2>How to check this</h2>
    <p>
      This page is derived: it is made from ${merged ? 'the summaries of the parts' : 'summary.json, which is made from lines.ndjson'}, and
      proves nothing by itself. The lines are proven by the signature of the ledger’s key. Take the key from somewhere you trust more than
      this folder, and run
    </p>
    <pre>countersign evidence verify . --key ledger.pub</pre>
    <p>
      It says whether every line here is in the ledger, unchanged and in its order. It cannot say that nothing was left out: for that,
      verify the ledger itself and export again.
    </p>`
}
