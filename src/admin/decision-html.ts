/** Decisions as HTML: the newest that fit, and the form that says which. */
import { visible } from '../approve/visible.ts'
import { decisions, objectOf, textOf, textsOf } from '../evidence/facts.ts'
import { queryOf, type FilterName, type FilterWords } from '../evidence/filter.ts'
import type { Entry, Found } from '../evidence/newest.ts'
import type { Answer } from './answer.ts'
import { html, type Html, type Piece } from './html.ts'
import { badge, noted, pageOf, shortName, type Shell } from './page-shell.ts'

export interface DecisionList {
  /** As they were typed. */
  readonly words: FilterWords
  readonly fault: { readonly name: FilterName; readonly why: string } | null
  readonly found: Found<Entry>
  readonly live: boolean
  /** Where this page begins; null: with the newest. */
  readonly before: number | null
  /** Epoch ms. */
  readonly now: number
}

/** Seconds between two looks of a page that is live. */
const every = 5

export function decisionsPage(list: DecisionList, shell: Shell): Answer {
  const { words, fault, live, found } = list
  const note = fault === null ? null : `${fault.name}: ${fault.why}`
  const body = html`<div class="title">
      <h1>Decisions</h1>
      <p class="screen">${liveLink(list)}</p>
    </div>
    ${noted(note)} ${filterForm(list)} ${fault === null ? table(list) : null} ${pager(list)}
    <p class="soft screen">
      On a command line:
      <code>${`countersign logs${commandWords(words)}`}</code> ${found.newest === null ? null : html`The ledger has ${found.newest} lines.`}
    </p>`
  const headers = live ? { refresh: String(every) } : {}
  return pageOf({ status: fault === null ? 200 : 400, title: 'Decisions', body, shell, section: 'decisions', headers })
}

/** A decision in a word, in its colour. */
export function decisionBadge(word: string | null): Html | null {
  if (word === null) return null
  return badge(word, word === 'allow' ? 'approved' : word === 'deny' ? 'high' : 'pending')
}

function linkTo(words: FilterWords, more: Readonly<Record<string, string>> = {}): string {
  const query = [queryOf(words), String(new URLSearchParams(more))].filter((text) => text !== '').join('&')
  return query === '' ? '/decisions' : `/decisions?${query}`
}

function liveLink({ words, live, before }: DecisionList): Html | null {
  if (before !== null) return null
  return live
    ? html`<span class="soft">looks again every ${every} seconds</span> <a class="button" href="${linkTo(words)}">Stop</a>`
    : html`<a class="button" href="${linkTo(words, { live: '1' })}">Live</a>`
}

function filterForm({ words, fault, live }: DecisionList): Html {
  const chosen = new Set((words.decision ?? '').split(','))
  const field = (name: FilterName, label: string, hint: string): Html =>
    html`<div>
      <label for="f-${name}">${label}</label>
      <input
        type="text"
        id="f-${name}"
        name="${name}"
        value="${words[name] ?? ''}"
        placeholder="${hint}"
        maxlength="2048"
        autocomplete="off"
        ${fault?.name === name ? html`aria-invalid="true"` : null}
      />
    </div>`
  const boxes = decisions.map(
    (word) =>
      html`<label class="check"
        ><input type="checkbox" name="decision" value="${word}" ${chosen.has(word) ? html`checked` : null} /> ${word}</label
      >`,
  )
  const asked = Object.keys(words).length > 0
  return html`<details class="screen" ${asked ? html`open` : null}>
    <summary>Filter</summary>
    <form class="card" method="get" action="/decisions">
      <fieldset class="choices">
        <legend>Decision</legend>
        ${boxes}
      </fieldset>
      <div class="fields">
        ${field('agent', 'Agent', 'refund-agent')}${field('task', 'Task', 't_…')}${field('tool', 'Tool', 'payments.*')}${field('route', 'Route', 'crm')}${field('rule', 'Rule', 'data.*')}${field('code', 'Code', 'decide.denied')}${field('kind', 'Kind', 'refusal, lease.*')}${field('since', 'Since', '10m')}${field('until', 'Until', '2026-11-22T10:00Z')}
      </div>
      <p class="soft">Several words with commas; a * at the end stands for the rest. Times are UTC, or a span back from now.</p>
      <label class="check"
        ><input type="checkbox" name="not" value="true" ${words.not === 'true' ? html`checked` : null} /> show what does not fit
        instead</label
      >
      ${live ? html`<input type="hidden" name="live" value="1" />` : null}
      <div class="row"><button class="go">Show</button><a class="button" href="/decisions">Clear</a></div>
    </form>
  </details>`
}

function table({ found: { found }, words, now }: DecisionList): Html {
  if (found.length === 0)
    return html`<p class="empty">${Object.keys(words).length > 0 ? 'Nothing here fits.' : 'Nothing was decided yet.'}</p>`
  return html`<table class="rows">
    <caption class="hide">
      What was decided, the newest first
    </caption>
    <thead>
      <tr>
        <th scope="col">When</th>
        <th scope="col">Decision</th>
        <th scope="col">Agent</th>
        <th scope="col">What</th>
        <th scope="col">Why</th>
        <th scope="col">Came of it</th>
      </tr>
    </thead>
    <tbody>
      ${found.map((entry) => row(entry, words, now))}
    </tbody>
  </table>`
}

