/** Approvals as HTML: what waits, and one in full, with what whoever answers must see first standing first. */
import { visible } from '../approve/visible.ts'
import type { ApprovalRow } from '../state/approvals.ts'
import { answering, type Lent, type Load } from './answer-html.ts'
import type { Answer } from './answer.ts'
import { askedFacts, isBroken, standingFacts, type Fact } from './approval-facts.ts'
import { html, type Html, type Piece } from './html.ts'
import type { SignedIn } from './noun.ts'
import { overviewHtml, type Overview } from './overview.ts'
import { badge, briefTime, noted, pageOf, shortName, timeOf, type Shell } from './page-shell.ts'

/** What waits for an answer, and what was answered last. `now` is epoch ms. */
export function listPage(rows: readonly ApprovalRow[], overview: Overview, shell: Shell, now: number): Answer {
  const pending = rows.filter(({ state }) => state === 'pending')
  const others = rows.filter(({ state }) => state !== 'pending').slice(0, 50)
  const entries = (some: readonly ApprovalRow[]): Html =>
    html`<ul class="list">
      ${some.map((row) => entry(row, now))}
    </ul>`
  const over =
    others.length === 0
      ? null
      : html`<h2>Answered or over</h2>
          ${entries(others)}`
  const body = html`<h1>Approvals</h1>
    ${overviewHtml(overview, pending.length, now)}
    <p class="soft">
      ${pending.length === 0 ? 'Nothing waits' : `${pending.length} ${pending.length === 1 ? 'waits' : 'wait'}`} for people, as of
      ${timeNow(now)}. <a class="screen" href="/">Look again</a>
    </p>
    ${pending.length === 0 ? html`<p class="empty">Nothing is asked. When policy wants a person to decide, it stands here.</p>` : entries(pending)}${over}`
  return pageOf({ title: pending.length === 0 ? 'Approvals' : `${pending.length} asked`, body, shell, section: 'approvals' })
}

/** What a page about one approval goes by besides the approval. */
export interface Reader {
  readonly who: SignedIn
  readonly shell: Shell
  readonly mayBreak: boolean
  /** Why whoever came in this way answers nothing; null when they may. */
  readonly barred: string | null
  /** What the call would be lent; null: nothing. */
  readonly lent: Lent | null
  /** What they answered in the last hour. */
  readonly load: Load
  /** Epoch ms. */
  readonly now: number
}

/** What was typed and not taken. */
export interface Typed {
  readonly note: string
  readonly status: number
  readonly form: URLSearchParams
}

/** One approval in full, with the forms for what can be done about it. */
export function approvalPage(row: ApprovalRow, reader: Reader, typed: Typed | null): Answer {
  const { shell, now } = reader
  const broken = isBroken(row)
  const facts = grouped(askedFacts(row.shown))
  const answer = answering(row, reader, typed)
  const body = html`<div class="head">
      ${badge(`${row.shown.risk} risk`, row.shown.risk)} ${badge(broken ? 'BREAK-GLASS' : row.state, broken ? 'stop' : row.state)}<span
        class="soft"
        >${row.state === 'pending' ? html`to be answered until ${timeOf(row.expires, now)}` : closedText(row, now)}</span
      >
    </div>
    <h1>${broken ? 'BREAK-GLASS: ' : ''}${visible(row.shown.title)}</h1>
    <p class="lead">${summaryOf(row)}</p>
    ${noted(typed?.note ?? null)}
    <div class="${answer === null ? 'whole' : 'split'}">
      <div>
        <h2>Who asks</h2>
        ${factList(facts.who.filter(({ label }) => label !== 'caller' || row.shown.caller !== row.shown.agent))}
        <h2>What is asked</h2>
        ${factList(facts.what)}
        <h2>Why a person is asked</h2>
        ${factList([...facts.why, ...standingFacts(row).filter(({ label }) => label === 'digest')])}
      </div>
      ${answer === null ? null : html`<aside aria-label="Answer">${answer}</aside>`}
    </div>
    <h2>What led here, and how it stands</h2>
    ${factList([...facts.context, ...standingFacts(row).filter(({ label }) => label !== 'digest')])}
    ${row.task === null ? null : html`<p class="screen"><a href="/tasks/${row.task}">The task it belongs to, with all that it did before</a></p>`}`
  return pageOf({
    status: typed?.status ?? 200,
    title: visible(`${row.state}: ${row.shown.title}`),
    body: broken ? html`<div class="broken">${body}</div>` : body,
    shell,
    section: 'approvals',
  })
}

