/** Opening a task, as HTML: for whom, with what, and what will be opened before it is. */
import { visible } from '../approve/visible.ts'
import type { Intent } from '../state/state.ts'
import type { Agent } from '../task/agents.ts'
import type { Answer } from './answer.ts'
import { durationOf, metersOf, offeredTo, type Field, type FormFault, type Offered } from './asked-task.ts'
import { html, type Html, type Piece } from './html.ts'
import { badge, hidden, pageOf, shortName, type Shell } from './page-shell.ts'

/** An agent that a task can be opened for; why it cannot, else. */
export interface Choice {
  readonly agent: Agent
  readonly why: string | null
}

/** For whom? */
export function choosePage(choices: readonly Choice[], shell: Shell, note: string | null): Answer {
  const body = html`<h1>Open a task: for which agent?</h1>
    ${note === null ? null : html`<p class="note bad" role="alert">${visible(note)}</p>`}
    ${
      choices.length === 0
        ? html`<p class="empty">
            No agent is registered. Register one: <code>countersign agents propose</code>, or in <code>task.agents</code>.
          </p>`
        : html`<ul class="list">
            ${choices.map(choice)}
          </ul>`
    }`
  return pageOf({ status: note === null ? 200 : 404, title: 'Open a task', body, shell, section: 'tasks' })
}

function choice({ agent, why }: Choice): Html {
  const name = visible(shortName(agent.id))
  const way = why === null ? html`<a href="/tasks/open?agent=${encodeURIComponent(agent.id)}">${name}</a>` : html`<strong>${name}</strong>`
  return html`<li class="item">
    <div>${way}<small class="mono">${visible(agent.id)}</small></div>
    <div>${visible(agent.purpose)}</div>
    <div>${why === null ? badge('live', 'active') : html`${badge('not live', 'stop')}<small>${visible(why)}</small>`}</div>
  </li>`
}

export interface Opening {
  readonly agent: Agent
  readonly catalogue: readonly Offered[]
  /** As it was typed, or as the registration fills it. */
  readonly form: URLSearchParams
  readonly faults: readonly FormFault[]
  readonly status: number
}

const ids: Readonly<Record<Field, string>> = {
  caller: 'caller',
  purpose: 'purpose',
  tools: 'tools',
  resources: 'resources',
  data: 'data',
  egress: 'egress',
  budget: 'budget',
  ttl: 'ttl',
  reason: 'reason',
}

/** With what? Everything that was typed before stands there again. */
export function formPage(opening: Opening, shell: Shell): Answer {
  const { agent, form, faults, status } = opening
  const text = (name: string): string => form.get(name) ?? ''
  const body = html`<h1>Open a task for ${visible(shortName(agent.id))}</h1>
    <p class="soft">
      Registered as <span class="mono">${visible(agent.id)}</span> to ${visible(agent.purpose)}. A task is never wider than that.
      <a href="/tasks/open">Another agent</a>
    </p>
    ${summary(faults)}
    <form method="post" action="/tasks/open">
      ${hidden(shell, { agent: agent.id })}
      ${agent.id.endsWith('*') ? line({ opening, field: 'caller', label: 'SPIFFE ID of the workload', hint: `the one that may use it, of ${agent.id}` }) : null}
      ${line({ opening, field: 'purpose', label: 'Purpose', hint: 'what it is for, in one line' })} ${toolsField(opening)}
      ${area(opening, 'resources', 'Resources', `one on each line; a * at the end stands for any rest`, text('resources'))}
      <div class="pair">${checks(opening, 'data', 'Data classes')}${checks(opening, 'egress', 'Where data may go')}</div>
      ${budgetField(opening)} ${line({ opening, field: 'ttl', label: 'Lives for', hint: `such as 10m; at most ${durationOf(agent.ttl)}` })}
      ${area(opening, 'reason', 'Reason', 'why you open it; stands in the ledger', text('reason'))}
      <div class="row">
        <button class="go" name="step" value="check">See what will be opened</button><a class="button" href="/tasks">Leave it</a>
      </div>
    </form>`
  return pageOf({ status, title: faults.length > 0 ? 'Not opened' : 'Open a task', body, shell, section: 'tasks' })
}

