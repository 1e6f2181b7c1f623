import { hash } from 'node:crypto'
import { Refusal } from '../../refusal.ts'
import { describe } from '../keys/key-report.ts'
import { rejected, shown } from '../rejected.ts'
import { isMembers, member, parseStrictJson } from '../strict-json.ts'
import type { Members } from '../strict-json.ts'
import type { Endpoint } from './endpoint.ts'
import type { ReadToken } from './token.ts'

export interface ReviewOptions {
  /** The API server. */
  readonly url: string
  readonly endpoint: Endpoint
  readonly audience: string
  /** Epoch ms. */
  readonly clock: () => number
}

interface Refused {
  readonly refusal: Refusal
  /** Epoch ms. */
  readonly at: number
}

/** A token that was refused is refused again for so long without a question: its holder must not be able to aim us at the API server. */
const refusedFor = 10_000
const mostRefused = 1024

const extras = [
  ['authentication.kubernetes.io/pod-name', 'pod', 'name'],
  ['authentication.kubernetes.io/pod-uid', 'pod', 'uid'],
  ['authentication.kubernetes.io/node-name', 'node', 'name'],
  ['authentication.kubernetes.io/node-uid', 'node', 'uid'],
] as const

/**
 * Asks the API server of Kubernetes whether a token is good still: it alone knows whether the pod, the account or the node that a token
 * is bound to has gone. An answer that does not come, or cannot be understood, never allows.
 */
export class TokenReview {
  readonly #options: ReviewOptions
  readonly #abort = new AbortController()
  /** Questions under way by digest of the token: calls at the same time share one. Written by `check` alone. */
  readonly #asked = new Map<string, Promise<void>>()
  /** Refused tokens by digest, oldest first. Written by `#ask` alone. */
  readonly #refused = new Map<string, Refused>()

  constructor(options: ReviewOptions) {
    this.#options = options
  }

  /** Resolves when the token is good; rejects with `identify.rejected` when it is not, `identify.unavailable` when nobody can say. */
  check(text: string, token: ReadToken): Promise<void> {
    const digest = hash('sha256', text)
    const known = this.#refused.get(digest)
    if (known !== undefined && Math.abs(this.#options.clock() - known.at) < refusedFor) return Promise.reject(known.refusal)
    let asked = this.#asked.get(digest)
    if (asked === undefined) {
      asked = this.#ask(digest, text, token).finally(() => this.#asked.delete(digest))
      this.#asked.set(digest, asked)
    }
    return asked
  }

  /** Resolves when the API server reviews tokens for us, whatever it says of one; rejects with `identify.unavailable` when it does not. */
  async probe(): Promise<void> {
    await this.#post('none')
  }

  close(): void {
    this.#abort.abort()
    this.#options.endpoint.close()
  }

  async #ask(digest: string, text: string, token: ReadToken): Promise<void> {
    this.#refused.delete(digest)
    const review = await this.#post(text)
    try {
      checkReview(review, this.#options.audience, token)
    } catch (error) {
      if (error instanceof Refusal && error.code === 'identify.rejected') this.#refuse(digest, error)
      throw error
    }
  }

  #refuse(digest: string, refusal: Refusal): void {
    for (const oldest of this.#refused.keys()) {
      if (this.#refused.size < mostRefused) break
      this.#refused.delete(oldest)
    }
    this.#refused.set(digest, { refusal, at: this.#options.clock() })
  }

  /** The object that comes back; its copy of the token is dropped with the rest of it. */
  async #post(token: string): Promise<Members> {
    const { url, endpoint, audience } = this.#options
    const body = JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token, audiences: [audience] } })
    const request = { method: 'POST', headers: { 'content-type': 'application/json' }, body } as const
    const answer = await endpoint.request(reviewUrl(url), request, this.#abort.signal, true).catch((error: unknown) => {
      throw unavailable(`it does not answer: ${describe(error)}`, error)
    })
    if (answer.status === 401) throw unavailable('it does not accept our own token (401): is review.token fresh?')
    if (answer.status === 403) throw unavailable('we may not create tokenreviews there (403): bind system:auth-delegator to our account')
    if (answer.status !== 200 && answer.status !== 201) throw unavailable(`it answered ${answer.status}`)
    const review = readAnswer(answer.text)
    if (member(review, 'kind') !== 'TokenReview' || member(review, 'apiVersion') !== 'authentication.k8s.io/v1')
      throw unavailable('its answer is no TokenReview')
    return review
  }
}

function reviewUrl(url: string): string {
  return `${url.endsWith('/') ? url.slice(0, -1) : url}/apis/authentication.k8s.io/v1/tokenreviews`
}

function readAnswer(text: string): Members {
  try {
    return parseStrictJson(text)
  } catch (error) {
    throw unavailable('its answer is not strict JSON', error)
  }
}

function checkReview(review: Members, audience: string, token: ReadToken): void {
  const status = member(review, 'status')
  if (!isMembers(status)) throw unavailable('its answer has no status')
  if (member(status, 'authenticated') !== true) {
    const error = member(status, 'error')
    throw rejected('withdrawn', `the API server does not accept the token${typeof error === 'string' ? `: ${shown(error)}` : ''}`)
  }
  // an API server that heeds no audience says none: the token is good, but for whom is not known
  const audiences = member(status, 'audiences')
  if (!Array.isArray(audiences)) throw rejected('audience', 'the API server names no audience: it does not heed them')
  if (!audiences.includes(audience)) throw rejected('audience', 'the API server does not accept the token for our audience')
  checkUser(member(status, 'user'), token)
}

/** The user is the one that the token names; what is said of account, pod and node agrees with the token wherever both say it. */
function checkUser(user: unknown, token: ReadToken): void {
  if (!isMembers(user) || member(user, 'username') !== token.subject)
    throw rejected('withdrawn', 'the API server takes the token for another user')
  const bound = member(token.claims, 'kubernetes.io')
  const uid = member(user, 'uid')
  const claimed = claim(bound, 'serviceaccount', 'uid')
  if (uid !== undefined && uid !== '' && claimed !== undefined && uid !== claimed)
    throw rejected('withdrawn', 'the service account has been made anew')
  const said = member(user, 'extra')
  if (!isMembers(said)) return
  for (const [name, kind, field] of extras) {
    const values = member(said, name)
    if (values === undefined) continue
    const value = claim(bound, kind, field)
    if (!Array.isArray(values) || values.length !== 1 || values[0] !== value)
      throw rejected('withdrawn', `the API server says otherwise: ${kind} ${field}`)
  }
}

function claim(bound: unknown, kind: string, field: string): unknown {
  const object = isMembers(bound) ? member(bound, kind) : undefined
  return isMembers(object) ? member(object, field) : undefined
}

function unavailable(why: string, cause?: unknown): Refusal {
  return new Refusal('identify.unavailable', { detail: `TokenReview at the API server: ${why}`, ...(cause === undefined ? {} : { cause }) })
}
