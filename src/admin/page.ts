/** The page of the admin port: sign in, and what its parts show and do. */
import type { IncomingMessage } from 'node:http'
import { ApprovalFault } from '../approve/fault.ts'
import { KillFault } from '../kill/kills.ts'
import { Refusal } from '../refusal.ts'
import { problem, readText, type Answer } from './answer.ts'
import { cookieName, readCookie, writeCookie } from './cookies.ts'
import { statusOf } from './desk.ts'
import type { SignedIn } from './noun.ts'
import type { Oidc } from './oidc.ts'
import { enter, linkPage } from './local-sign-in.ts'
import { faultPage, onward, type Shell } from './page-shell.ts'
import { SignInFault } from './person.ts'
import { noRole, type Act, type Role } from './roles.ts'
import type { Guest, Session } from './sessions.ts'
import { signInPage } from './sign-in-html.ts'
import { forged, ofSession, sessionOf, signed, type Browsers } from './sign-in.ts'
import { redirect, type Part, type Visit } from './visit.ts'

export interface PageOptions {
  readonly browsers: Browsers
  readonly rolesOf: (who: SignedIn) => readonly Role[]
  readonly refused: (who: SignedIn, act: Act) => void
  /** Resolves when it stands in the ledger that somebody came in, or went; rejects with `record.failed`. */
  readonly came: (kind: 'person.signed-in' | 'person.signed-out', guest: Guest) => Promise<void>
  /** Asked in turn. */
  readonly parts: readonly Part[]
  /** Whether the channel `page` is configured. */
  readonly open: () => boolean
}

/** Answers what a browser asks outside of `/v1/`; null: nothing is here. Never rejects. */
export type Pages = (request: IncomingMessage, url: URL) => Promise<Answer | null>

type Show = (request: IncomingMessage, url: URL, browsers: Browsers, options: PageOptions) => Promise<Answer>

const ulid = '[0-9A-HJKMNP-TV-Z]{26}'
/** Every path of the page below `/`. */
const below = [
  `approvals/a_${ulid}`,
  `tasks(/open|/t_${ulid}(/evidence)?)?`,
  `kills(/k_${ulid})?`,
  `decisions(/c_${ulid})?(\\?[!-~]{1,4096})?`,
  'agents(/[\\w.%~-]{1,900})?',
  'standing',
  'policy(/explain)?',
  'frameworks',
]
const paths = new RegExp(`^/(${below.join('|')})?$`)
/** Most bytes of a form: one that opens a task names each of its tools. */
const mostForm = 64 * 1024
/** What the browser keeps while its person is at the issuer, and for how many seconds. */
const awayCookie = 'countersign-away'
const awayTime = 600

export function makePages(options: PageOptions): Pages {
  return async (request, url) => {
    const method = request.method === 'HEAD' ? 'GET' : (request.method ?? '')
    const show = shows(method, url.pathname)
    const { browsers } = options
    if (show === null || !options.open()) return null
    try {
      return await show(request, url, browsers, options)
    } catch (error) {
      const known = sessionOf(request, browsers)
      if (known === null && error instanceof SignInFault) return gate('/', browsers, error.message, error.status)
      return failure(error, known === null ? null : shellOf(known.session, options))
    }
  }
}

function failure(error: unknown, shell: Shell | null): Answer {
  if (error instanceof SignInFault) return faultPage(error.status, error.message, shell)
  if (error instanceof ApprovalFault) return faultPage(statusOf(error), error.message, shell)
  if (error instanceof KillFault) return faultPage(error.why === 'unknown' ? 404 : 409, error.message, shell)
  if (error instanceof Refusal)
    return faultPage(error.code === 'task.unknown' ? 404 : error.status, [error.title, ...error.reasons].join(': '), shell)
  return faultPage(500, 'Countersign failed: its log says why', shell)
}

function shows(method: string, path: string): Show | null {
  if (method === 'GET' && path === '/sign-in') return begin
  if (method === 'GET' && path === '/sign-in/local') return async (_request, url, browsers) => linkPage(url, browsers)
  if (method === 'POST' && path === '/sign-in/local') return local
  if (method === 'GET' && path === '/sign-in/callback') return finish
  if (method === 'POST' && path === '/sign-out') return signOut
  // browsers ask for it whatever a page says, and count an error
  if (method === 'GET' && path === '/favicon.ico') return async () => ({ status: 200, text: '', type: 'image/x-icon' })
  if (!paths.test(path)) return null
  if (method === 'GET') return read
  return method === 'POST' && path !== '/' ? change : null
}

/** Away to the issuer. Only to paths of ours does it lead back. */
async function begin(_request: IncomingMessage, url: URL, browsers: Browsers): Promise<Answer> {
  const asked = url.searchParams.get('to') ?? '/'
  const { url: location, kept } = await oidcOf(browsers).begin(paths.test(asked) ? asked : '/')
  const cookie = writeCookie(nameOf(browsers, awayCookie), kept, { ...cookieRules(browsers), sameSite: 'Lax', age: awayTime })
  return redirect(location, { 'set-cookie': cookie })
}

/** Back from the issuer: a new session with an id of ours, whatever the browser brought along. */
async function finish(request: IncomingMessage, url: URL, browsers: Browsers, options: PageOptions): Promise<Answer> {
  const kept = readCookie(request.headers.cookie, nameOf(browsers, awayCookie))
  if (kept === null) throw new SignInFault(401, 'this browser did not begin to sign in here: begin again')
  const { person, to } = await oidcOf(browsers).finish(url.searchParams, kept)
  const session = await opened(request, { who: signed(person, 'oidc'), name: person.name }, options)
  const over = writeCookie(nameOf(browsers, awayCookie), '', { ...cookieRules(browsers), sameSite: 'Lax', age: 0 })
  return onward(to, { 'set-cookie': [over, session] })
}