function row({ first, outcome, facts }: Entry, words: FilterWords, now: number): Html {
  const { own, event } = first
  const time = textOf(event.timestamp)
  const day = time.slice(0, 10)
  const shown = html`<time datetime="${time}">${new Date(now).toISOString().startsWith(day) ? null : `${day} `}${time.slice(11, 23)}</time>`
  const kind = textOf(own['kind'])
  const call = kind === 'decision' || kind === 'refusal' || kind === 'outcome'
  const query = queryOf(words)
  const agent = textOf(own['caller']) || textOf(own['by'])
  return html`<tr>
    <td>${call && isCall(first.id) ? html`<a href="/decisions/${first.id}${query === '' ? '' : `?${query}`}">${shown}</a>` : shown}</td>
    <td>${decisionBadge(facts.decision)}</td>
    <td>
      ${agent === '' ? '–' : visible(shortName(agent))}
      ${isTask(facts.task) ? html`<small><a href="/tasks/${facts.task}" class="mono">${facts.task.slice(0, 6)}…${facts.task.slice(-4)}</a></small>` : null}
    </td>
    <td>${call ? whatOf(first.own, event.input, facts.tool) : visible(textOf(own['event']) || kind)}</td>
    <td>${whyOf(own, facts.code, facts.rules)}</td>
    <td>${call ? cameOf(own, outcome?.own ?? null, kind) : null}</td>
  </tr>`
}

function whatOf(own: Readonly<Record<string, unknown>>, input: unknown, tool: string): Piece {
  const request = objectOf(objectOf(input)['request'])
  const [where, to, resource] = [tool || textOf(request['path']), textOf(own['downstream']), textOf(own['resource'])]
  return html`${visible(brief(textOf(request['method'])))}
    <strong>${visible(brief(where))}</strong>${resource === '' ? null : html` ${visible(brief(resource))}`}${
      to === '' ? null : html`<small>→ ${visible(brief(to))}</small>`
    }`
}

function whyOf(own: Readonly<Record<string, unknown>>, code: string, rules: readonly string[]): Piece {
  const asked = textOf(objectOf(own['asked'])['approval']) || textOf(own['approval']) || textOf(objectOf(own['detail'])['approval'])
  const names = textsOf(own['approved_by']).map((name) => name.replace(/^person:/, ''))
  const parts: Piece[] = []
  if (rules.length > 0 || code !== '')
    parts.push(html`<div class="mono">${visible(brief(rules.length > 0 ? rules.join(', ') : code))}</div>`)
  if (names.length > 0) parts.push(html`<div>approved by ${visible(brief(names.join(', ')))}</div>`)
  if (isApproval(asked)) parts.push(html`<small><a href="/approvals/${asked}">what was asked</a></small>`)
  const controls = textsOf(own['controls']).filter((control) => /^(ASI|NHI)\d/.test(control))
  if (controls.length > 0) parts.push(html`<small>${visible(controls.join(' '))}</small>`)
  return parts
}

function cameOf(own: Readonly<Record<string, unknown>>, outcome: Readonly<Record<string, unknown>> | null, kind: string): Piece {
  if (kind === 'refusal') return html`<span class="soft">refused ${typeof own['refused'] === 'number' ? own['refused'] : null}</span>`
  const end = kind === 'outcome' ? own : outcome
  if (end === null) return html`<span class="soft">no end seen</span>`
  const [ended, took, provider] = [textOf(end['ended']), end['duration_ms'], textOf(objectOf(end['lease'])['provider'])]
  return html`${typeof end['status'] === 'number' ? end['status'] : '–'} ${ended === 'complete' ? null : visible(ended)}
    <small
      >${typeof took === 'number' ? `${took.toFixed(1)} ms` : null}${provider === '' ? null : `, lease of ${visible(provider)}`}</small
    >`
}

function pager({ words, found, before }: DecisionList): Html {
  const newest = before === null ? null : html`<a class="button" href="${linkTo(words)}">Newest</a>`
  const older =
    found.before === null ? null : html`<a class="button" rel="next" href="${linkTo(words, { before: String(found.before) })}">Older</a>`
  const reached =
    found.before !== null && found.found.length < 50
      ? html`<p class="note">Looked back to line ${found.reached}: “Older” looks further.</p>`
      : null
  return html`${reached}
    <nav class="row screen" aria-label="Pages">${newest}${older}</nav>`
}

/** The options that ask the same on a command line. */
function commandWords(words: FilterWords): string {
  return Object.entries(words)
    .map(([name, value]) => (name === 'not' ? ' --not' : ` --${name} '${visible(value.replaceAll("'", `'\\''`))}'`))
    .join('')
}

function brief(text: string): string {
  return text.length > 120 ? `${text.slice(0, 119)}…` : text
}

const ulid = '[0-9A-HJKMNP-TV-Z]{26}'
const isCall = (id: string): boolean => new RegExp(`^c_${ulid}$`).test(id)
const isTask = (id: string): boolean => new RegExp(`^t_${ulid}$`).test(id)
const isApproval = (id: string): boolean => new RegExp(`^a_${ulid}$`).test(id)
