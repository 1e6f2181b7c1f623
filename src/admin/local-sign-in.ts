/** Signing in without an issuer: by a link that `countersign page` had made, or with the local key. */
import type { IncomingMessage } from 'node:http'
import { visible } from '../approve/visible.ts'
import { readText, problem, type Answer } from './answer.ts'
import { html } from './html.ts'
import { linkTime } from './links.ts'
import { wordsOf, type Noun } from './noun.ts'
import { noted, onward, pageOf } from './page-shell.ts'
import { SignInFault } from './person.ts'
import type { Guest } from './sessions.ts'
import { codeForm } from './sign-in-html.ts'
import type { Browsers } from './sign-in.ts'

const mostForm = 4096
const stale = 'this link was used, or is over: countersign page makes another'
/** What a person can be called: one line without what could be taken for another name. */
const nameable = /^[^\p{C}\p{Z}]{1,128}$/u

/** Where a browser goes on after it has proven itself. */
export type Begin = (guest: Guest) => Promise<Answer>

export interface LinkOptions extends Pick<Browsers, 'links'> {
  /** Whether there is a page. */
  readonly open: () => boolean
  /** Null: no browser would find it. */
  readonly origin: () => string | null
}

/** `/v1/page`: a link that signs a browser in, once, as whoever asks. */
export function linkNoun({ links, open, origin }: LinkOptions): Noun {
  return async ({ method, path, who, body }) => {
    if (method !== 'POST' || path.length > 0) return null
    if (who.session === true) return problem(409, 'you are signed in: a session makes no other')
    if (who.method === 'oidc') return problem(409, 'sign in on the page: your issuer proves who you are there')
    const words = wordsOf({ who }, { reason: 'page', ...(await body()) })
    if (words === null || !nameable.test(words.by)) return problem(400, 'the body must be {"by": …}: who you are, without spaces')
    const at = origin()
    if (!open()) return problem(409, 'there is no page: approve.channels has none of type page')
    if (at === null) return problem(409, 'no browser finds a unix socket: put a server before it and name it in admin.public_url')
    const { code, expires } = links.make({ who, name: words.by })
    const url = `${at}/sign-in/local?code=${code}`
    return { status: 201, json: { url, as: words.by, expires: new Date(expires).toISOString(), seconds: linkTime / 1000 } }
  }
}

/** A link was opened: a button signs in, so that what looks at links ahead of people uses none up. */
export function linkPage(url: URL, { links }: Browsers): Answer {
  const code = url.searchParams.get('code') ?? ''
  const guest = links.look(code)
  if (guest === null) throw new SignInFault(403, stale)
  const how = guest.who.method === 'local-key' ? 'with the local key, which proves no name' : 'with your key pair'
  const body = html`<div class="gate">
    <h1>Sign in as ${visible(guest.name)}</h1>
    <p class="soft">This link was made ${how}. What you do here stands in the ledger under this name.</p>
    <form method="post" action="/sign-in/local">
      <input type="hidden" name="code" value="${code}" />
      <div class="row"><button class="go">Sign in as ${visible(guest.name)}</button></div>
    </form>
  </div>`
  return pageOf({ title: 'Sign in', body, shell: null })
}

/** A code, or the local key and a name, from a form of ours. Throws SignInFault. */
export async function enter(request: IncomingMessage, browsers: Browsers, begin: Begin): Promise<Answer> {
  const { headers } = request
  const origin = browsers.originOf(request)
  if (origin === null && !browsers.isNear(request)) throw new SignInFault(403, 'the page has another name')
  if (headers.origin !== (origin ?? `http://${headers.host}`)) throw new SignInFault(403, 'the request comes from another page')
  if (!/^application\/x-www-form-urlencoded(;|$)/i.test(headers['content-type'] ?? '')) throw new SignInFault(403, 'this is no form')
  const form = new URLSearchParams(await readText(request, mostForm))
  const code = (form.get('code') ?? '').trim()
  // codes are single and 256 bits: they are looked at whatever others have tried
  const link = browsers.links.look(code)
  if (link !== null && origin !== null) return begin(browsers.links.take(code) ?? link)
  if (link !== null) return across(code, request, browsers)
  if (form.has('by')) return byKey(code, (form.get('by') ?? '').trim(), { request, browsers, begin })
  throw new SignInFault(403, stale)
}

interface Gate {
  readonly request: IncomingMessage
  readonly browsers: Browsers
  readonly begin: Begin
}

async function byKey(key: string, by: string, { request, browsers, begin }: Gate): Promise<Answer> {
  const wait = browsers.tries.wait()
  if (wait > 0) return again(429, `too many wrong keys: wait ${wait} s, or use a link of countersign page`, { 'retry-after': String(wait) })
  if (!nameable.test(by)) return again(400, 'say who you are, in one word: it stands in the ledger')
  if (!browsers.isKey(key)) {
    browsers.tries.wrong()
    return again(403, 'this is neither the local key (admin.key) nor a code that is good')
  }
  const guest: Guest = { who: { method: 'local-key', name: null, groups: [] }, name: by }
  if (browsers.originOf(request) !== null) return begin(guest)
  return across(browsers.links.make(guest).code, request, browsers)
}

/** To the name of the page itself: only who has proven themselves is told it. */
function across(code: string, request: IncomingMessage, { originAt }: Browsers): Answer {
  const port = Number(/:(\d+)$/.exec(request.headers.host ?? '')?.[1] ?? 80)
  return onward(`${originAt(port) ?? ''}/sign-in/local?code=${code}`)
}

function again(status: number, note: string, headers: Readonly<Record<string, string>> = {}): Answer {
  const body = html`<div class="gate">
    <h1>Sign in</h1>
    ${noted(note)}${codeForm()}
  </div>`
  return pageOf({ status, title: 'Sign in', body, shell: null, headers })
}
