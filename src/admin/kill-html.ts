/** Kills as HTML: what is stopped, what was, and the hand that stops. */
import { visible } from '../approve/visible.ts'
import { scopes } from '../kill/name.ts'
import type { KillRow } from '../state/kills.ts'
import type { Answer } from './answer.ts'
import { html, type Html } from './html.ts'
import { badge, briefTime, hidden, noted, pageOf, reasonField, shortName, type Shell } from './page-shell.ts'
import { allows } from './roles.ts'

/** What was typed into the form, or stands there at first. */
export interface Typed {
  readonly scope: string
  readonly name: string
  readonly reason: string
  readonly note: string | null
  readonly status: number
}

/** `now` is epoch ms. */
export function killsPage(rows: readonly KillRow[], shell: Shell, now: number, typed: Typed): Answer {
  const live = rows.filter(({ lifted }) => lifted === null)
  const over = rows.filter(({ lifted }) => lifted !== null).slice(0, 50)
  const list = (some: readonly KillRow[]): Html =>
    html`<ul class="list">
      ${some.map((row) => entry(row, shell, now))}
    </ul>`
  const before =
    over.length === 0
      ? null
      : html`<h2>Lifted</h2>
          ${list(over)}`
  const body = html`<h1>Kills</h1>
    ${noted(typed.note)} ${live.length === 0 ? html`<p class="empty">Nothing is stopped.</p>` : list(live)}
    ${allows(shell.roles, 'kills.engage') ? engaging(shell, typed) : html`<p class="note screen">You may read this. Stopping takes the role operator, lifting the role admin.</p>`}
    ${before}`
  return pageOf({ status: typed.status, title: live.length === 0 ? 'Kills' : `${live.length} stopped`, body, shell, section: 'kills' })
}

/** The words of a kill. */
export function killed({ scope, name }: Pick<KillRow, 'scope' | 'name'>): string {
  return name === null ? scope : `${scope} ${name}`
}

/** What is typed to confirm a name: the name, or, of long ones, the end that tells it from others. */
export function confirmed(name: string): string {
  if (name.startsWith('spiffe://')) return shortName(name)
  return /^t_[0-9A-Z]{26}$/.test(name) ? name.slice(-6) : name
}

function entry(row: KillRow, shell: Shell, now: number): Html {
  const { id, at, by, reason, lifted } = row
  const lift =
    lifted !== null || !allows(shell.roles, 'kills.lift')
      ? null
      : html`<details class="screen">
          <summary>Lift</summary>
          <form method="post" action="/kills/${id}">
            <p>What it ended stays ended. New calls are judged again.</p>
            ${hidden(shell)}${reasonField(`lift-${id}`)}
            <div class="row"><button>Lift this kill</button></div>
          </form>
        </details>`
  const end =
    lifted === null ? null : html`<small>lifted ${briefTime(lifted.at, now)} by ${visible(lifted.by)}: ${visible(lifted.reason)}</small>`
  return html`<li class="item">
    <div><strong>${visible(killed(row))}</strong><small class="mono">${id}</small>${lift}</div>
    <div>${lifted === null ? badge('stopped', 'stop') : badge('lifted')} ${visible(reason)}</div>
    <div><small>${briefTime(at, now)} by ${visible(by)}</small>${end}</div>
  </li>`
}

function engaging(shell: Shell, { scope, name, reason }: Typed): Html {
  const option = (one: string): Html => (one === scope ? html`<option selected>${one}</option>` : html`<option>${one}</option>`)
  return html`<form class="card" method="post" action="/kills">
      <h2>Stop something</h2>
      <p>
        At once: calls are cut and refused, tasks it covers end, credentials are taken back. Only an admin lifts it, and what ended stays
        ended.
      </p>
      ${hidden(shell)}
      <div class="pair">
        <div>
          <label for="scope">What</label
          ><select id="scope" name="scope">
            ${scopes.filter((one) => one !== 'everything').map(option)}
          </select>
        </div>
        <div>
          <label for="name">Name <small>as it is configured, or an id</small></label
          ><input type="text" id="name" name="name" required maxlength="512" autocomplete="off" value="${name}" />
        </div>
      </div>
      <label for="typed"
        >Name once more
        <small
          >${name === '' ? 'typed, not pasted: what is stopped by mistake stays stopped' : html`type <code>${visible(confirmed(name))}</code>`}</small
        ></label
      >
      <input type="text" id="typed" name="typed" required maxlength="512" autocomplete="off" spellcheck="false" />
      ${reasonField('reason', reason)}
      <div class="row"><button class="hard">Stop it now</button></div>
    </form>
    <details class="broken screen">
      <summary>Stop everything</summary>
      <form method="post" action="/kills">
        <p>Every call of every agent, and every task.</p>
        ${hidden(shell, { scope: 'everything' })}${reasonField('everything-reason')}
        <label for="everything-typed">To stop it, type <code>everything</code></label>
        <input type="text" id="everything-typed" name="typed" required maxlength="32" autocomplete="off" spellcheck="false" />
        <div class="row"><button class="hard">Stop everything now</button></div>
      </form>
    </details>`
}