/** By a link, or with the local key. */
function local(request: IncomingMessage, _url: URL, browsers: Browsers, options: PageOptions): Promise<Answer> {
  return enter(request, browsers, async (guest) => redirect('/', { 'set-cookie': await opened(request, guest, options) }))
}

/** Once it stands in the ledger; the session that the browser had ends. Gives the cookie. */
async function opened(request: IncomingMessage, guest: Guest, { browsers, came }: PageOptions): Promise<string> {
  await came('person.signed-in', guest)
  const before = readCookie(request.headers.cookie, browsers.cookie)
  if (before !== null) browsers.sessions.end(before)
  return sessionCookie(browsers, browsers.sessions.open(guest, request.headers['user-agent']))
}

function oidcOf({ oidc }: Browsers): Oidc {
  if (oidc === null) throw new SignInFault(403, 'no issuer is configured here: countersign page signs you in')
  return oidc
}

function gate(path: string, { oidc }: Browsers, note: string | null, status = 401): Answer {
  return signInPage({ path, note, status, oidc: oidc !== null })
}

async function signOut(request: IncomingMessage, _url: URL, browsers: Browsers, { came }: PageOptions): Promise<Answer> {
  const { known } = await own(request, browsers)
  browsers.sessions.end(known.id)
  await came('person.signed-out', known.session)
  const cookie = writeCookie(browsers.cookie, '', { ...cookieRules(browsers), sameSite: 'Strict', age: 0 })
  return redirect('/', { 'set-cookie': cookie, 'clear-site-data': '"cache"' })
}

async function read(request: IncomingMessage, url: URL, browsers: Browsers, options: PageOptions): Promise<Answer> {
  const arrived = arrival(request, placeOf(url))
  if (arrived !== null) return arrived
  const known = sessionOf(request, browsers)
  if (known === null) return gate(placeOf(url), browsers, null)
  const turned = browsers.sessions.turn(known.id)
  const page = await visited(visitOf(known.session, url, null, options), options)
  return turned === null ? page : { ...page, headers: { ...page.headers, 'set-cookie': sessionCookie(browsers, turned) } }
}

/** Where somebody wants to be: filters stand in the query, and links to them are sent around. */
function placeOf({ pathname, search }: URL): string {
  const place = `${pathname}${search}`
  return pathname.startsWith('/decisions') && paths.test(place) ? place : pathname
}

async function change(request: IncomingMessage, url: URL, browsers: Browsers, options: PageOptions): Promise<Answer> {
  const { known, form } = await own(request, browsers)
  return visited(visitOf(known.session, url, form, options), options)
}

async function visited(visit: Visit, { parts }: PageOptions): Promise<Answer> {
  if (visit.shell.roles.length === 0) throw new SignInFault(403, noRole)
  for (const part of parts) {
    const answer = await part(visit)
    if (answer !== null) return answer
  }
  return faultPage(404, 'nothing is here', visit.shell)
}

function visitOf(session: Session, url: URL, form: URLSearchParams | null, options: PageOptions): Visit {
  const who = ofSession(session)
  const shell = shellOf(session, options)
  // told on this page, and no longer on the next
  if (form === null) session.told = null
  return {
    path: url.pathname,
    query: url.searchParams,
    form,
    who,
    shell,
    refused: (act) => options.refused(who, act),
    tell: (what, odd = false) => void (session.told = { what, odd }),
  }
}

interface Own {
  readonly known: { readonly id: string; readonly session: Session }
  readonly form: URLSearchParams
}

/** The form of a request that our own page sent within a session. Throws SignInFault for any other. */
async function own(request: IncomingMessage, browsers: Browsers): Promise<Own> {
  const known = sessionOf(request, browsers)
  if (known === null) throw new SignInFault(401, 'you are not signed in any more')
  if (!/^application\/x-www-form-urlencoded(;|$)/i.test(request.headers['content-type'] ?? ''))
    throw new SignInFault(403, 'this is no form')
  const form = new URLSearchParams(await readText(request, mostForm))
  const why = forged(request, known.session, form.get('csrf') ?? '', browsers)
  if (why !== null) throw new SignInFault(403, why)
  return { known, form }
}

/**
 * A link from elsewhere brings no `SameSite=Strict` cookie along: it leads through a page of ours. In a frame, or as anything but a
 * page to look at, nothing is shown. Null: our own page, or an address that was typed.
 */
function arrival({ headers }: IncomingMessage, path: string): Answer | null {
  const [site, mode, dest] = [headers['sec-fetch-site'], headers['sec-fetch-mode'], headers['sec-fetch-dest']]
  if (headers.origin !== undefined || (mode !== undefined && mode !== 'navigate') || (dest !== undefined && dest !== 'document'))
    return problem(403, 'this page is to be looked at, not to be used by others')
  return site === 'cross-site' || site === 'same-site' ? onward(path) : null
}

function shellOf(session: Session, { rolesOf }: PageOptions): Shell {
  const { name, csrf, told } = session
  return { name, roles: rolesOf(ofSession(session)), csrf, told }
}

function nameOf({ secure }: Browsers, name: string): string {
  return cookieName(name, secure)
}

function cookieRules({ secure }: Browsers): { readonly secure: boolean } {
  return { secure }
}

function sessionCookie(browsers: Browsers, id: string): string {
  return writeCookie(browsers.cookie, id, { ...cookieRules(browsers), sameSite: 'Strict', age: browsers.sessions.longest })
}
