/** One task as HTML: how it stands, what it may do, what happened, and the hand on it. */
import { visible } from '../approve/visible.ts'
import type { ApprovalRow } from '../state/approvals.ts'
import type { LeaseRow } from '../state/leases.ts'
import type { TaskRow } from '../state/state.ts'
import type { Answer } from './answer.ts'
import { html, type Html, type Piece } from './html.ts'
import { badge, briefTime, hidden, noted, pageOf, reasonField, timeOf, type Shell } from './page-shell.ts'
import { allows } from './roles.ts'
import { branch, budgetOf } from './task-html.ts'
import type { TreeNode } from './task-tree.ts'
import { sensitivityHtml, timelineHtml, type Timeline } from './timeline-html.ts'

/** One task and what is known about it. */
export interface TaskSheet {
  readonly row: TaskRow
  readonly tree: TreeNode
  readonly approvals: readonly ApprovalRow[]
  /** Why a session of its caller waits for a person; null: none does. */
  readonly waiting: string | null
  /** What its agent may carry as proof; null where nobody is to have it. */
  readonly token: string | null
  readonly timeline: Timeline
  /** The one kind of moment to show; null: all. */
  readonly only: string | null
  /** Data classes that its caller knew before. */
  readonly brought: readonly string[]
  /** Credentials that are out, or being taken back. */
  readonly leases: readonly LeaseRow[]
  /** Whether its evidence can be had here. */
  readonly evidence: boolean
  /** Epoch ms. */
  readonly now: number
}

export function taskPage(
  sheet: TaskSheet,
  shell: Shell,
  typed: { readonly note: string; readonly reason: string; readonly status: number } | null,
): Answer {
  const { row, tree, approvals, waiting, token, timeline, only, now } = sheet
  const { intent } = row
  const hand = acts(row, shell, { waiting, reason: typed?.reason ?? '' })
  const held =
    waiting === null
      ? null
      : html`<p class="note">A session of its agent waits for a person (${visible(waiting)}): resuming lets it go on.</p>`
  const body = html`<div class="head">${badge(row.state)} <span class="soft mono">${row.id}</span>${evidenceLink(sheet)}</div>
    <h1>${visible(intent.purpose)}</h1>
    ${noted(typed?.note ?? null)}${held}
    <div class="${hand === null ? 'whole' : 'split'}">
      <div>${factsOf(sheet)}</div>
      ${hand === null ? null : html`<aside aria-label="Act on it">${hand}</aside>`}
    </div>
    ${asked(approvals, now)}${lentNow(sheet)} ${timelineHtml(timeline, row.id, only)}${sensitivityHtml(timeline.moments, sheet.brought)}
    ${
      tree.children.length + tree.offered.length === 0 && row.parent === null
        ? null
        : html`<h2>Delegation</h2>
            ${row.parent === null ? null : html`<p>It came from <a class="mono" href="/tasks/${row.parent}">${row.parent}</a>.</p>`}
            <ul class="list">
              ${branch(tree, now)}
            </ul>`
    }
    ${
      token === null
        ? null
        : html`<details class="screen">
            <summary>Token for the agent</summary>
            <p class="soft">Opens nothing by itself: only this agent can use it, in the header Countersign-Task.</p>
            <pre>${token}</pre>
          </details>`
    }`
  return pageOf({ status: typed?.status ?? 200, title: visible(intent.purpose), body, shell, section: 'tasks' })
}

function evidenceLink({ evidence, row }: TaskSheet): Html | null {
  return evidence ? html`<a class="button screen end" href="/tasks/${row.id}/evidence">Download the evidence</a>` : null
}

