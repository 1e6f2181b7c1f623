/** The page as HTML: no scripts, no pictures, nothing from elsewhere. */
import { hash } from 'node:crypto'
import type { ApprovalRow } from '../state/approvals.ts'
import type { Answer } from './answer.ts'
import { factsOf, isBroken, type Fact } from './approval-facts.ts'
import { html, Html, type Piece } from './html.ts'
import { visible } from '../approve/visible.ts'

const style = `
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}body{max-width:60rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid #8884;overflow-wrap:anywhere}
pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:0;font:14px/1.4 ui-monospace,monospace}ul{margin:0;padding-left:1.2rem}
form{margin:1rem 0;padding:1rem;border:1px solid #8888}.broken{border:4px double #c00;padding:1rem}.broken h1{color:#c00}
label{display:block;margin:.4rem 0}input[type=text]{width:100%;font:inherit;box-sizing:border-box}button{font:inherit;padding:.4rem 1rem;margin-right:1rem}
nav{display:flex;gap:1rem;align-items:center;justify-content:space-between}.note{border-left:4px solid #c80;padding:.2rem 1rem}
`
const styleDigest = hash('sha256', style, 'base64')
/** In one piece, for its digest is over exactly these characters. */
const styled = new Html(`<style>${style}</style>`)

/** Nothing is loaded, framed or sent elsewhere. The style is the one thing that is allowed, by its digest. */
const policy = `default-src 'none'; style-src 'sha256-${styleDigest}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'`

const headers = {
  'content-security-policy': policy,
  'x-frame-options': 'DENY',
  // not no-referrer: that would make browsers send `Origin: null` with our own forms
  'referrer-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
} as const

export interface Shell {
  /** Who is signed in; null for nobody. */
  readonly name: string | null
  /** Of the session. */
  readonly csrf: string
}

