/** Tasks as HTML: the trees that live, and one in full with the hand on it. */
import { visible } from '../approve/visible.ts'
import type { ApprovalRow } from '../state/approvals.ts'
import type { TaskRow } from '../state/state.ts'
import type { Answer } from './answer.ts'
import { html, type Html, type Piece } from './html.ts'
import { badge, briefTime, hidden, noted, pageOf, reasonField, shortName, timeOf, type Shell } from './page-shell.ts'
import { allows } from './roles.ts'
import type { TreeNode } from './task-tree.ts'

/** Most trees on one page. */
export const mostTrees = 200

export interface TaskList {
  /** Live ones, by their roots. */
  readonly trees: readonly TreeNode[]
  readonly ended: readonly TreeNode[]
  /** Epoch ms. */
  readonly now: number
}

export function tasksPage({ trees, ended, now }: TaskList, shell: Shell): Answer {
  const shown = trees.slice(0, mostTrees)
  const open = allows(shell.roles, 'tasks.open')
    ? html`<p class="screen"><a class="button go" href="/tasks/open">Open a task</a></p>`
    : null
  const more =
    trees.length > shown.length
      ? html`<p class="note">The newest ${shown.length} trees stand here: countersign task tree shows all.</p>`
      : null
  const live =
    shown.length === 0
      ? html`<p class="empty">No task is live. Agents open their own; people open one for an agent here.</p>`
      : html`<ul class="list">
          ${shown.map((node) => branch(node, now))}
        </ul>`
  const over =
    ended.length === 0
      ? null
      : html`<h2>Ended last</h2>
          <ul class="list">
            ${ended.map((node) => branch(node, now))}
          </ul>`
  const body = html`<div class="title">
      <h1>Tasks</h1>
      ${open}
    </div>
    ${more}${live}${over}`
  return pageOf({ title: 'Tasks', body, shell, section: 'tasks' })
}

/** One task and what is known about it. */
export interface TaskSheet {
  readonly row: TaskRow
  readonly tree: TreeNode
  readonly approvals: readonly ApprovalRow[]
  /** Why a session of its caller waits for a person; null: none does. */
  readonly waiting: string | null
  /** What its agent may carry as proof; null where nobody is to have it. */
  readonly token: string | null
  /** Epoch ms. */
  readonly now: number
}

export function taskPage(
  sheet: TaskSheet,
  shell: Shell,
  typed: { readonly note: string; readonly reason: string; readonly status: number } | null,
): Answer {
  const { row, tree, approvals, waiting, token, now } = sheet
  const { intent } = row
  const hand = acts(row, shell, { waiting, reason: typed?.reason ?? '' })
  const held =
    waiting === null
      ? null
      : html`<p class="note">A session of its agent waits for a person (${visible(waiting)}): resuming lets it go on.</p>`
  const body = html`<div class="head">${badge(row.state)} <span class="soft mono">${row.id}</span></div>
    <h1>${visible(intent.purpose)}</h1>
    ${noted(typed?.note ?? null)}${held}
    <div class="${hand === null ? 'whole' : 'split'}">
      <div>${factsOf(row, tree, now)}</div>
      ${hand === null ? null : html`<aside aria-label="Act on it">${hand}</aside>`}
    </div>
    ${asked(approvals, now)}
    ${
      tree.children.length + tree.offered.length === 0
        ? null
        : html`<h2>What it handed on</h2>
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

/** Who it is of, and how far it goes. */
function factsOf(row: TaskRow, tree: TreeNode, now: number): Html {
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

function branch(node: TreeNode, now: number): Html {
  const who = node.paused ?? null
  const note = who === null ? (node.ended === null ? null : `${node.ended.by}: ${node.ended.cause}`) : `by ${who.by}: ${who.reason}`
  const below = [...node.children.map((child) => branch(child, now)), ...node.offered.map((offer) => offered(offer, now))]
  return html`<li>
    <div class="item">
      <div>
        <a href="/tasks/${node.id}">${visible(node.purpose)}</a
        ><small>${visible(shortName(node.caller))} <span class="mono">${node.id}</span></small>
      </div>
      <div>${badge(node.state)}${note === null ? null : html`<small>${visible(note)}</small>`}</div>
      <div>
        <small>${budgetOf(node)}</small
        ><small>${node.ended === null ? html`ends ${briefTime(Date.parse(node.expires), now)}` : null}</small>
      </div>
    </div>
    ${
      below.length === 0
        ? null
        : html`<ul class="list">
            ${below}
          </ul>`
    }
  </li>`
}

function offered({ to, expires }: TreeNode['offered'][number], now: number): Html {
  return html`<li class="item">
    <div>handed on to ${visible(shortName(to))}, not taken up yet</div>
    <div></div>
    <small>until ${briefTime(Date.parse(expires), now)}</small>
  </li>`
}

function budgetOf({ budget }: Pick<TreeNode, 'budget'>): Piece {
  const meters = Object.entries(budget)
  if (meters.length === 0) return 'no limits'
  return meters.map(
    ([meter, { spent, most }]) => html`<div>${visible(meter)} ${most === null ? `${spent} spent` : `${spent} of ${most}`}</div>`,
  )
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
