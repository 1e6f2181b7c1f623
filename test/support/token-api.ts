/**
 * A stand-in for the part of the Kubernetes API server that makes Secrets and service-account tokens; it is no API server. It holds requests against
 * the reference of the API (core/v1 Secret, authentication.k8s.io/v1 TokenRequest) and refuses what the real one would; a token is good only while
 * the Secret it is bound to exists with the same UID.
 */
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { decodeJwt, jwtVerify, SignJWT } from 'jose'
import { IssuerServer, type IssuerReply, type IssuerRequest } from './issuer-server.ts'

const key = generateKeyPairSync('ec', { namedCurve: 'P-256' })

export const namespace = 'agents'
export const account = 'crm-reader'
/** The token by which Countersign itself is let in. */
export const ownToken = 'projected-token-of-countersign'

const failure = (code: number, reason: string): IssuerReply => ({
  status: code,
  json: { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason, code },
})

export class TokenApi {
  /** UIDs of Secrets that exist, by name. */
  readonly secrets = new Map<string, string>()
  /** Changes the claims of a token, as no honest server would. */
  claims: (claims: Record<string, unknown>) => Record<string, unknown> = (claims) => claims
  readonly server = new IssuerServer((request) => this.#answer(request))

  /** As an API server that authenticates the token does. */
  async accepts(token: string): Promise<boolean> {
    try {
      await jwtVerify(token, key.publicKey)
    } catch {
      return false
    }
    const { secret } = decodeJwt(token)['kubernetes.io'] as { secret: { name: string; uid: string } }
    return this.secrets.get(secret.name) === secret.uid
  }

  async #answer({ method, path, headers, body }: IssuerRequest): Promise<IssuerReply> {
    if (headers.authorization !== `Bearer ${ownToken}`) return failure(401, 'Unauthorized')
    const base = `/api/v1/namespaces/${namespace}`
    if (method === 'DELETE' && path.startsWith(`${base}/secrets/`)) {
      const gone = this.secrets.delete(path.slice(`${base}/secrets/`.length))
      return gone ? { status: 200, json: { kind: 'Status', status: 'Success' } } : failure(404, 'NotFound')
    }
    if (method !== 'POST' || headers['content-type'] !== 'application/json') return failure(415, 'UnsupportedMediaType')
    const document = JSON.parse(body)
    if (path === `${base}/secrets`) return this.#secret(document)
    if (path === `${base}/serviceaccounts/${account}/token`) return this.#token(document)
    return failure(404, 'NotFound')
  }

  #secret(document: { apiVersion?: unknown; kind?: unknown; type?: unknown; metadata: { name: string } }): IssuerReply {
    const { name } = document.metadata
    if (document.apiVersion !== 'v1' || document.kind !== 'Secret' || document.type !== 'Opaque') return failure(400, 'BadRequest')
    if (!/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/.test(name)) return failure(422, 'Invalid')
    if (this.secrets.has(name)) return failure(409, 'AlreadyExists')
    const uid = randomUUID()
    this.secrets.set(name, uid)
    return { status: 201, json: { ...document, metadata: { ...document.metadata, namespace, uid } } }
  }

  async #token(document: {
    apiVersion?: unknown
    kind?: unknown
    spec: {
      audiences: string[]
      expirationSeconds: number
      boundObjectRef: { kind: string; apiVersion: string; name: string; uid: string }
    }
  }): Promise<IssuerReply> {
    const { audiences, expirationSeconds, boundObjectRef: to } = document.spec
    if (document.apiVersion !== 'authentication.k8s.io/v1' || document.kind !== 'TokenRequest') return failure(400, 'BadRequest')
    if (expirationSeconds < 600 || expirationSeconds > 2 ** 32 || !Number.isInteger(expirationSeconds)) return failure(422, 'Invalid')
    if (to.kind !== 'Secret' || to.apiVersion !== 'v1' || this.secrets.get(to.name) !== to.uid) return failure(409, 'Conflict')
    const now = Math.floor(Date.now() / 1000)
    const claims = this.claims({
      iss: 'https://kubernetes.default.svc',
      sub: `system:serviceaccount:${namespace}:${account}`,
      aud: audiences,
      iat: now,
      nbf: now,
      exp: now + expirationSeconds,
      'kubernetes.io': { namespace, serviceaccount: { name: account, uid: 'account-uid' }, secret: { name: to.name, uid: to.uid } },
    })
    const token = await new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: 'k1' }).sign(key.privateKey)
    const expirationTimestamp = new Date((now + expirationSeconds) * 1000).toISOString()
    return { status: 201, json: { ...document, status: { token, expirationTimestamp } } }
  }
}
