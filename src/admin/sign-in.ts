/** Who asks something of the admin port: whoever holds the local key, a person by a key pair, a token or a session; or nobody. */
import type { IncomingMessage } from 'node:http'
import type { ProofMemory } from '../identify/dpop/proofs.ts'
import type { Secret } from '../secret.ts'
import { problem, type Answer } from './answer.ts'
import { readCookie } from './cookies.ts'
import type { Links, Tries } from './links.ts'
import { opens } from './local-key.ts'
import type { SignedIn } from './noun.ts'
import type { Oidc } from './oidc.ts'
import { SignInFault, type Person } from './person.ts'
import type { Place } from './place.ts'
import { sameText, type Session, type Sessions } from './sessions.ts'
import { scheme, verifyRequest, type KnownKey } from './signed-request.ts'

/** How people in browsers are known. */
export interface Browsers extends Place {
  /** Null where no issuer is configured: then links and the local key alone let in. */
  readonly oidc: Oidc | null
  readonly sessions: Sessions
  readonly links: Links
  readonly tries: Tries
  /** Whether this is the local key; in constant time. */
  readonly isKey: (text: string) => boolean
  /** Name of the session cookie. */
  readonly cookie: string
}

export interface SignInOptions {
  readonly key: Secret
  /** Which Countersign this is: signed requests name it. */
  readonly realm: string
  /** Keys of people, by thumbprint; read for each request, for a reload may change them. */
  readonly keys: () => ReadonlyMap<string, KnownKey>
  readonly memory: ProofMemory
  /** When this process began, epoch ms. */
  readonly born: number
  readonly clock: () => number
  readonly browsers: Browsers
}

/** Answers who it is, or what to say to nobody. */
export type Ask = (request: IncomingMessage, body: () => Promise<string>) => Promise<SignedIn | Answer>

/** Of the API. An answer has a `status`, whoever signed in has a `method`. */
export function makeSignIn(options: SignInOptions): Ask {
  return async (request, body) => {
    try {
      if (isBrowser(request)) return inBrowser(request, options.browsers)
      const { authorization } = request.headers
      if (opens(options.key, authorization)) return { method: 'local-key', name: null, groups: [] }
      if (authorization?.startsWith(`${scheme} `))
        return signed(await bySignature(request, authorization, await body(), options), 'key-pair')
      const oidc = options.browsers.oidc
      if (authorization?.startsWith('Bearer ') && oidc !== null && authorization.split('.').length === 3)
        return signed(await oidc.bearer(authorization.slice(7)), 'oidc')
      return nobody(options.realm, 'the local key is missing or wrong')
    } catch (error) {
      if (error instanceof SignInFault)
        return error.status === 401 ? nobody(options.realm, error.message) : problem(error.status, error.message)
      throw error
    }
  }
}

export function isAnswer(who: SignedIn | Answer): who is Answer {
  return 'status' in who
}

/** A session as whoever asks. */
export function ofSession({ who }: Pick<Session, 'who'>): SignedIn {
  return { ...who, session: true }
}

/** The live session that a request brings; null without one. */
export function sessionOf(
  request: IncomingMessage,
  { sessions, cookie }: Browsers,
): { readonly id: string; readonly session: Session } | null {
  const id = readCookie(request.headers.cookie, cookie)
  const session = id === null ? null : sessions.find(id, request.headers['user-agent'])
  return id === null || session === null ? null : { id, session }
}

/** Why a request that changes something is not the page's own; null when it is. */
export function forged(request: IncomingMessage, session: Session, token: string, { originOf }: Browsers): string | null {
  const origin = originOf(request)
  if (!sameOrigin(request, origin) || request.headers.origin !== origin) return 'the request comes from another page'
  return sameText(token, session.csrf) ? null : 'the token of the form is missing or wrong'
}

function isBrowser({ headers }: IncomingMessage): boolean {
  return headers.origin !== undefined || headers['sec-fetch-site'] !== undefined || headers.cookie !== undefined
}

/** Only with a session, only from our own page. A key or token in the same request counts for nothing: no page may bring one. */
function inBrowser(request: IncomingMessage, browsers: Browsers): SignedIn | Answer {
  const known = sameOrigin(request, browsers.originOf(request)) ? sessionOf(request, browsers) : null
  if (known === null) return problem(403, 'browsers have no business here without a session of our own page')
  if (request.method === 'GET' || request.method === 'HEAD') return ofSession(known.session)
  const token = request.headers['countersign-csrf']
  const why = forged(request, known.session, typeof token === 'string' ? token : '', browsers)
  return why === null ? ofSession(known.session) : problem(403, why)
}

/** Fetch metadata and Origin are there or not, by browser and kind of request; what is there must be ours. */
function sameOrigin({ headers }: IncomingMessage, origin: string | null): boolean {
  const site = headers['sec-fetch-site']
  return origin !== null && (site === undefined || site === 'same-origin') && (headers.origin === undefined || headers.origin === origin)
}

async function bySignature(request: IncomingMessage, authorization: string, body: string, options: SignInOptions): Promise<Person> {
  const { realm, memory, born, clock, keys } = options
  const about = { method: request.method ?? '', target: request.url ?? '', body, realm }
  return verifyRequest(authorization.slice(scheme.length + 1), about, { keys: keys(), memory, born, now: clock() })
}

export function signed({ name, aliases, groups, entry }: Person, method: 'oidc' | 'key-pair'): SignedIn {
  return { method, name, aliases, groups, entry }
}

function nobody(realm: string, title: string): Answer {
  return problem(401, title, { 'www-authenticate': `Bearer, ${scheme} realm="${realm}"` })
}