/** Credentials that are out now; nothing where none is. */
function lentNow({ leases, now }: TaskSheet): Html | null {
  if (leases.length === 0) return null
  const rows = leases.map(
    ({ id, provider, tool, scopes, expires, ending }) =>
      html`<tr>
        <td>${visible(provider)}<small class="mono">${id}</small></td>
        <td>${visible(tool)}</td>
        <td>${visible(scopes.join(', ') || 'none named')}</td>
        <td>
          ${ending === undefined ? html`ends ${briefTime(expires, now)}` : html`${badge('being taken back', 'pending')} ${visible(ending.cause)}`}
        </td>
      </tr>`,
  )
  return html`<h2>Credentials that are out</h2>
    <div class="scroll" role="region" aria-label="Credentials that are out" tabindex="0">
      <table>
        <thead>
          <tr>
            <th scope="col">Provider</th>
            <th scope="col">Tool</th>
            <th scope="col">Scopes</th>
            <th scope="col">Until</th>
          </tr>
        </thead>
        <tbody>
          ${rows}
        </tbody>
      </table>
    </div>`
}

/** Who it is of, and how far it goes. */
function factsOf({ row, tree, now }: TaskSheet): Html {
  const { intent, paused, ended } = row
  return html`<h2>Who</h2>
    <dl>
      ${fact('agent', html`<span class="mono">${visible(row.caller)}</span>`)}${fact('opened by', visible(row.openedBy ?? row.caller))}
      ${fact('on behalf of', visible(row.onBehalfOf?.subject ?? 'nobody'))}${fact('opened', timeOf(row.opened, now))}
      ${ended === null ? fact('ends', timeOf(row.expires, now)) : fact('ended', html`${timeOf(ended.at, now)} by ${visible(ended.by)}: ${visible(ended.cause)}`)}
      ${paused === null ? null : fact('paused', html`${timeOf(paused.at, now)} by ${visible(paused.by)}: ${visible(paused.reason)}`)}
    </dl>
    <h2>What it may do</h2>
    <dl>
      ${fact('tools', all(intent.tools))}${fact('resources', all(intent.resources))}${fact('data', all(intent.data))}${fact('egress', all(intent.egress))}
      ${fact('budget', budgetOf(tree))}${fact('has read', all(tree.sensitivity))}
    </dl>`
}

function all(values: readonly string[]): Piece {
  if (values.length <= 1) return visible(values[0] ?? 'none')
  return html`<ul>
    ${values.map((value) => html`<li>${visible(value)}</li>`)}
  </ul>`
}

function fact(label: string, value: Piece): Html {
  return html`<dt>${label}</dt>
    <dd>${value}</dd>`
}

function asked(approvals: readonly ApprovalRow[], now: number): Html | null {
  if (approvals.length === 0) return null
  const rows = approvals.slice(0, 20).map(
    (row) =>
      html`<li class="item">
        <a href="/approvals/${row.id}">${visible(row.shown.title)}</a>
        <div>${badge(row.state)}</div>
        <small>asked ${briefTime(row.opened, now)}</small>
      </li>`,
  )
  return html`<h2>What was asked</h2>
    <ul class="list">
      ${rows}
    </ul>`
}

/** What can be done to it now. */
function acts(row: TaskRow, shell: Shell, { waiting, reason }: { readonly waiting: string | null; readonly reason: string }): Html | null {
  if (row.ended !== null) return null
  if (!allows(shell.roles, 'tasks.pause'))
    return html`<p class="note screen">You may read this. Pausing, resuming and ending take the role operator.</p>`
  const button = (verb: string, word: string, look: string): Html =>
    html`<button class="${look}" name="verb" value="${verb}">${word}</button>`
  const first = row.state === 'paused' ? button('resume', 'Resume', 'go') : button('pause', 'Pause', '')
  return html`<form class="card" method="post" action="/tasks/${row.id}">
    <p>
      Pausing refuses its calls until a person resumes it. Completing and revoking end it for good, with what it handed on: open calls are
      cut, credentials taken back.
    </p>
    ${hidden(shell)} ${reasonField('reason', reason)}
    <div class="row">
      ${first}${waiting !== null && row.state === 'active' ? button('resume', 'Let the session go on', 'go') : null}${button('complete', 'Complete', '')}${button('revoke', 'Revoke', 'no')}<a
        class="button no"
        href="/kills?scope=task&amp;name=${row.id}"
        >Kill…</a
      >
    </div>
  </form>`
}
