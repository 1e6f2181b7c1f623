/** One call as HTML: what was decided and why, what came of it, and what policy saw. */
import { visible } from '../approve/visible.ts'
import { factsOf, joined, objectOf, textOf, textsOf, type ParsedLine } from '../evidence/facts.ts'
import type { CallTrace } from '../evidence/find-call.ts'
import type { Answer } from './answer.ts'
import { decisionBadge } from './decision-html.ts'
import { html, type Html, type Piece } from './html.ts'
import { pageOf, timeOf, type Shell } from './page-shell.ts'

export interface CallSheet {
  readonly trace: CallTrace
  /** The query of the list that it was found in. */
  readonly back: string
  /** Epoch ms. */
  readonly now: number
}

/** Characters of an input, as long as a page bears; the ledger has the rest. */
const mostInput = 200_000

export function callPage({ trace, back, now }: CallSheet, shell: Shell): Answer {
  const { first, outcome } = trace
  const facts = outcome === null ? factsOf(first) : joined(factsOf(first), factsOf(outcome))
  const request = objectOf(objectOf(first.event.input)['request'])
  const what = `${textOf(request['method'])} ${facts.tool || textOf(request['path']) || 'a call'}`.trim()
  const judged = first.event.result !== undefined
  const body = html`<p class="screen"><a href="/decisions${back === '' ? '' : `?${back}`}">Decisions</a></p>
    <div class="head">${decisionBadge(facts.decision)} <span class="soft mono">${first.id}</span></div>
    <h1>${visible(what)}</h1>
    ${why(trace, facts.code, facts.rules)}
    <div class="halves">
      <section aria-label="Who and what">${whoOf(first, facts.task, now)}</section>
      <section aria-label="What came of it">${outcome === null ? notEnded(first) : cameOf(outcome, now)}</section>
    </div>
    ${eventsOf(trace.events)}
    <h2>What policy saw and said</h2>
    ${hiddenOf(first)}
    ${
      judged
        ? html`<p class="screen"><a class="button" href="/policy/explain?call=${first.id}">Explain this decision</a></p>`
        : html`<p class="soft">Policy was not asked about this call.</p>`
    }
    ${document('Input', first.event.input)}${judged ? document('Result', first.event.result) : null}${document('The decision line', first.event)}${outcome === null ? null : document('The outcome line', outcome.event)}`
  return pageOf({ title: visible(what), body, shell, section: 'decisions' })
}

function why({ first, outcome }: CallTrace, code: string, rules: readonly string[]): Piece {
  const reasons = reasonsOf(first, outcome)
  const controls = [...textsOf(first.own['controls']), ...textsOf(objectOf(outcome?.own['answer'])['controls'])]
  const observed = textOf(first.own['observed'])
  return html`${
      reasons.length === 0
        ? null
        : html`<ul>
            ${reasons.map((reason) => html`<li>${visible(reason)}</li>`)}
          </ul>`
    }
    <dl>
      ${fact('code', code)}${fact('rules', list(rules))}${fact('controls', list([...new Set(controls)]))}${fact('in observe mode', observed === '' ? '' : `enforcing would ${observed}`)}${fact('for operators', detailOf(outcome?.own['detail'] ?? first.own['detail']))}
    </dl>`
}

function reasonsOf(first: ParsedLine, outcome: ParsedLine | null): readonly string[] {
  const given = objectOf(first.event.result)['reasons']
  const said = Array.isArray(given) ? given.map((one) => textOf(objectOf(one)['message_agent']) || textOf(objectOf(one)['message'])) : []
  return [...new Set([...said, ...textsOf(first.own['reasons']), ...textsOf(outcome?.own['reasons'])])].filter((text) => text !== '')
}

function whoOf({ own, event }: ParsedLine, task: string, now: number): Html {
  const human = objectOf(own['human'])
  const asked = textOf(own['approval']) || textOf(objectOf(own['asked'])['approval'])
  const owners = Object.entries(objectOf(own['owners'])).map(([of, name]) => `${of}: ${textOf(name)}`)
  const request = objectOf(objectOf(event.input)['request'])
  return html`<h2>Who and what</h2>
    <dl>
      ${fact('when', moment(textOf(event.timestamp), now))}${fact('agent', mono(textOf(own['caller'])))}${fact('proven by', [textOf(own['method']), textOf(own['confirmed'])].filter(Boolean).join(', '))}
      ${fact('task', link(task, 'tasks', 't'))}${fact('for', textOf(human['subject']))}${fact('began with', textOf(own['root']))}${fact('path', textOf(request['path']))}${fact('route', textOf(own['route']))}${fact('leads to', textOf(own['downstream']))}${fact('touches', textOf(own['resource']))}
      ${fact('approval', link(asked, 'approvals', 'a'))}${fact('approved by', list(textsOf(own['approved_by'])))}${fact('owners', list(owners))}${fact('policy', textOf(objectOf(objectOf((event as { readonly bundles?: unknown }).bundles)['countersign'])['revision']))}${fact('trace', textOf((event as { readonly trace_id?: unknown }).trace_id))}
    </dl>`
}

