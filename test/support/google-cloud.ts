/**
 * A stand-in for the parts of Google Cloud that give tokens (Security Token Service v1, IAM Credentials v1); it is not Google. It checks every field
 * against the documented shape and refuses what the real ones would.
 */
import { randomBytes } from 'node:crypto'
import { IssuerServer, type IssuerReply, type IssuerRequest } from './issuer-server.ts'

export const pool = 'projects/123456/locations/global/workloadIdentityPools/agents/providers/countersign'
export const serviceAccount = 'crm-reader@acme.iam.gserviceaccount.com'
export const ownAudience = `https://iam.googleapis.com/${pool}`

const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange'
const accessToken = 'urn:ietf:params:oauth:token-type:access_token'
const cloudPlatform = 'https://www.googleapis.com/auth/cloud-platform'

export interface GoogleToken {
  readonly kind: 'federated' | 'account' | 'bounded'
  readonly scopes: readonly string[]
  readonly expires: number
  readonly rules?: readonly unknown[]
}

const oauthError = (status: number, error: string): IssuerReply => ({ status, json: { error, error_description: 'said in prose' } })
const apiError = (code: number, status: string): IssuerReply => ({
  status: code,
  json: { error: { code, message: 'said in prose', status } },
})

export class GoogleCloud {
  readonly tokens = new Map<string, GoogleToken>()
  /** Whether the pool provider trusts a token of ours. */
  trusts = (token: string): boolean => token === `svid-for-${ownAudience}`
  /** Accounts that the federated principal may impersonate. */
  readonly impersonable = new Set([serviceAccount])
  change: (answer: Record<string, unknown>) => Record<string, unknown> = (answer) => answer
  readonly server = new IssuerServer((request) => this.#answer(request))

  #answer(request: IssuerRequest): IssuerReply {
    const { method, path, headers, body } = request
    if (method !== 'POST') return apiError(404, 'NOT_FOUND')
    if (path === '/v1/token') {
      if (headers['content-type'] !== 'application/x-www-form-urlencoded;charset=UTF-8') return oauthError(400, 'invalid_request')
      // neither exchange is authenticated by anything but its subject token
      if (headers.authorization !== undefined) return oauthError(400, 'invalid_request')
      return this.#exchange(new URLSearchParams(body))
    }
    const account = /^\/v1\/projects\/-\/serviceAccounts\/([^/]+):generateAccessToken$/.exec(path)?.[1]
    return account === undefined ? apiError(404, 'NOT_FOUND') : this.#generate(account, headers.authorization ?? '', JSON.parse(body))
  }

  #exchange(form: URLSearchParams): IssuerReply {
    if (form.get('grant_type') !== exchange || form.get('requested_token_type') !== accessToken) return oauthError(400, 'invalid_request')
    return form.get('subject_token_type') === accessToken ? this.#bound(form) : this.#federate(form)
  }

  #federate(form: URLSearchParams): IssuerReply {
    if (form.get('audience') !== `//iam.googleapis.com/${pool}`) return oauthError(400, 'invalid_target')
    if (form.get('subject_token_type') !== 'urn:ietf:params:oauth:token-type:jwt') return oauthError(400, 'invalid_request')
    if (!this.trusts(form.get('subject_token') ?? '')) return oauthError(400, 'invalid_grant')
    const scopes = (form.get('scope') ?? '').split(' ').filter((scope) => scope !== '')
    if (scopes.length === 0) return oauthError(400, 'invalid_scope')
    return this.#given({ kind: 'federated', scopes, expires: Date.now() + 3_600_000 }, 3600)
  }

  #bound(form: URLSearchParams): IssuerReply {
    const whole = this.tokens.get(form.get('subject_token') ?? '')
    if (whole === undefined || whole.expires <= Date.now() || whole.kind === 'bounded') return oauthError(400, 'invalid_grant')
    const { accessBoundary } = JSON.parse(form.get('options') ?? '{}')
    const rules: readonly { availableResource?: unknown; availablePermissions?: unknown }[] = accessBoundary?.accessBoundaryRules ?? []
    const wellFormed = rules.every((rule) => typeof rule.availableResource === 'string' && Array.isArray(rule.availablePermissions))
    if (rules.length === 0 || rules.length > 10 || !wellFormed) return oauthError(400, 'invalid_request')
    // as the real one does for tokens of accounts: it says nothing of their end
    return this.#given({ ...whole, kind: 'bounded', rules }, null)
  }

  #generate(account: string, authorization: string, { scope, lifetime }: { scope?: unknown; lifetime?: unknown }): IssuerReply {
    const federated = this.tokens.get(authorization.replace('Bearer ', ''))
    if (federated?.kind !== 'federated' || !federated.scopes.includes(cloudPlatform)) return apiError(401, 'UNAUTHENTICATED')
    if (!this.impersonable.has(account)) return apiError(403, 'PERMISSION_DENIED')
    const seconds = Number(/^(\d+)s$/.exec(String(lifetime))?.[1] ?? Number.NaN)
    if (!Array.isArray(scope) || scope.length === 0 || !(seconds >= 1 && seconds <= 3600)) return apiError(400, 'INVALID_ARGUMENT')
    const expires = Date.now() + seconds * 1000
    const token = this.#keep({ kind: 'account', scopes: scope.map(String), expires })
    return { status: 200, json: this.change({ accessToken: token, expireTime: new Date(expires).toISOString() }) }
  }

  #given(token: GoogleToken, expiresIn: number | null): IssuerReply {
    const told = expiresIn === null ? {} : { expires_in: expiresIn }
    const answer = { access_token: this.#keep(token), issued_token_type: accessToken, token_type: 'Bearer', ...told }
    return { status: 200, json: this.change(answer) }
  }

  #keep(token: GoogleToken): string {
    const text = `ya29.${randomBytes(120).toString('base64url')}`
    this.tokens.set(text, token)
    return text
  }
}