/** What will be opened, before it is. `once` keeps a second press of the button from opening a second task. */
export function confirmPage(
  { agent, form }: Pick<Opening, 'agent' | 'form'>,
  task: { readonly caller: string; readonly intent: Intent; readonly ttl: number; readonly reason: string; readonly once: string },
  shell: Shell,
): Answer {
  const { caller, intent, ttl, reason, once } = task
  const kept = [...form].filter(([name]) => name !== 'csrf' && name !== 'step' && name !== 'once')
  const row = (label: string, value: Piece): Html =>
    html`<dt>${label}</dt>
      <dd>${value}</dd>`
  const all = (values: readonly string[]): Piece =>
    values.length === 0
      ? 'none'
      : html`<ul>
          ${values.map((value) => html`<li>${visible(value)}</li>`)}
        </ul>`
  const budget = Object.entries(intent.budget).map(([meter, most]) => `${meter}: at most ${most}`)
  const body = html`<h1>This will be opened</h1>
    <dl>
      ${row('for', html`<span class="mono">${visible(caller)}</span>`)}${row('purpose', visible(intent.purpose))}
      ${row('tools', all(intent.tools))}${row('resources', all(intent.resources))}${row('data', all(intent.data))}${row('egress', all(intent.egress))}
      ${row('budget', all(budget))}${row('lives for', durationOf(ttl))}${row('opened by', `person:${shell.name}`)}${row('reason', visible(reason))}
    </dl>
    <p class="soft">Policy is asked when you open it. Only ${visible(shortName(agent.id))} can use the task; every call of it is judged.</p>
    <form method="post" action="/tasks/open">
      ${hidden(shell, { once })}${kept.map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}" />`)}
      <div class="row">
        <button class="go" name="step" value="open">Open the task</button><button name="step" value="change">Change it</button>
      </div>
    </form>`
  return pageOf({ title: 'This will be opened', body, shell, section: 'tasks' })
}

function summary(faults: readonly FormFault[]): Html | null {
  if (faults.length === 0) return null
  const said = faults.map(({ field, message }) => {
    const text = field === null ? visible(message) : html`<a href="#${ids[field]}">${visible(message)}</a>`
    return html`<li>${text}</li>`
  })
  return html`<div class="note bad" role="alert">
    <strong>Nothing was opened.</strong>
    <ul>
      ${said}
    </ul>
  </div>`
}

/** What is wrong with one field, and the attributes that tie it to its fault. */
function faultyAt({ faults }: Opening, field: Field): { readonly said: Piece; readonly marks: Piece } {
  const own = faults.filter((fault) => fault.field === field)
  if (own.length === 0) return { said: null, marks: null }
  const said = html`<p class="fault" id="${field}-fault">${own.map(({ message }) => visible(message)).join('; ')}</p>`
  return { said, marks: html` aria-invalid="true" aria-describedby="${field}-fault"` }
}

interface Line {
  readonly opening: Opening
  readonly field: Field
  readonly label: string
  readonly hint: string
}

function line({ opening, field, label, hint }: Line): Html {
  const { said, marks } = faultyAt(opening, field)
  return html`<label for="${ids[field]}">${label} <small>${visible(hint)}</small></label
    >${said}
    <input
      type="text"
      id="${ids[field]}"
      name="${field}"
      maxlength="500"
      autocomplete="off"
      value="${opening.form.get(field) ?? ''}"
      required${marks}
    />`
}

function area(opening: Opening, field: Field, label: string, hint: string, value: string): Html {
  const { said, marks } = faultyAt(opening, field)
  return html`<label for="${ids[field]}">${label} <small>${hint}</small></label
    >${said} <textarea id="${ids[field]}" name="${field}" rows="${field === 'reason' ? 2 : 3}" required${marks}>${value}</textarea>`
}

function toolsField(opening: Opening): Html {
  const { agent, catalogue, form } = opening
  const { said } = faultyAt(opening, 'tools')
  const chosen = form.getAll('tools')
  const offered = offeredTo(agent, catalogue)
  const all = form.has('all_tools') ? html` checked` : null
  return html`<fieldset id="tools" tabindex="-1">
    <legend>Tools</legend>
    ${said}
    ${offered.map(
      ({ name, route, effect, risk }) =>
        html`<label class="check"
          ><input type="checkbox" name="tools" value="${name}" ${chosen.includes(name) ? html` checked` : null} /><span
            >${visible(name)} <small>${effect} on ${visible(route)}, ${risk} risk</small></span
          ></label
        >`,
    )}
    <label class="check"
      ><input type="checkbox" name="all_tools" value="yes" ${all} /><span
        >All that it is registered for: <small>${visible(agent.intent.tools.join(', '))}</small></span
      ></label
    >
    <label for="more_tools">Others <small>with commas between; a * at the end stands for any rest</small></label>
    <input type="text" id="more_tools" name="more_tools" maxlength="4000" autocomplete="off" value="${form.get('more_tools') ?? ''}" />
  </fieldset>`
}

function checks(opening: Opening, field: 'data' | 'egress', legend: string): Html {
  const chosen = opening.form.getAll(field)
  const { said } = faultyAt(opening, field)
  const values = opening.agent.intent[field]
  return html`<fieldset id="${field}" tabindex="-1">
    <legend>${legend}</legend>
    ${said}
    ${values.length === 0 ? html`<p class="soft">The agent is registered for none.</p>` : values.map((value) => html`<label class="check"><input type="checkbox" name="${field}" value="${value}" ${chosen.includes(value) ? html` checked` : null} /><span>${visible(value)}</span></label>`)}
  </fieldset>`
}

function budgetField(opening: Opening): Html {
  const { agent, form } = opening
  const { said } = faultyAt(opening, 'budget')
  return html`<fieldset id="budget" tabindex="-1">
    <legend>Budget</legend>
    ${said}
    ${metersOf(agent).map((meter) => {
      const most = agent.intent.budget[meter]
      const hint = most === undefined ? 'empty: no limit' : `at most ${most}`
      return html`<label for="budget.${meter}">${visible(meter)} <small>${hint}</small></label>
        <input
          type="text"
          inputmode="decimal"
          id="budget.${meter}"
          name="budget.${meter}"
          maxlength="22"
          autocomplete="off"
          value="${form.get(`budget.${meter}`) ?? ''}"
        />`
    })}
  </fieldset>`
}
