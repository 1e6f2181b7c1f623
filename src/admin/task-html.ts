/** Tasks as HTML: the trees that live, and those that ended last. */
import { visible } from '../approve/visible.ts'
import type { Answer } from './answer.ts'
import { html, type Html, type Piece } from './html.ts'
import { badge, briefTime, pageOf, shortName, type Shell } from './page-shell.ts'
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

/** A task in its tree, with what is below it. */
export function branch(node: TreeNode, now: number): Html {
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

/** What is spent of its limits, a line a meter. */
export function budgetOf({ budget }: Pick<TreeNode, 'budget'>): Piece {
  const meters = Object.entries(budget)
  if (meters.length === 0) return 'no limits'
  return meters.map(
    ([meter, { spent, most }]) => html`<div>${visible(meter)} ${most === null ? `${spent} spent` : `${spent} of ${most}`}</div>`,
  )
}
