/**
 * A stand-in for the part of GitHub that gives installation tokens; it is not GitHub. It checks every field of a request against the documented
 * shape (REST API 2022-11-28, “Generating a JSON Web Token for a GitHub App”) and refuses what the real one would.
 */
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto'
import { jwtVerify } from 'jose'
import { IssuerServer, type IssuerReply, type IssuerRequest } from './issuer-server.ts'

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })

/** As GitHub gives it: PKCS#1. */
export const appKey = privateKey.export({ type: 'pkcs1', format: 'pem' })
export const app = 'Iv23liAcmeAgents'
export const installation = 4711

/** What the installation may do at most. */
const granted: Readonly<Record<string, string>> = { contents: 'write', issues: 'write', metadata: 'read', pull_requests: 'read' }
const owned = ['web', 'api', 'secret-plans']
const levels = ['read', 'write', 'admin']
const refused = (status: number, message: string): IssuerReply => ({ status, json: { message } })

interface Body {
  readonly repositories?: readonly string[]
  readonly permissions?: Readonly<Record<string, string>>
}

export class GithubApp {
  /** Live tokens by their SHA-256: what the server keeps of one. */
  readonly live = new Map<string, { readonly permissions: object; readonly repositories: readonly string[] | null }>()
  /** Changes an answer before it is sent, as no honest GitHub would. */
  change: (answer: Record<string, unknown>) => Record<string, unknown> = (answer) => answer
  readonly server = new IssuerServer((request) => this.#answer(request))

  isLive(token: string): boolean {
    return this.live.has(digest(token))
  }

  async #answer(request: IssuerRequest): Promise<IssuerReply> {
    const { method, path, headers } = request
    if (headers['user-agent'] === undefined) return refused(403, 'Request forbidden by administrative rules.')
    if (headers['x-github-api-version'] !== '2022-11-28') return refused(400, 'Unsupported API version')
    if (headers.accept !== 'application/vnd.github+json') return refused(415, 'Unsupported Media Type')
    const token = /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1] ?? ''
    if (method === 'DELETE' && path === '/installation/token')
      return this.live.delete(digest(token)) ? { status: 204 } : refused(401, 'Bad credentials')
    if (method !== 'POST' || path !== `/app/installations/${installation}/access_tokens`) return refused(404, 'Not Found')
    return (await isApp(token)) ? this.#issue(JSON.parse(request.body)) : refused(401, 'A JSON web token could not be decoded')
  }

  #issue({ repositories, permissions }: Body): IssuerReply {
    const asked = Object.entries(permissions ?? granted)
    for (const [name, level] of asked)
      if (granted[name] === undefined || levels.indexOf(level) > levels.indexOf(granted[name]))
        return refused(422, 'The permissions requested are not granted to this installation.')
    if (repositories?.some((name) => !owned.includes(name))) return refused(422, 'There is at least one repository that does not exist')
    const token = `ghs_${installation}_${randomBytes(60).toString('base64url')}.${randomBytes(30).toString('base64url')}.${randomBytes(240).toString('base64url')}`
    const given = { metadata: 'read', ...Object.fromEntries(asked) }
    this.live.set(digest(token), { permissions: given, repositories: repositories ?? null })
    const answer = {
      token,
      expires_at: `${new Date(Date.now() + 3_600_000).toISOString().slice(0, 19)}Z`,
      permissions: given,
      repository_selection: repositories === undefined ? 'all' : 'selected',
      ...(repositories === undefined ? {} : { repositories: repositories.map((name, id) => ({ id, name, full_name: `acme/${name}` })) }),
    }
    return { status: 201, json: this.change(answer) }
  }
}

/** RS256 by the App's key, made out at most ten minutes long, by a clock that is not ahead. */
async function isApp(token: string): Promise<boolean> {
  try {
    const { payload } = await jwtVerify(token, publicKey, { algorithms: ['RS256'], issuer: app, requiredClaims: ['iat', 'exp'] })
    return (payload.exp ?? 0) - Date.now() / 1000 <= 600 && (payload.iat ?? Number.POSITIVE_INFINITY) <= Date.now() / 1000
  } catch {
    return false
  }
}

function digest(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}
