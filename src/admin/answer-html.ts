/** The forms by which an approval is answered, as HTML, with what a yes would bring about. */
import { isParty } from '../approve/chain.ts'
import { visible } from '../approve/visible.ts'
import type { ApprovalRow } from '../state/approvals.ts'
import type { Reader, Typed } from './approval-html.ts'
import { durationOf } from './asked-task.ts'
import { html, type Html, type Piece } from './html.ts'
import { hidden, reasonField, shortName, timeOf, type Shell } from './page-shell.ts'
import { isNamed } from './person.ts'
import { allows } from './roles.ts'
import { factsOf } from './table-html.ts'

/** What a call of a route is lent, at the most. */
export interface Lent {
  readonly provider: string
  readonly scopes: readonly string[]
  readonly audiences: readonly string[]
  /** Longest use, ms. */
  readonly ttl: number
  /** A secret that outlives the task. */
  readonly standing: boolean
}

/** What somebody answered lately. */
export interface Load {
  readonly answered: number
  readonly approved: number
}

/** From so many answers in an hour on, somebody is told: people who are asked much stop looking. */
const many = 5

/** The forms, or why there are none for whoever looks. */
export function answering(row: ApprovalRow, reader: Reader, typed: Typed | null): Piece {
  const { shell, mayBreak } = reader
  if (!allows(shell.roles, 'approvals.approve'))
    return html`<p class="note screen">You may read this. Answering takes the role approver.</p>`
  const back = row.state === 'pending' || row.state === 'approved' ? withdrawing(row, shell) : null
  if (row.state !== 'pending') return back
  const why = notYours(row, reader)
  const glass = mayBreak && !isChain(row, reader) ? breaking(row, shell) : null
  return [
    why === null ? [tired(reader.load), answerForm(row, reader, typed)] : html`<p class="note screen">${why}</p>`,
    reporting(row, shell, typed),
    glass,
    back,
  ]
}

function isChain({ excluded }: ApprovalRow, { who, shell }: Reader): boolean {
  return isParty(excluded, [`person:${who.name ?? shell.name}`, ...(who.aliases ?? [])])
}

/** Why somebody need not try; what counts is looked at again when they answer. */
function notYours(row: ApprovalRow, reader: Reader): string | null {
  const { who, shell, barred } = reader
  if (barred !== null) return `T${barred.slice(1)}.`
  if (isChain(row, reader)) return 'This is asked for you, or by a task of yours: somebody else answers it.'
  if (row.answers.some(({ by }) => by === `person:${who.name ?? shell.name}`)) return 'You have answered. It waits for another person.'
  if (row.approvers.length === 0 || who.method === 'local-key' || isNamed(who, row.approvers)) return null
  return `This is for others to answer: ${visible(row.approvers.join(', '))}.`
}

function tired({ answered, approved }: Load): Html | null {
  if (answered < many) return null
  const all = approved === answered ? 'all of them with yes' : `${approved} of them with yes`
  return html`<p class="note">You have answered ${answered} in the last hour, ${all}. Take for this one the time that it needs.</p>`
}

function answerForm(row: ApprovalRow, reader: Reader, typed: Typed | null): Html {
  const { shell } = reader
  const before = (name: string): string => typed?.form.get(name) ?? ''
  const wider = html`<details${before('tools') === '' ? null : html` open`}>
    <summary>Approve more than this one call</summary>
    <label for="tools">Tools <small>with commas between, the one that is asked for among them</small></label>
    <input type="text" id="tools" name="tools" maxlength="2000" placeholder="${visible(row.tool)}" value="${before('tools')}" />
    <div class="pair">
      <div><label for="calls">Calls</label><input type="text" id="calls" name="calls" inputmode="numeric" maxlength="5" value="${before('calls')}" /></div>
      <div><label for="for">For <small>such as 10m</small></label><input type="text" id="for" name="for" maxlength="8" value="${before('for')}" /></div>
    </div>
    <p class="soft">Each of these tools, for this task only, so many calls in all, until then: whatever they are asked for, without asking again.</p>
  </details>`
  // Enter in a field presses the first button of a form: here that one does nothing
  return html`<form class="card" method="post" action="/approvals/${row.id}">
    <button disabled hidden aria-hidden="true"></button>
    <h2>Your answer</h2>
    ${consequences(row, reader)} ${hidden(shell)}${reasonField('reason', before('reason'))}${row.single ? null : wider}
    <div class="row">
      <button class="go" name="verb" value="approve">Approve</button><button class="no" name="verb" value="decline">Decline</button>
    </div>
  </form>`
}