/** A whole page as an answer. */
export function pageOf(
  status: number,
  title: string,
  body: Piece,
  shell: Shell | null,
  more: Readonly<Record<string, string | string[]>> = {},
): Answer {
  const text = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <title>${title} · Countersign</title>
        ${styled}
      </head>
      <body>
        ${shell === null ? null : bar(shell)}${body}
      </body>
    </html> `.toString()
  return { status, text, type: 'text/html; charset=utf-8', headers: { ...headers, ...more } }
}

/** Goes on to a path of ours from a page of ours: only then do browsers send cookies that are `SameSite=Strict`. */
export function onward(path: string, more: Readonly<Record<string, string | string[]>> = {}): Answer {
  const to = new Html(`<meta http-equiv="refresh" content="0; url=${html`${path}`.toString()}">`)
  return pageOf(
    200,
    'One moment',
    html`${to}
      <p><a href="${path}">Go on</a></p>`,
    null,
    more,
  )
}

/** What is said to somebody who is not signed in. */
export function signInPage(path: string, note: string | null, status = 200): Answer {
  const way = html`<p><a href="/sign-in?to=${encodeURIComponent(path)}">Sign in</a> to see what is asked.</p>`
  return pageOf(
    status,
    'Sign in',
    html`<h1>Countersign</h1>
      ${noted(note)}${way}`,
    null,
  )
}

/** What waits for an answer, and what was answered last. */
export function listPage(rows: readonly ApprovalRow[], shell: Shell): Answer {
  const pending = rows.filter(({ state }) => state === 'pending')
  const others = rows.filter(({ state }) => state !== 'pending').slice(0, 50)
  const table = (some: readonly ApprovalRow[]): Html =>
    html`<table>
      <tr>
        <th>asked</th>
        <th>agent</th>
        <th>risk</th>
        <th>state</th>
        <th>until</th>
      </tr>
      ${some.map((row) => entry(row))}
    </table>`
  return pageOf(
    200,
    'Approvals',
    html`<h1>Approvals</h1>
      ${pending.length === 0 ? html`<p>Nothing is asked.</p>` : table(pending)}${
        others.length === 0
          ? null
          : html`<h2>Answered or over</h2>
              ${table(others)}`
      }`,
    shell,
  )
}

/** One approval in full, with the forms for what can be done about it. */
export function approvalPage(row: ApprovalRow, shell: Shell, mayBreak: boolean, note: string | null, status = 200): Answer {
  const facts = html`<table>
    ${factsOf(row).map(
      (fact) =>
        html`<tr>
          <th>${fact.label}</th>
          <td>${valuesOf(fact)}</td>
        </tr>`,
    )}
  </table>`
  const broken = isBroken(row)
  const head = broken ? html`<h1>BREAK-GLASS: ${visible(row.shown.title)}</h1>` : html`<h1>${visible(row.shown.title)}</h1>`
  const forms = [
    row.state === 'pending' ? answerForms(row, shell, mayBreak) : null,
    row.state === 'pending' || row.state === 'approved'
      ? form(row, shell, 'withdraw', 'Withdraw', 'Take it back: what it allowed ends now.')
      : null,
  ]
  const body = html`${head}
    <p>${row.id}: <strong>${row.state}</strong></p>
    ${noted(note)}${facts}${forms}`
  return pageOf(status, 'Approval', broken ? html`<div class="broken">${body}</div>` : body, shell)
}

export function faultPage(status: number, note: string): Answer {
  return pageOf(
    status,
    'Not possible',
    html`<h1>Not possible</h1>
      ${noted(note)}
      <p><a href="/">Approvals</a></p>`,
    null,
  )
}

function bar({ name, csrf }: Shell): Html {
  const out = html`<form method="post" action="/sign-out">
    <input type="hidden" name="csrf" value="${csrf}" /><button>Sign out ${name}</button>
  </form>`
  return html`<nav><a href="/">Approvals</a>${out}</nav>`
}

function noted(note: string | null): Html | null {
  return note === null ? null : html`<p class="note" role="alert">${visible(note)}</p>`
}

function entry(row: ApprovalRow): Html {
  const title = html`<a href="/approvals/${row.id}">${visible(row.shown.title)}</a>`
  const mark = isBroken(row) ? html`<strong>BREAK-GLASS</strong> ` : null
  return html`<tr>
    <td>${mark}${title}</td>
    <td>${visible(row.shown.agent)}</td>
    <td>${visible(row.shown.risk)}</td>
    <td>${row.state}</td>
    <td>${new Date(row.expires).toISOString()}</td>
  </tr>`
}

function valuesOf({ form: shape, values }: Fact): Piece {
  if (shape === 'block') return html`<pre>${values.join('\n')}</pre>`
  return shape === 'line'
    ? values.join('')
    : html`<ul>
        ${values.map((value) => html`<li>${value}</li>`)}
      </ul>`
}

function answerForms(row: ApprovalRow, shell: Shell, mayBreak: boolean): Piece {
  const wider = html`<details>
    <summary>Approve more than this one call</summary>
    <label>Tools, with commas between <input type="text" name="tools" maxlength="2000" placeholder="${row.tool}" /></label>
    <label>Calls <input type="text" name="calls" inputmode="numeric" maxlength="5" /></label>
    <label>For, such as 10m <input type="text" name="for" maxlength="8" /></label>
  </details>`
  return [
    form(row, shell, 'approve', 'Approve', 'Approve exactly what stands above.', row.single ? null : wider),
    form(row, shell, 'decline', 'Decline', 'Decline it.'),
    mayBreak
      ? html`<details class="broken">
          <summary>Break the glass</summary>
          ${form(row, shell, 'break-glass', 'BREAK THE GLASS', 'Approve without those who are asked. Everybody is told, and it stands in the ledger.')}
        </details>`
      : null,
  ]
}

function form(row: ApprovalRow, { csrf }: Shell, verb: string, word: string, what: string, more: Piece = null): Html {
  return html`<form method="post" action="/approvals/${row.id}">
    <p>${what}</p>
    <input type="hidden" name="csrf" value="${csrf}" /><input type="hidden" name="verb" value="${verb}" />
    <label>Reason <input type="text" name="reason" required maxlength="500" autocomplete="off" /></label>${more}<button>${word}</button>
  </form>`
}