/** What is asked, in a sentence that Countersign wrote: nothing of it is the agent's own words. */
function summaryOf({ shown, matter, tool }: ApprovalRow): string {
  const agent = shortName(shown.agent)
  const behalf = shown.human === null ? 'for nobody in particular' : `on behalf of ${shown.human}`
  if (matter === 'task-open') return visible(`${agent} would get a task, ${behalf}.`)
  if (matter === 'task-resume') return visible(`${agent} would go on with its task, ${behalf}.`)
  const touched = shown.data.length === 0 ? '' : `, with data that is ${shown.data.join(' and ')}`
  const target = shown.resource === null ? '' : ` on ${shown.resource}`
  return visible(`${agent} wants to ${verbOf(shown.effect)} by ${tool}${target} at ${shown.destination}, ${behalf}${touched}.`)
}

function verbOf(effect: string): string {
  return ['read', 'write', 'delete', 'execute', 'send'].includes(effect) ? effect : `do something (${effect})`
}

type Group = 'who' | 'what' | 'why' | 'context'

/** What stands where; what is not named here is of what is asked. */
const places: Readonly<Record<string, Group>> = {
  agent: 'who',
  caller: 'who',
  'on behalf of': 'who',
  purpose: 'who',
  reasons: 'why',
  chain: 'context',
  'last steps': 'context',
  'read so far': 'context',
  owners: 'context',
}

function grouped(facts: readonly Fact[]): Readonly<Record<Group, readonly Fact[]>> {
  const of = (group: Group): Fact[] => facts.filter(({ label }) => (Object.hasOwn(places, label) ? places[label] : 'what') === group)
  return { who: of('who'), what: of('what').filter(({ label }) => label !== 'asks'), why: of('why'), context: of('context') }
}

/** What says nothing is left out: not every kind of approval has every fact. */
function factList(facts: readonly Fact[]): Html {
  const told = facts.filter(({ values }) => values.some((value) => value.trim() !== ''))
  return html`<dl>
    ${told.map(
      (fact) =>
        html`<dt>${labelOf(fact)}</dt>
          <dd>${valuesOf(fact)}${bodyDigest(fact)}</dd>`,
    )}
  </dl>`
}

function labelOf({ label }: Fact): string {
  if (label === 'purpose') return 'purpose, as the agent says'
  if (label === 'risk') return 'risk, as the tool is configured'
  return label.startsWith('body ') ? 'body' : label
}

/** The digest of the body, which stands in its label: too long for one. */
function bodyDigest({ label }: Fact): Html | null {
  return label.startsWith('body ') ? html`<small class="mono">sha256 ${label.slice(5).replace('sha256:', '')}</small>` : null
}

function valuesOf({ form: shape, values }: Fact): Piece {
  if (shape === 'block') return html`<pre>${values.join('\n')}</pre>`
  if (shape === 'line') return values.join('')
  return values.length === 1
    ? (values[0] ?? '')
    : html`<ul>
        ${values.map((value) => html`<li>${value}</li>`)}
      </ul>`
}

function entry(row: ApprovalRow, now: number): Html {
  const { shown, state } = row
  const mark = isBroken(row) ? badge('BREAK-GLASS', 'stop') : badge(state)
  const until = state === 'pending' ? html`ends ${briefTime(row.expires, now)}` : html`asked ${briefTime(row.opened, now)}`
  return html`<li class="item">
    <div>
      <a href="/approvals/${row.id}">${visible(shown.title)}</a>
      <small>${visible(shortName(shown.agent))}, for ${visible(shown.human ?? 'nobody')}: ${visible(shown.purpose)}</small>
    </div>
    <div>${badge(`${shown.risk} risk`, shown.risk)} ${mark}</div>
    <small>${until}</small>
  </li>`
}

function closedText({ closed, opened }: ApprovalRow, now: number): Html {
  return closed === null ? html`asked ${timeOf(opened, now)}` : html`closed ${timeOf(closed.at, now)}`
}

function timeNow(now: number): string {
  return `${new Date(now).toISOString().slice(11, 19)} UTC`
}