/** What a yes brings about: how far it reaches, what is lent, until when. */
function consequences(row: ApprovalRow, { lent, now }: Reader): Html {
  const quorum = row.quorum === 1 ? null : `${row.quorum} different people must say yes`
  const reach = row.matter === 'call' ? 'exactly what this page shows, once' : 'this one task, as this page shows it'
  return factsOf([
    ['a yes allows', html`${reach}${row.single ? ', and never more' : null}`],
    ['until', timeOf(row.expires, now)],
    ['lends', row.matter === 'call' ? lentText(lent) : null],
    ['takes', quorum],
    ['then', 'policy judges it again, as it is by then'],
  ])
}

function lentText(lent: Lent | null): Piece {
  if (lent === null) return 'no credential'
  const { provider, scopes, audiences, ttl, standing } = lent
  const far = [...scopes.map((scope) => `scope ${scope}`), ...audiences.map((audience) => `for ${audience}`)]
  const life = standing ? html`<strong>a secret that outlives the task</strong>` : html`for ${durationOf(ttl)} at most, then it ends`
  return html`${visible(provider)}: ${far.length === 0 ? null : html`${visible(far.join(', '))}; `}${life}`
}

/** What looks wrong is declined, and its task is stopped by whoever may. */
function reporting(row: ApprovalRow, shell: Shell, typed: Typed | null): Html {
  const stops = row.task !== null && allows(shell.roles, 'kills.engage')
  const name = shortName(row.shown.agent)
  const mine = typed?.form.get('verb') === 'report'
  return html`<details class="screen" ${mine ? html` open` : null}>
    <summary>This looks wrong</summary>
    <form method="post" action="/approvals/${row.id}">
      <p>
        ${
          stops
            ? 'It is declined, and the task is stopped for good, with what it handed on: open calls are cut, credentials taken back.'
            : 'It is declined as suspicious, and stands in the ledger so. Stopping the task takes the role operator: tell one.'
        }
      </p>
      ${hidden(shell)}${reasonField('report-reason', mine ? (typed?.form.get('reason') ?? '') : '')}
      ${
        stops
          ? html`<label for="report-typed">To stop it, type <code>${visible(name)}</code></label>
              <input type="text" id="report-typed" name="typed" maxlength="512" autocomplete="off" spellcheck="false" required />`
          : null
      }
      <div class="row">
        <button class="no" name="verb" value="report">${stops ? 'Decline and stop the task' : 'Decline as suspicious'}</button>
      </div>
    </form>
  </details>`
}

function breaking(row: ApprovalRow, shell: Shell): Html {
  return html`<details class="broken screen">
    <summary>Break the glass</summary>
    <form method="post" action="/approvals/${row.id}">
      <p>Approve without those who are asked. Everybody is told, and it stands in the ledger.</p>
      ${hidden(shell)}${reasonField('break-reason')}
      <div class="row"><button class="hard" name="verb" value="break-glass">BREAK THE GLASS</button></div>
    </form>
  </details>`
}

function withdrawing(row: ApprovalRow, shell: Shell): Html {
  return html`<details class="screen">
    <summary>Take it back</summary>
    <form method="post" action="/approvals/${row.id}">
      <p>
        ${row.state === 'pending' ? 'Nobody answers it any more.' : 'What it allowed ends now: open calls under it are cut, its credentials are taken back.'}
      </p>
      ${hidden(shell)}${reasonField('withdraw-reason')}
      <div class="row"><button class="no" name="verb" value="withdraw">Withdraw</button></div>
    </form>
  </details>`
}
