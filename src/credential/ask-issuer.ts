/** One question to an issuer over plain HTTPS: bounded in time and size, and honest about what is known when it fails. */
import { Refusal } from '../refusal.ts'
import { Unanswered, type ProviderServices } from './provider.ts'

export interface Question {
  readonly url: string
  /** POST by default. */
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | URLSearchParams
  /** Longest wait for the answer, ms. */
  readonly timeout: number
  /** What it is for, in the operator's words: `login`, `revocation`. */
  readonly what: string
}

/** An answer with a status of 200 to 299; a JSON document, or null when there was no body. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly json: unknown
  readonly text: string
}

/** No answer of an issuer is longer than this: GitHub describes each of up to 500 repositories of a token in full. */
const answerLimit = 4_194_304

/** Failures of connecting: no request was sent, so nothing was issued. */
export const unsent: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
])

/**
 * Asks once. Redirects are not followed. Throws `credential.unavailable` with a status and a code but no prose of the issuer, which may quote
 * tokens; its cause is an `Unanswered` unless it is certain that nothing was issued (no connection, or a plain no of 300 to 499).
 * `accept`: further statuses that are an answer too, such as the 404 of a thing that is gone already.
 */
export async function askIssuer(
  services: Pick<ProviderServices, 'fetch'>,
  question: Question,
  signal: AbortSignal,
  accept: readonly number[] = [],
): Promise<Answer> {
  signal.throwIfAborted()
  const { url, method = 'POST', headers = {}, body, timeout, what } = question
  if (!isSafeEndpoint(url)) throw failed(what, null, 'an endpoint is neither https nor on loopback', true)
  let response: Response
  try {
    const init: RequestInit = { method, headers, redirect: 'manual', signal: AbortSignal.any([signal, AbortSignal.timeout(timeout)]) }
    response = await bounded(await services.fetch(url, body === undefined ? init : { ...init, body }))
  } catch (error) {
    const code = codeOf(error)
    throw failed(what, null, code, unsent.has(code))
  }
  const text = await response.text()
  const json = documentOf(text)
  const { status } = response
  if ((status >= 200 && status < 300) || accept.includes(status)) return { status, headers: response.headers, json, text }
  throw failed(what, status, errorCode(json), status >= 300 && status < 500)
}

/** The failure of a question as the operator reads it. `nothing`: certainly nothing was issued. */
export function failed(what: string, status: number | null, code: string, nothing: boolean): Refusal {
  return new Refusal('credential.unavailable', {
    detail: status === null ? `${what}: ${code}` : `${what}: the issuer answered ${status}${code === '' ? '' : ` ${code}`}`,
    retry: nothing && status !== null && status !== 429 ? 'never' : 'later',
    ...(nothing ? {} : { cause: new Unanswered() }),
  })
}

/** Reads an answer up to so many bytes, by default those of any answer of an issuer; throws past it. */
export async function bounded(response: Response, limit = answerLimit): Promise<Response> {
  if (response.body === null) return response
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    size += chunk.length
    if (size > limit) throw new Error('the answer is too large')
    chunks.push(chunk)
  }
  return new Response(Buffer.concat(chunks), { status: response.status, headers: response.headers })
}

/** True for https, and for http on this machine: anywhere else secrets would travel in clear. */
export function isSafeEndpoint(text: string): boolean {
  const { protocol, hostname } = new URL(text)
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname))
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(hostname)
}

/** Null when it is no JSON, or empty. */
export function documentOf(text: string): unknown {
  try {
    return text === '' ? null : (JSON.parse(text) as unknown)
  } catch {
    return null
  }
}

/** The error code of an answer where it has one in a form that cannot hold a token. */
export function errorCode(json: unknown): string {
  if (json === null || typeof json !== 'object' || !('error' in json)) return ''
  return typeof json.error === 'string' && /^[a-zA-Z_]{1,64}$/.test(json.error) ? json.error : ''
}

/** The code of an error of the network client, or its name. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'failed'
  const codes = [error, error.cause].map((one) => (one instanceof Error && 'code' in one ? one.code : null))
  const code = codes.find((one) => typeof one === 'string' && /^[A-Z0-9_]{2,64}$/.test(one))
  return typeof code === 'string' ? code : error.name
}
