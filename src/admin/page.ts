/** The first page of the admin port: sign in, see what is asked, answer it. */
import type { IncomingMessage } from 'node:http'
import { ApprovalFault } from '../approve/fault.ts'
import { Refusal } from '../refusal.ts'
import { problem, readText, type Answer } from './answer.ts'
import { objectiveIn } from './approvals.ts'
import { cookieName, readCookie, writeCookie } from './cookies.ts'
import { statusOf, verbs, type Desk } from './desk.ts'
import { approvalPage, faultPage, listPage, onward, signInPage, type Shell } from './page-html.ts'
import { SignInFault } from './person.ts'
import type { Session } from './sessions.ts'
import { forged, ofSession, sessionOf, type Browsers } from './sign-in.ts'

export interface PageOptions {
  /** Null while nobody can sign in: then there is no page. */
  readonly browsers: Browsers | null
  readonly desk: Desk
  /** Whether the channel `page` is configured. */
  readonly open: () => boolean
}

/** Answers what a browser asks outside of `/v1/`; null: nothing is here. Never rejects. */
export type Pages = (request: IncomingMessage, url: URL) => Promise<Answer | null>

type Show = (request: IncomingMessage, url: URL, browsers: Browsers, options: PageOptions) => Promise<Answer>

const approvalPath = /^\/approvals\/(a_[0-9A-HJKMNP-TV-Z]{26})$/
/** What the browser keeps while its person is at the issuer, and for how many seconds. */
const awayCookie = 'countersign-away'
const awayTime = 600

export function makePages(options: PageOptions): Pages {
  return async (request, url) => {
    const method = request.method === 'HEAD' ? 'GET' : (request.method ?? '')
    const show = shows(method, url.pathname)
    const { browsers } = options
    if (show === null || browsers === null || !options.open()) return null
    try {
      return await show(request, url, browsers, options)
    } catch (error) {
      if (error instanceof SignInFault) return signInPage('/', error.message, error.status)
      if (error instanceof ApprovalFault) return faultPage(statusOf(error), error.message)
      if (error instanceof Refusal) return faultPage(error.status, error.title)
      return faultPage(500, 'Countersign failed')
    }
  }
}

function shows(method: string, path: string): Show | null {
  if (method === 'GET' && path === '/sign-in') return begin
  if (method === 'GET' && path === '/sign-in/callback') return finish
  if (method === 'POST' && path === '/sign-out') return signOut
  const known = path === '/' || approvalPath.test(path)
  if (method === 'GET' && known) return read
  return method === 'POST' && known && path !== '/' ? answer : null
}

/** Away to the issuer. Only to paths of ours does it lead back. */
async function begin(_request: IncomingMessage, url: URL, browsers: Browsers): Promise<Answer> {
  const asked = url.searchParams.get('to') ?? '/'
  const { url: location, kept } = await browsers.oidc.begin(approvalPath.test(asked) ? asked : '/')
  const cookie = writeCookie(nameOf(browsers, awayCookie), kept, { ...cookieRules(browsers), sameSite: 'Lax', age: awayTime })
  return redirect(location, { 'set-cookie': cookie })
}

/** Back from the issuer: a new session with an id of ours, whatever the browser brought along. */
async function finish(request: IncomingMessage, url: URL, browsers: Browsers): Promise<Answer> {
  const kept = readCookie(request.headers.cookie, nameOf(browsers, awayCookie))
  if (kept === null) throw new SignInFault(401, 'this browser did not begin to sign in here: begin again')
  const { person, to } = await browsers.oidc.finish(url.searchParams, kept)
  const before = readCookie(request.headers.cookie, browsers.cookie)
  if (before !== null) browsers.sessions.end(before)
  const id = browsers.sessions.open(person, request.headers['user-agent'])
  const over = writeCookie(nameOf(browsers, awayCookie), '', { ...cookieRules(browsers), sameSite: 'Lax', age: 0 })
  return onward(to, { 'set-cookie': [over, sessionCookie(browsers, id)] })
}

async function signOut(request: IncomingMessage, _url: URL, browsers: Browsers): Promise<Answer> {
  const { known } = await own(request, browsers)
  browsers.sessions.end(known.id)
  const cookie = writeCookie(browsers.cookie, '', { ...cookieRules(browsers), sameSite: 'Strict', age: 0 })
  return redirect('/', { 'set-cookie': cookie, 'clear-site-data': '"cache"' })
}

async function read(request: IncomingMessage, url: URL, browsers: Browsers, { desk }: PageOptions): Promise<Answer> {
  const arrived = arrival(request, url.pathname)
  if (arrived !== null) return arrived
  const known = sessionOf(request, browsers)
  if (known === null) return signInPage(url.pathname, null, 401)
  const turned = browsers.sessions.turn(known.id)
  const page = await pageFor(known.session, url.pathname, desk)
  return turned === null ? page : { ...page, headers: { ...page.headers, 'set-cookie': sessionCookie(browsers, turned) } }
}

async function pageFor(session: Session, path: string, desk: Desk): Promise<Answer> {
  const id = approvalPath.exec(path)?.[1]
  if (id === undefined) return listPage(await desk.list({}), shellOf(session))
  return approvalPage(await desk.read(id), shellOf(session), desk.mayBreak(ofSession(session)), null)
}

async function answer(request: IncomingMessage, url: URL, browsers: Browsers, { desk }: PageOptions): Promise<Answer> {
  const { known, form } = await own(request, browsers)
  const id = approvalPath.exec(url.pathname)?.[1] ?? ''
  const who = ofSession(known.session)
  const verb = verbs.find((one) => one === form.get('verb'))
  const objective = verb === 'approve' ? objectiveOf(form) : null
  try {
    if (verb === undefined || objective === undefined)
      throw new ApprovalFault('objective', 'for more than this call say tools, calls and for how long')
    await desk.act(id, who, { verb, reason: (form.get('reason') ?? '').trim(), as: null, objective })
  } catch (error) {
    if (!(error instanceof ApprovalFault) || error.why === 'unknown') throw error
    return approvalPage(await desk.read(id), shellOf(known.session), desk.mayBreak(who), error.message, statusOf(error))
  }
  return redirect(url.pathname)
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
  const form = new URLSearchParams(await readText(request, 16 * 1024))
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

function objectiveOf(form: URLSearchParams): ReturnType<typeof objectiveIn> {
  const [tools, calls, time] = ['tools', 'calls', 'for'].map((name) => (form.get(name) ?? '').trim())
  if (!tools && !calls && !time) return null
  const names = (tools ?? '').split(',').map((tool) => tool.trim())
  return objectiveIn({ tools: names, calls: /^\d{1,5}$/.test(calls ?? '') ? Number(calls) : null, for: time })
}

function shellOf({ person, csrf }: Session): Shell {
  return { name: person.name, csrf }
}

function redirect(location: string, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status: 303, text: '', type: 'text/plain', headers: { location, ...headers } }
}

function nameOf({ origin }: Browsers, name: string): string {
  return cookieName(name, origin.startsWith('https:'))
}

function cookieRules({ origin }: Browsers): { readonly secure: boolean } {
  return { secure: origin.startsWith('https:') }
}

function sessionCookie(browsers: Browsers, id: string): string {
  return writeCookie(browsers.cookie, id, { ...cookieRules(browsers), sameSite: 'Strict', age: browsers.sessions.longest })
}
