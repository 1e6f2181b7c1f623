/** The HTTP API of Vault and OpenBao, as far as a lender of credentials needs it. */
import type { Secret } from '../secret.ts'
import { askIssuer, failed, type Answer } from './ask-issuer.ts'
import type { ProviderServices } from './provider.ts'
import type { VaultConfig } from './vault-config.ts'

/** One request; `path` below `/v1/`. */
export interface VaultRequest {
  readonly method: 'GET' | 'POST' | 'PUT'
  readonly path: string
  /** Null: none, as at a login. */
  readonly token: Secret | null
  readonly body?: Readonly<Record<string, unknown>>
  /** What it is for, in the operator's words. */
  readonly what: string
}

/** An answer: a 2xx, or a no of 400 to 499 with what it means. */
export interface VaultAnswer {
  readonly ok: boolean
  readonly status: number
  /** The document; empty when there is none. */
  readonly json: Readonly<Record<string, unknown>>
  /** What a no means, in our words; empty when we know none for it. */
  readonly hint: string
  /** A 403 because the token is none, or is none any more; another 403 is a policy's. */
  readonly dead: boolean
}

/** Answers that say no and nothing else: nothing was issued. */
const noes = [400, 403, 404, 405, 412, 429, 473]

/**
 * What Vault's prose means. Only our words go on: its own may quote what it was sent. Of those that fit the first counts.
 */
const hints: readonly (readonly [RegExp, string])[] = [
  [/sealed/i, 'it is sealed'],
  [/role .* could not be found|unknown role/i, 'it knows no such role'],
  [/must be subset of the role's allowed policies|child policies must be subset of parent/i, 'the policies are not allowed there'],
  [/no handler for route|unsupported path/i, 'nothing is mounted there'],
  [/not allowed by this role/i, 'the role does not allow that name'],
  [/audience|subject|claim/i, 'the role is bound to another identity or audience'],
  [/validating token|signature|token is expired/i, 'our identity was not accepted'],
  [/permission denied/i, 'permission denied'],
]

/** Speaks to one Vault; every token is a `Secret`, and none stands in what it throws. */
export class VaultApi {
  readonly #services: Pick<ProviderServices, 'fetch'>
  readonly #base: string
  readonly #headers: Readonly<Record<string, string>>
  readonly #timeout: number

  /** Throws when the file of its authority cannot be read. */
  constructor(config: Pick<VaultConfig, 'address' | 'namespace' | 'ca' | 'timeout'>, services: ProviderServices) {
    this.#services = config.ca === undefined ? services : { fetch: services.trusting(config.ca) }
    this.#base = `${config.address.replace(/\/+$/, '')}/v1/`
    const namespace = config.namespace === undefined ? {} : { 'X-Vault-Namespace': config.namespace }
    this.#headers = { 'X-Vault-Request': 'true', ...namespace }
    this.#timeout = config.timeout
  }

  /** Asks once. Rejects with `credential.unavailable` unless Vault said yes or no; its cause is an `Unanswered` when nobody knows which. */
  async ask({ method, path, token, body, what }: VaultRequest, signal: AbortSignal): Promise<VaultAnswer> {
    const headers = {
      ...this.#headers,
      ...(token === null ? {} : { 'X-Vault-Token': token.reveal() }),
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
    }
    const question = { url: this.#base + path, method, headers, timeout: this.#timeout, what }
    const sent = body === undefined ? question : { ...question, body: JSON.stringify(body) }
    const answer = await askIssuer(this.#services, sent, signal, [...noes, 503])
    const { status } = answer
    const errors = errorsOf(answer)
    const hint = status < 300 ? '' : (hints.find(([pattern]) => errors.some((text) => pattern.test(text)))?.[1] ?? '')
    // a sealed one did nothing; of any other 503 nobody knows
    if (status === 503) throw failed(hint === '' ? what : `${what}: ${hint}`, status, '', hint === 'it is sealed')
    return { ok: status < 300, status, json: objectOf(answer.json), hint, dead: status === 403 && errors.some(isOfDeadToken) }
  }

  /** The same, where a no is a failure too. */
  async need(request: VaultRequest, signal: AbortSignal): Promise<Readonly<Record<string, unknown>>> {
    const answer = await this.ask(request, signal)
    if (answer.ok) return answer.json
    throw refused(request.what, answer)
  }
}

/** Vault's no as the operator reads it. It is certain that nothing was issued. */
export function refused(what: string, { status, hint }: Pick<VaultAnswer, 'status' | 'hint'>): Error {
  return failed(hint === '' ? what : `${what}: ${hint}`, status, '', true)
}

/** A member that is an object; else an empty one. */
export function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}

function errorsOf({ json }: Answer): readonly string[] {
  const { errors } = objectOf(json)
  return Array.isArray(errors) ? errors.filter((text) => typeof text === 'string') : []
}

/**
 * A token that is none gets `permission denied` alone (OpenBao, and older Vault), or `invalid token` with it (Vault since 2024);
 * one that lacks a policy gets the same in a list of one error. Any other text counts as a policy's no: a revocation is then tried again.
 */
function isOfDeadToken(text: string): boolean {
  return text.trim() === 'permission denied' || /\b(invalid|bad) token\b/.test(text)
}
