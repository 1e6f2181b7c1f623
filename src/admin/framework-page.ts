/** The part of the page that shows how the frameworks of the field are covered. */
import { html, type Html } from './html.ts'
import { badge, pageOf } from './page-shell.ts'
import { tableOf } from './table-html.ts'
import { need, type Part } from './visit.ts'

/** One entry of a framework. */
export interface FrameworkRow {
  readonly framework: string
  readonly id: string
  readonly title: string
  readonly status: 'enforced' | 'evidenced' | 'recipe' | 'none'
  readonly rules: readonly string[]
  readonly tests: readonly string[]
  /** What to ask the ledger; empty: nothing. */
  readonly query: string
}

const words: Readonly<Record<FrameworkRow['status'], readonly [word: string, look: string]>> = {
  enforced: ['enforced', 'active'],
  evidenced: ['evidenced', 'low'],
  recipe: ['by recipe', 'pending'],
  none: ['not covered', 'plain'],
}

/** `/frameworks`; null: there are none to show. */
export function frameworkPart(frameworks: (() => readonly FrameworkRow[]) | null): Part {
  return async (visit) => {
    if (visit.path !== '/frameworks' || visit.form !== null) return null
    need(visit, 'status.read')
    const rows = frameworks?.() ?? []
    const names = [...new Set(rows.map(({ framework }) => framework))]
    const body = html`<h1>Frameworks</h1>
      <p class="soft">
        Which entries a rule enforces, the ledger gives evidence for, or a recipe covers. It says what is done, never that anybody complies.
      </p>
      ${
        rows.length === 0
          ? html`<p class="empty">
              Coverage is not read here. <code>rules</code> name their controls on <a href="/policy">the policy page</a>.
            </p>`
          : [summary(rows, names), ...names.map((name, at) => section(name, at, rows))]
      }`
    return pageOf({ title: 'Frameworks', body, shell: visit.shell, section: 'frameworks' })
  }
}

function summary(rows: readonly FrameworkRow[], names: readonly string[]): Html {
  const count = (name: string, status: FrameworkRow['status']): number =>
    rows.filter((row) => row.framework === name && row.status === status).length
  return tableOf<string>(
    'Entries of each framework, by what covers them',
    [
      { head: 'Framework', cell: (name) => html`<a href="#framework-${names.indexOf(name)}">${name}</a>` },
      ...(['enforced', 'evidenced', 'recipe', 'none'] as const).map((status) => ({
        head: words[status][0],
        figures: true as const,
        cell: (name: string) => count(name, status),
      })),
    ],
    names,
  )
}

function section(name: string, at: number, rows: readonly FrameworkRow[]): Html {
  return html`<h2 id="framework-${at}">${name}</h2>
    ${tableOf<FrameworkRow>(
      name,
      [
        { head: 'Entry', cell: ({ id, title }) => html`<span class="mono">${id}</span><small>${title}</small>` },
        { head: 'Status', cell: ({ status }) => badge(...words[status]) },
        { head: 'Rules', cell: ({ rules }) => rules.map((rule) => html`<div class="mono">${rule}</div>`) },
        { head: 'Tests', cell: ({ tests }) => tests.map((test) => html`<div>${test}</div>`) },
        { head: 'Asked of the ledger', cell: ({ query }) => (query === '' ? '–' : html`<code>${query}</code>`) },
      ],
      rows.filter((row) => row.framework === name),
    )}`
}
