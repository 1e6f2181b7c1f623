/** Agents and their owners as HTML. */
import { visible } from '../approve/visible.ts'
import type { TaskRow } from '../state/state.ts'
import { notLive, type Agent } from '../task/agents.ts'
import type { Registered } from '../task/registrations.ts'
import { missingRoles, ownerRoles } from '../task/lifecycle.ts'
import type { Answer } from './answer.ts'
import { durationOf } from './asked-task.ts'
import { html, type Html, type Piece } from './html.ts'
import { badge, briefTime, pageOf, shortName, timeOf, type Shell } from './page-shell.ts'
import { allows } from './roles.ts'
import { factsOf, listOf, tableOf } from './table-html.ts'

/** A registration, and what its agent did of late. */
export interface Seen {
  readonly one: Registered
  /** Tasks that have not ended. */
  readonly live: number
  /** When its newest task was opened, epoch ms; null: none that is kept. */
  readonly last: number | null
}

/** `now` is epoch ms. */
export function agentsPage(seen: readonly Seen[], shell: Shell, now: number): Answer {
  const open = seen.filter(({ one }) => notLive(one.agent, now) === null).length
  const body = html`<h1>Agents</h1>
    <p class="soft">${seen.length} registered, ${open} live. Whoever is not registered, or has no owner, makes no call.</p>
    ${
      seen.length === 0
        ? html`<p class="empty">
            No agent is registered. <code>countersign agents propose</code> registers one, or <code>task.agents</code>.
          </p>`
        : tableOf<Seen>(
            'Agents',
            [
              { head: 'Agent', cell: ({ one: { agent } }) => named(agent) },
              { head: 'State', cell: ({ one: { agent } }) => stateOf(agent, now) },
              { head: 'Autonomy', cell: ({ one: { agent } }) => agent.autonomy },
              { head: 'Approved until', cell: ({ one: { agent } }) => untilOf(agent.approved.until, now) },
              { head: 'Answers for incidents', cell: ({ one: { agent } }) => visible(agent.owners?.incident ?? 'nobody') },
              { head: 'Live tasks', figures: true, cell: ({ live }) => live },
              { head: 'Last task', cell: ({ last }) => (last === null ? 'none' : briefTime(last, now)) },
            ],
            seen,
          )
    }`
  return pageOf({ title: 'Agents', body, shell, section: 'agents' })
}

function named({ id, purpose }: Agent): Html {
  return html`<a href="/agents/${encodeURIComponent(id)}">${visible(shortName(id))}</a><small>${visible(purpose)}</small
    ><small class="mono">${visible(id)}</small>`
}

function stateOf(agent: Agent, now: number): Html {
  const why = notLive(agent, now)
  if (why === null) return badge('live', 'active')
  const word = agent.lifecycle === 'live' ? (why.includes('lapsed') || why.includes('ended') ? 'lapsed' : 'barred') : agent.lifecycle
  return html`${badge(word, word === 'proposed' || word === 'approved' ? 'pending' : 'stop')}<small>${visible(why)}</small>`
}

function untilOf(until: number | null, now: number): Piece {
  if (until === null) return 'no end'
  return until <= now ? html`${badge('lapsed', 'stop')} <small>${briefTime(until, now)}</small>` : briefTime(until, now)
}

/** One agent, and its newest tasks. */
export function agentPage({ one }: Pick<Seen, 'one'>, tasks: readonly TaskRow[], shell: Shell, now: number): Answer {
  const { agent } = one
  const { owners } = agent
  const body = html`<div class="head">
      ${stateOf(agent, now)} <span class="soft mono">${visible(agent.id)}</span>${handsOn(agent, shell)}
    </div>
    <h1>${visible(shortName(agent.id))}</h1>
    <p class="lead">${visible(agent.purpose)}</p>
    <h2>Who answers for it</h2>
    ${factsOf([
      ...ownerRoles.map((role) => [`${role} owner`, visible(owners?.[role] ?? 'nobody: it is not live')] as const),
      [
        'reviewed by',
        agent.reviewers.length === 0
          ? null
          : listOf(agent.reviewers.map(({ role, name, outOfBounds }) => visible(`${role}: ${name}${boundsOf(outOfBounds)}`))),
      ],
      ['run by', agent.hosting === 'own' ? null : agent.hosting],
    ])}
    ${registration(one, now)} ${reach(agent)}
    <h2>Its newest tasks</h2>
    ${tasksOf(tasks, now)}`
  return pageOf({ title: visible(shortName(agent.id)), body, shell, section: 'agents' })
}

