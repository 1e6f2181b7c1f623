/**
 * A stand-in for the token endpoint of Microsoft Entra ID; it is not Entra ID. It checks every field against the documented shape of the client
 * credentials grant with a federated credential, and refuses what the real one would.
 */
import { generateKeyPairSync } from 'node:crypto'
import { SignJWT } from 'jose'
import { IssuerServer, type IssuerReply, type IssuerRequest } from './issuer-server.ts'

export const tenant = '8f2d3c1e-6a5b-4c7d-9e0f-1a2b3c4d5e6f'
export const application = '0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d'
export const vault = 'https://vault.azure.net'
const key = generateKeyPairSync('rsa', { modulusLength: 2048 })
const refused = (error: string, code: number): IssuerReply => ({
  status: 400,
  json: { error, error_description: `AADSTS${code}: said in prose`, error_codes: [code] },
})

export class EntraId {
  /** The only token of ours that the federated credential trusts. */
  trusted = 'svid-for-api://AzureADTokenExchange'
  claims: (claims: Record<string, unknown>) => Record<string, unknown> = (claims) => claims
  change: (answer: Record<string, unknown>) => Record<string, unknown> = (answer) => answer
  readonly server = new IssuerServer((request) => this.#answer(request))

  async #answer({ method, path, headers, body }: IssuerRequest): Promise<IssuerReply> {
    if (method !== 'POST' || path !== `/${tenant}/oauth2/v2.0/token`) return { status: 404 }
    if (!String(headers['content-type']).startsWith('application/x-www-form-urlencoded')) return refused('invalid_request', 900144)
    const form = new URLSearchParams(body)
    if (form.get('grant_type') !== 'client_credentials') return refused('unsupported_grant_type', 70003)
    if (form.get('client_id') !== application) return refused('unauthorized_client', 700016)
    if (form.get('client_assertion_type') !== 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
      return refused('invalid_request', 900144)
    if (form.get('client_assertion') !== this.trusted) return refused('invalid_client', 700213)
    const resource = /^(.+)\/\.default$/.exec(form.get('scope') ?? '')?.[1]
    if (resource === undefined) return refused('invalid_scope', 70011)
    // as it likes, between 60 and 90 minutes
    const seconds = 4237
    const now = Math.floor(Date.now() / 1000)
    const claims = this.claims({
      aud: resource,
      iss: `https://sts.windows.net/${tenant}/`,
      iat: now,
      nbf: now,
      exp: now + seconds,
      appid: application,
      tid: tenant,
    })
    const token = await new SignJWT(claims).setProtectedHeader({ alg: 'RS256', typ: 'JWT' }).sign(key.privateKey)
    return { status: 200, json: this.change({ token_type: 'Bearer', expires_in: seconds, ext_expires_in: seconds, access_token: token }) }
  }
}
