/** The part of the page that shows what still stands: every secret that outlives the task it is used for. */
import { html } from './html.ts'
import { badge, pageOf } from './page-shell.ts'
import { tableOf } from './table-html.ts'
import { need, type Part } from './visit.ts'

/** One standing secret, never its value. */
export interface StandingRow {
  /** Path of the setting. */
  readonly place: string
  readonly what: string
  readonly routes: readonly string[]
  /** What would replace it. */
  readonly instead: string
  /** Calls of agents carry it. */
  readonly lent: boolean
}

/** `/standing`. `standing` reads the configuration in force. */
export function standingPart(standing: () => readonly StandingRow[]): Part {
  return async (visit) => {
    if (visit.path !== '/standing' || visit.form !== null) return null
    need(visit, 'status.read')
    const rows = standing()
    const lent = rows.filter((row) => row.lent).length
    const body = html`<h1>Standing secrets</h1>
      <p class="soft">
        Secrets of the configuration that outlive every task: what <code>countersign doctor</code> names and
        <code>countersign_standing_secrets</code> counts.
        ${rows.length === 0 ? null : `${rows.length} ${rows.length === 1 ? 'stands' : 'stand'}, ${lent} of them lent to calls of agents.`}
      </p>
      ${
        rows.length === 0
          ? html`<p class="empty">None stands. Every credential is issued for one task and ends with it.</p>`
          : tableOf<StandingRow>(
              'Standing secrets',
              [
                { head: 'Setting', cell: ({ place }) => html`<span class="mono">${place}</span>` },
                { head: 'What it is', cell: ({ what }) => what },
                { head: 'Use', cell: (row) => (row.lent ? badge('lent to calls', 'stop') : badge('our own', 'plain')) },
                { head: 'Routes', cell: ({ routes, lent: goes }) => routes.join(', ') || (goes ? 'none uses it' : '–') },
                { head: 'What would replace it', cell: ({ instead }) => instead },
              ],
              rows,
            )
      }`
    return pageOf({ title: 'Standing secrets', body, shell: visit.shell, section: 'standing' })
  }
}