function registration(one: Registered, now: number): Html {
  const { agent, digest, file, row } = one
  const { approved } = agent
  return html`<h2>Registration</h2>
    ${factsOf([
      ['autonomy', agent.autonomy],
      ['environment', visible(agent.environment ?? 'any')],
      ['model', visible(approved.model ?? 'none named')],
      ['toolchain', visible(approved.toolchain ?? 'none named')],
      ['approved until', approved.until === null ? 'no end' : timeOf(approved.until, now)],
      ['registration ends', agent.validUntil === null ? 'never' : timeOf(agent.validUntil, now)],
      ['declared in', file === null ? 'the admin API' : visible(file)],
      ['digest', html`<span class="mono">${visible(digest)}</span>`],
      ...accepted(one, now),
      [
        'last change',
        row === null ? null : html`${timeOf(row.changed.at, now)} by ${visible(row.changed.by)}: ${visible(row.changed.reason)}`,
      ],
    ])}`
}

function reach(agent: Agent): Html {
  const { intent } = agent
  return html`<h2>The widest that a task of it may be</h2>
    ${factsOf([
      ['tools', listOf(intent.tools.map((text) => visible(text)))],
      ['resources', listOf(intent.resources.map((text) => visible(text)))],
      ['data', listOf(intent.data.map((text) => visible(text)))],
      ['egress', listOf(intent.egress.map((text) => visible(text)))],
      [
        'budget',
        listOf(
          Object.entries(intent.budget).map(([meter, most]) => visible(`${meter}: at most ${most}`)),
          'no limits',
        ),
      ],
      ['lives for', durationOf(agent.ttl)],
      ['opens tasks for', agent.opensFor === undefined ? null : listOf(agent.opensFor.map((text) => visible(text)))],
      ['without a task', agent.implicit === null ? 'calls are refused' : `calls open one, for ${durationOf(agent.implicit.max)} at most`],
    ])}`
}

function boundsOf({ data, tools, effects }: Agent['reviewers'][number]['outOfBounds']): string {
  const all = [...data, ...tools, ...effects]
  return all.length === 0 ? '' : `, out of bounds: ${all.join(', ')}`
}

function accepted({ row, digest, file }: Registered, now: number): readonly (readonly [string, Piece])[] {
  if (row === null) return []
  const said = row.acceptances.map(({ role, by, at }) => html`<li>${role}: ${visible(by)}, ${briefTime(at, now)}</li>`)
  const missing = file === null ? missingRoles(row.acceptances, digest) : []
  return [
    [
      'accepted by',
      said.length === 0
        ? null
        : html`<ul>
            ${said}
          </ul>`,
    ],
    ['waits for', missing.length === 0 ? null : `the ${missing.join(' and the ')} owner`],
  ]
}

function handsOn({ id }: Agent, { roles }: Shell): Html {
  const open = allows(roles, 'tasks.open')
    ? html`<a class="button" href="/tasks/open?agent=${encodeURIComponent(id)}">Open a task</a>`
    : null
  const stop = allows(roles, 'kills.engage')
    ? html`<a class="button no" href="/kills?scope=agent&amp;name=${encodeURIComponent(id)}">Kill…</a>`
    : null
  return html`<span class="end screen">${open} ${stop}</span>`
}

function tasksOf(tasks: readonly TaskRow[], now: number): Html {
  if (tasks.length === 0) return html`<p class="empty">It has no task that is kept.</p>`
  return tableOf<TaskRow>(
    'Its newest tasks',
    [
      {
        head: 'Task',
        cell: ({ id, intent }) => html`<a href="/tasks/${id}">${visible(intent.purpose)}</a><small class="mono">${id}</small>`,
      },
      {
        head: 'State',
        cell: ({ state, ended }) => html`${badge(state)}${ended === null ? null : html`<small>${visible(ended.cause)}</small>`}`,
      },
      { head: 'Opened', cell: ({ opened }) => briefTime(opened, now) },
      { head: 'By', cell: ({ openedBy, caller }) => visible(shortName(openedBy ?? caller)) },
    ],
    tasks,
  )
}
