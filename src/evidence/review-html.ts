/** An access review as one file for people: no script, nothing from elsewhere, and it prints well. */

import { html, Html, type Piece } from '../admin/html.ts'
import { style } from '../admin/page-style.ts'
import { visible } from '../approve/visible.ts'
import type { AccessReview, AgentReview, Named } from './review-form.ts'
import { duration } from './registration.ts'
import { times, unusedOf } from './review-text.ts'

const own = `
table{border-collapse:collapse;width:100%;margin:.5rem 0;font-size:.9rem}th,td{text-align:left;padding:.3rem .75rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:break-word}td:first-child{overflow-wrap:anywhere}
th{color:var(--soft);font-weight:600;white-space:nowrap}td.n,th.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.agent{border-top:2px solid var(--ink);margin-top:2.5rem;padding-top:.25rem}.plus{color:var(--go)}.minus{color:var(--stop)}.diff{padding:.5rem .75rem}
ul.plain{margin:.25rem 0;padding-left:1.1rem}
@media print{.agent{break-before:page}h2,h3{break-after:avoid}tr,.note{break-inside:avoid}pre{border-color:#999}.plus,.minus{color:#000}}
`

/** The whole document. */
export function reviewHtml(review: AccessReview): string {
  const { made, since, first, last, lines, calls, agents, warnings } = review
  const styled = new Html(`<style>${style}${own}</style>`)
  const title = agents.length === 1 ? `Access review of ${shown(agents[0]?.agent ?? '')}` : 'Access review of agents'
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="content-security-policy" content="default-src 'none'; style-src 'unsafe-inline'" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        ${styled}
      </head>
      <body>
        <main>
          <h1>${title}</h1>
          <p class="soft">
            Made ${day(made)} from ${lines} lines with ${calls} calls, ${first === null ? 'none' : day(first)} to
            ${last === null ? 'none' : day(last)}${since === null ? '' : `, asked for since ${day(since)}`}.
          </p>
          ${notes(warnings)} ${agents.length > 1 ? overview(agents) : null} ${agents.map(agentPiece)}
        </main>
      </body>
    </html> `.toString()
}

function overview(agents: readonly AgentReview[]): Piece {
  const rows = agents.map((one, at) => [
    html`<a href="#a${at}">${shown(one.agent)}</a>`,
    one.registered?.lifecycle ?? 'not registered',
    one.used.calls,
    one.refused.calls,
    one.asked.questions,
    one.standing.length,
    unusedOf(one.unused).length,
    one.lapsed.length,
    one.proposal === null ? '' : 'narrower',
  ])
  return html`<h2>All of them</h2>
    ${table(['agent', 'is', '#calls', '#refused', '#asked', '#standing secrets', '#unused', '#lapsed', 'proposed'], rows)}`
}

function agentPiece(one: AgentReview, at: number): Piece {
  const { agent, registered, used, refused, asked, standing, unused, lapsed, proposal, warnings } = one
  return html`<section class="agent" id="a${at}">
    <h2>${shown(agent)}</h2>
    ${registered === null ? html`<p>It is not registered.</p>` : facts(registered, one.effective_tools)} ${notes(warnings)}
    ${lapsedPiece(lapsed)}
    <h3>What it used</h3>
    ${used.calls === 0 ? nothing : usedPiece(used)}
    <h3>What it was refused</h3>
    ${refused.calls === 0 ? nothing : refusedPiece(refused)}
    <h3>What it asked people</h3>
    ${asked.questions === 0 && asked.granted === 0 ? nothing : askedPiece(asked)}
    <h3>Standing secrets behind it</h3>
    ${standing.length === 0 ? html`<p>None is known.</p>` : standingPiece(standing)}
    <h3>What it could do without</h3>
    ${idlePiece(unusedOf(unused))} ${proposal === null ? null : proposalPiece(proposal)}
  </section> `
}

const nothing = html`<p>Nothing.</p>`

function lapsedPiece(lapsed: AgentReview['lapsed']): Piece {
  if (lapsed.length === 0) return null
  const rows = lapsed.map(({ of, until, says, lapsed: over }) => {
    const when = until === null ? '' : `${day(until)}${over ? ', lapsed' : ''}`
    return [shown(of), when, shown(says)]
  })
  return html`<h3>Lapsed, or soon</h3>
    ${table(['what', 'until', 'why'], rows)}`
}

function refusedPiece({ rules, codes }: AgentReview['refused']): Piece {
  const rows = rules.map((rule) => [shown(rule.name), rule.calls, day(rule.last), list(rule.tools)])
  return html`${rows.length === 0 ? null : table(['rule', '#calls', 'last', 'tools'], rows)}${counts('code', codes)}`
}

function standingPiece(standing: AgentReview['standing']): Piece {
  const rows = standing.map((row) => [shown(row.provider), shown(row.what), list(row.routes), row.calls, shown(row.instead)])
  return table(['credential', 'what it is', 'routes', '#calls', 'instead'], rows)
}

function idlePiece(idle: readonly string[]): Piece {
  if (idle.length === 0) return html`<p>Nothing that shows.</p>`
  const more = idle.length > 200 ? html`<p>And ${idle.length - 200} more: the JSON has them all.</p>` : null
  return html`<ul class="plain">
      ${idle.slice(0, 200).map((text) => html`<li>${shown(text)}</li>`)}
    </ul>
    ${more}`
}

function facts(registered: NonNullable<AgentReview['registered']>, effective: readonly string[] | null): Piece {
  const { purpose, owners, autonomy, lifecycle, hosting, intent } = registered
  const budget = Object.entries(intent.budget).map(([meter, most]) => `${meter} ${most}`)
  const rows: readonly (readonly [string, Piece])[] = [
    ['purpose', shown(purpose)],
    ['owners', list(Object.entries(owners ?? {}).map(([role, name]) => `${role}: ${name}`))],
    ['is', `${lifecycle}, ${autonomy}, hosting ${hosting}`],
    ['tools', list(intent.tools)],
    ['resources', list(intent.resources)],
    ['data', list(intent.data)],
    ['egress', list(intent.egress)],
    ['budget of a task', list(budget)],
    ['life of a task', duration(intent.ttl)],
    ...(effective === null ? [] : [['tools that this comes to', list(effective)] as const]),
  ]
  return html`<dl>
    ${rows.map(
      ([name, value]) =>
        html`<dt>${name}</dt>
          <dd>${value}</dd>`,
    )}
  </dl>`
}

function usedPiece({
  calls,
  tasks,
  handed_on: handed,
  first,
  last,
  tools,
  data,
  egress,
  destinations,
  workloads,
  spent,
  life,
  outside,
}: AgentReview['used']): Piece {
  const rows = tools.map((tool) => [
    shown(tool.name),
    tool.effect,
    tool.calls,
    day(tool.last),
    html`${list(tool.resources.slice(0, 5))}${tool.resource_count > 5 ? ` and ${tool.resource_count - 5} more` : ''}`,
    list(tool.data),
    list(tool.egress),
  ])
  const most = Object.entries(spent).map(([meter, amount]) => `${meter} ${amount}`)
  return html`<p>
      ${times(calls, 'call')} in ${times(tasks, 'task')}, ${first === null ? '' : day(first)} to
      ${last === null ? '' : day(last)}${handed > 0 ? `, and ${times(handed, 'call')} by agents that it handed work to` : ''}. One task
      spent at most ${list(most)} and was at work for ${duration(Math.round(life / 1000) * 1000)} at most.
    </p>
    ${
      outside.length === 0
        ? null
        : html`<div class="note bad">
            <p>Used although its registration does not allow it now:</p>
            <ul>
              ${outside.map((text) => html`<li>${shown(text)}</li>`)}
            </ul>
          </div>`
    }
    ${table(['tool', 'effect', '#calls', 'last', 'resources', 'data', 'egress'], rows)}
    ${counts('data class', data)}${counts('egress', egress)}${counts('destination', destinations)}${workloads.length > 1 ? counts('workload', workloads) : null}`
}

function askedPiece({ questions, ended, tools, granted, people, median_wait: wait }: AgentReview['asked']): Piece {
  const states = Object.entries(ended).map(([state, number]) => `${state} ${number}`)
  const about = Object.entries(tools).map(([name, number]) => `${name} ${number}`)
  return html`<p>
      ${times(questions, 'question')} (${list(states)}) about ${list(about)}; ${granted} objectives granted
      unasked.${wait === null ? '' : ` Half were answered within ${duration(Math.round(wait / 1000) * 1000)}.`}
    </p>
    ${
      people.length === 0
        ? null
        : table(
            ['who answered', '#yes', '#no'],
            people.map(({ name, approve, decline }) => [shown(name), approve, decline]),
          )
    }`
}

function proposalPiece({ diff }: NonNullable<AgentReview['proposal']>): Piece {
  const kind = (text: string): string => (text.startsWith('+') ? 'plus' : text.startsWith('-') ? 'minus' : '')
  const lines = diff.trimEnd().split('\n')
  return html`<h3>Proposed, narrower</h3>
    <p class="soft">
      What it used would still be allowed, and nothing that is not allowed now. What it will need next month is for its owners to say.
    </p>
    <pre class="diff">${lines.map((text) => [html`<span class="${kind(text)}">${shown(text)}</span>`, '\n'])}</pre>`
}

function counts(name: string, rows: readonly Named[]): Piece {
  if (rows.length === 0) return null
  return table(
    [name, '#calls', 'last'],
    rows.slice(0, 50).map((row) => [shown(row.name), row.calls, day(row.last)]),
  )
}

/** A heading that begins with `#` is one of figures. */
function table(head: readonly string[], rows: readonly (readonly Piece[])[]): Piece {
  const figure = (at: number): string => (head[at]?.startsWith('#') === true ? 'n' : '')
  return html`<table>
    <thead>
      <tr>
        ${head.map((text, at) => html`<th scope="col" class="${figure(at)}">${text.replace('#', '')}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${rows.map(
        (row) =>
          html`<tr>
            ${row.map((cell, at) => html`<td class="${figure(at)}">${cell}</td>`)}
          </tr>`,
      )}
    </tbody>
  </table>`
}

function notes(warnings: readonly string[]): Piece {
  return warnings.length === 0
    ? null
    : html`<div class="note">
        <ul>
          ${warnings.map((text) => html`<li>${shown(text)}</li>`)}
        </ul>
      </div>`
}

function list(names: readonly string[]): Piece {
  return names.length === 0 ? 'none' : shown(names.join(', '))
}

/** `2026-11-27 14:03` UTC. */
function day(time: string): string {
  return `${time.slice(0, 10)} ${time.slice(11, 16)}`
}

/** What came from a record shows its controls and its tricks. */
function shown(text: string): string {
  return visible(text)
}