function notEnded({ own }: ParsedLine): Html {
  if (own['kind'] === 'decision')
    return html`<h2>What came of it</h2>
      <p class="note">It has not ended.</p>`
  return html`<h2>What came of it</h2>
    <p>
      It was refused${typeof own['refused'] === 'number' ? ` with status ${own['refused']}` : ''}. Nothing was sent, and no credential lent
      for it.
    </p>`
}

function cameOf({ own, event }: ParsedLine, now: number): Html {
  const lease = objectOf(own['lease'])
  const took = own['duration_ms']
  const expires = lease['expires']
  return html`<h2>What came of it</h2>
    <dl>
      ${fact('ended', textOf(own['ended']))}${fact('status', number(own['status']))}${fact('when', moment(textOf(event.timestamp), now))}${fact('took', typeof took === 'number' ? `${took.toFixed(1)} ms` : '')}${fact('bytes out', number(own['bytes_out']))}${fact('bytes in', number(own['bytes_in']))}${fact('dialled', textOf(own['dialled']))}${fact('proven to be there', textOf(own['downstream_proven']))}
      ${fact('lease', mono(textOf(lease['id'])))}${fact('of', textOf(lease['provider']))}${fact('scopes', list(textsOf(lease['scopes'])))}${fact('until', typeof expires === 'number' && Math.abs(expires) < 8.64e15 ? timeOf(expires, now) : '')}${fact('is taken back', textOf(lease['revocation']))}${fact('standing', lease['standing'] === true ? 'yes: it outlives every task' : '')}${fact('digest', mono(textOf(lease['digest'])))}
    </dl>`
}

function eventsOf(events: readonly ParsedLine[]): Html | null {
  if (events.length === 0) return null
  return html`<h2>Meanwhile</h2>
    <ul class="list">
      ${events.map(
        ({ own, event }) =>
          html`<li class="item">
            <div>${visible(textOf(own['event']))}</div>
            <div>${visible(textOf(own['by']))}</div>
            <small>${textOf(event.timestamp).slice(11, 23)}</small>
          </li>`,
      )}
    </ul>`
}

/** What the ledger does not hold of the input. */
function hiddenOf({ event, own }: ParsedLine): Html | null {
  const { erased, masked } = event as { readonly erased?: unknown; readonly masked?: unknown }
  const parts: Piece[] = []
  if (own['masking'] === 'failed') parts.push(html`<p>It could not be masked, so it was not written.</p>`)
  if (textsOf(erased).length > 0) parts.push(html`<p>Left out: <span class="mono">${visible(textsOf(erased).join(', '))}</span></p>`)
  if (textsOf(masked).length > 0) parts.push(html`<p>Masked: <span class="mono">${visible(textsOf(masked).join(', '))}</span></p>`)
  return parts.length === 0 ? null : html`<div class="note">${parts}</div>`
}

function document(title: string, value: unknown): Html | null {
  if (value === undefined) return null
  const text = JSON.stringify(value, null, 2)
  const shown = text.length > mostInput ? `${text.slice(0, mostInput)}\n… ${text.length - mostInput} characters more in the ledger` : text
  return html`<details>
    <summary>${title}</summary>
    <pre tabindex="0">${visible(shown, true)}</pre>
  </details>`
}

function fact(label: string, value: Piece): Html | null {
  if (value === '' || value === null || (Array.isArray(value) && value.length === 0)) return null
  return html`<dt>${label}</dt>
    <dd>${typeof value === 'string' ? visible(value) : value}</dd>`
}

function list(values: readonly string[]): Piece {
  if (values.length <= 1) return values[0] ?? ''
  return html`<ul>
    ${values.map((value) => html`<li>${visible(value)}</li>`)}
  </ul>`
}

function mono(text: string): Piece {
  return text === '' ? null : html`<span class="mono">${visible(text)}</span>`
}

function link(id: string, place: 'tasks' | 'approvals', kind: 't' | 'a'): Piece {
  if (!new RegExp(`^${kind}_[0-9A-HJKMNP-TV-Z]{26}$`).test(id)) return id
  return html`<a class="mono" href="/${place}/${id}">${id}</a>`
}

function moment(text: string, now: number): Piece {
  const time = Date.parse(text)
  return Number.isNaN(time) ? text : timeOf(time, now)
}

function number(value: unknown): string {
  return typeof value === 'number' ? String(value) : ''
}

function detailOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
