/** Approvals as HTML: what waits, and one in full, with what whoever answers must see first standing first. */
import { isParty } from '../approve/chain.ts'
import { visible } from '../approve/visible.ts'
import type { ApprovalRow } from '../state/approvals.ts'
import type { Answer } from './answer.ts'
import { askedFacts, isBroken, standingFacts, type Fact } from './approval-facts.ts'
import { html, type Html, type Piece } from './html.ts'
import type { SignedIn } from './noun.ts'
import { badge, briefTime, hidden, noted, pageOf, reasonField, shortName, timeOf, type Shell } from './page-shell.ts'
import { isNamed } from './person.ts'
import { allows } from './roles.ts'

/** What waits for an answer, and what was answered last. `now` is epoch ms. */
export function listPage(rows: readonly ApprovalRow[], shell: Shell, now: number): Answer {
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
    <p class="screen"><a href="/tasks/${row.task}">The task it belongs to</a></p>`
  return pageOf({
    status: typed?.status ?? 200,
    title: visible(`${row.state}: ${row.shown.title}`),
    body: broken ? html`<div class="broken">${body}</div>` : body,
    shell,
    section: 'approvals',
  })
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
        html`<dt>${fact.label === 'purpose' ? 'purpose, as the agent says' : fact.label}</dt>
          <dd>${valuesOf(fact)}</dd>`,
    )}
  </dl>`
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

/** The forms, or why there are none for whoever looks. */
function answering(row: ApprovalRow, reader: Reader, typed: Typed | null): Piece {
  const { shell, mayBreak } = reader
  if (!allows(shell.roles, 'approvals.approve'))
    return html`<p class="note screen">You may read this. Answering takes the role approver.</p>`
  const back = row.state === 'pending' || row.state === 'approved' ? withdrawing(row, shell) : null
  if (row.state !== 'pending') return back
  const why = notYours(row, reader)
  const glass = mayBreak && !isChain(row, reader) ? breaking(row, shell) : null
  return [why === null ? answerForm(row, shell, typed) : html`<p class="note screen">${why}</p>`, glass, back]
}

function isChain({ excluded }: ApprovalRow, { who }: Reader): boolean {
  return isParty(excluded, [`person:${who.name ?? ''}`, ...(who.aliases ?? [])])
}

/** Why somebody need not try; what counts is looked at again when they answer. */
function notYours(row: ApprovalRow, reader: Reader): string | null {
  const { who } = reader
  if (isChain(row, reader)) return 'This is asked for you, or by a task of yours: somebody else answers it.'
  if (row.answers.some(({ by }) => by === `person:${who.name ?? ''}`)) return 'You have answered. It waits for another person.'
  if (row.approvers.length === 0 || isNamed(who, row.approvers)) return null
  return `This is for others to answer: ${visible(row.approvers.join(', '))}.`
}

function answerForm(row: ApprovalRow, shell: Shell, typed: Typed | null): Html {
  const before = (name: string): string => typed?.form.get(name) ?? ''
  const wider = html`<details${before('tools') === '' ? null : html` open`}>
    <summary>Approve more than this one call</summary>
    <label for="tools">Tools <small>with commas between, the one that is asked for among them</small></label>
    <input type="text" id="tools" name="tools" maxlength="2000" placeholder="${visible(row.tool)}" value="${before('tools')}" />
    <div class="pair">
      <div><label for="calls">Calls</label><input type="text" id="calls" name="calls" inputmode="numeric" maxlength="5" value="${before('calls')}" /></div>
      <div><label for="for">For <small>such as 10m</small></label><input type="text" id="for" name="for" maxlength="8" value="${before('for')}" /></div>
    </div>
  </details>`
  const quorum = row.quorum === 1 ? null : html` ${row.quorum} different people must say yes.`
  return html`<form class="card" method="post" action="/approvals/${row.id}">
    <h2>Your answer</h2>
    <p>Approving is for exactly what this page shows, once.${quorum} Policy judges it again, as it is then.</p>
    ${hidden(shell)}${reasonField('reason', before('reason'))}${row.single ? null : wider}
    <div class="row">
      <button class="go" name="verb" value="approve">Approve</button><button class="no" name="verb" value="decline">Decline</button>
    </div>
  </form>`
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
