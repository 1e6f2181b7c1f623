/** What every page has around it, as HTML: no scripts, no pictures, nothing from elsewhere. */
import { hash } from 'node:crypto'
import { visible } from '../approve/visible.ts'
import type { Answer } from './answer.ts'
import { html, Html, type Piece } from './html.ts'
import { style } from './page-style.ts'
import type { Role } from './roles.ts'

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

/** Parts of the page that people go to. */
export const sections = {
  approvals: ['Approvals', '/'],
  decisions: ['Decisions', '/decisions'],
  tasks: ['Tasks', '/tasks'],
  agents: ['Agents', '/agents'],
  policy: ['Policy', '/policy'],
  standing: ['Standing secrets', '/standing'],
  frameworks: ['Frameworks', '/frameworks'],
  kills: ['Kills', '/kills'],
} as const
export type Section = keyof typeof sections

export interface Shell {
  /** Who is signed in. */
  readonly name: string
  readonly roles: readonly Role[]
  /** Of the session. */
  readonly csrf: string
  /** What was done last, to be told once. */
  readonly told: Told | null
}

/** What was done last; `odd`: it may not be what was meant. */
export interface Told {
  readonly what: string
  readonly odd: boolean
}

/** What stands on a page besides its shell. */
export interface Sheet {
  readonly status?: number
  readonly title: string
  readonly body: Piece
  /** Null for nobody. */
  readonly shell: Shell | null
  readonly section?: Section
  readonly headers?: Readonly<Record<string, string | string[]>>
}

/** A whole page as an answer. */
export function pageOf({ status = 200, title, body, shell, section, headers: more }: Sheet): Answer {
  const text = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} · Countersign</title>
        ${styled}
      </head>
      <body>
        <a class="skip" href="#main">Skip to the content</a>
        ${shell === null ? null : bar(shell, section)}
        <main id="main" tabindex="-1">
          ${shell?.told == null ? null : html`<p class="note ${shell.told.odd ? 'odd' : 'good'}" role="status">${visible(shell.told.what)}</p>`}${body}
        </main>
      </body>
    </html> `.toString()
  return { status, text, type: 'text/html; charset=utf-8', headers: { ...headers, ...more } }
}

/** Goes on to a path of ours from a page of ours: only then do browsers send cookies that are `SameSite=Strict`. */
export function onward(path: string, more: Readonly<Record<string, string | string[]>> = {}): Answer {
  const to = new Html(`<meta http-equiv="refresh" content="0; url=${html`${path}`.toString()}">`)
  const body = html`${to}
    <p><a href="${path}">Go on</a></p>`
  return pageOf({ title: 'One moment', body, shell: null, headers: more })
}

/** Why something was not done, and where to go from there. */
export function faultPage(status: number, note: string, shell: Shell | null): Answer {
  const back = html`<p>
    <a href="/">Approvals</a> · <a href="/tasks">Tasks</a> · <a href="/agents">Agents</a> · <a href="/kills">Kills</a>
  </p>`
  const body = html`<h1>Not possible</h1>
    ${noted(note)}${back}`
  return pageOf({ status, title: 'Not possible', body, shell })
}

/** A note that is read out at once; nothing for null. */
export function noted(note: string | null): Html | null {
  return note === null ? null : html`<p class="note bad" role="alert">${visible(note)}</p>`
}

/** A badge whose look follows its word. The class is one of a closed list: words come from agents, too. */
export function badge(word: string, look: string = word): Html {
  return html`<span class="badge ${looks.includes(look) ? look : 'plain'}">${visible(word)}</span>`
}

const looks = ['low', 'medium', 'high', 'critical', 'pending', 'approved', 'active', 'paused', 'stop']

/** The members of a form that say which session it is of and what it is for. */
export function hidden({ csrf }: Shell, members: Readonly<Record<string, string>> = {}): Html {
  const more = Object.entries(members).map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}" />`)
  return html`<input type="hidden" name="csrf" value="${csrf}" />${more}`
}

/** Why somebody does this: several lines are taken as one. `text`: what was typed before. */
export function reasonField(id: string, text = ''): Html {
  return html`<label for="${id}">Reason <small>(stands in the ledger)</small></label>
    <textarea id="${id}" name="reason" rows="2" required maxlength="500" autocomplete="off">${text}</textarea>`
}

/** A time in a list: how far off, and the hour, or the day when that is another. */
export function briefTime(ms: number, now: number): Html {
  const [iso, today] = [new Date(ms).toISOString(), new Date(now).toISOString().slice(0, 10)]
  const when = iso.startsWith(today) ? `${iso.slice(11, 16)} UTC` : iso.slice(0, 10)
  return html`${spanOf(ms - now)}, <time datetime="${iso}">${when}</time>`
}

/** A time as people read it, and how far off it is. */
export function timeOf(ms: number, now: number): Html {
  const iso = new Date(ms).toISOString()
  return html`<time datetime="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC</time> (${spanOf(ms - now)})`
}

/** A distance in time, in its largest unit. */
export function spanOf(ms: number): string {
  const seconds = Math.round(Math.abs(ms) / 1000)
  const [amount, unit] =
    seconds < 90
      ? [seconds, 's']
      : seconds < 5400
        ? [Math.round(seconds / 60), 'min']
        : seconds < 172_800
          ? [Math.round(seconds / 3600), 'h']
          : [Math.round(seconds / 86_400), 'days']
  return ms < 0 ? `${amount} ${unit} ago` : `in ${amount} ${unit}`
}

/** The end of a SPIFFE ID, by which people know a workload. */
export function shortName(id: string): string {
  const last = id.slice(id.lastIndexOf('/') + 1)
  return last === '*' ? id.split('/').slice(-2).join('/') : last || id
}

function bar({ name, roles, csrf }: Shell, section: Section | undefined): Html {
  // no scripts: the keys of the browser (Alt+1, Alt+Shift+1 …) lead from part to part
  const link = ([key, [word, path]]: [string, readonly [string, string]], at: number): Html =>
    html`<a href="${path}" accesskey="${at + 1}" ${key === section ? html`aria-current="page"` : null}>${word}</a>`
  return html`<header>
    <strong>Countersign</strong>
    <nav aria-label="Sections">${Object.entries(sections).map(link)}</nav>
    <form method="post" action="/sign-out">
      <input type="hidden" name="csrf" value="${csrf}" /><span class="soft">${roles.join(', ')}</span> <button>Sign out ${name}</button>
    </form>
  </header>`
}
