import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { Provider } from 'oidc-provider'

/** People at the issuer: account id → claims besides `sub`. */
export type Accounts = Readonly<Record<string, Readonly<Record<string, unknown>>>>

export interface SignInIssuer {
  readonly issuer: string
  /** A token of its own key, with whatever is put into it. */
  mint(claims: object, header?: object): Promise<string>
  close(): Promise<void>
}

export const publicClient = 'countersign-people'
export const confidentialClient = 'countersign-confidential'
export const signInSecret = 'a-client-secret-of-32-characters!'

/**
 * A real OpenID provider in this process, on `localhost`: another site than 127.0.0.1. Whoever is sent to it signs in as the account that
 * `chosen` names at that moment; null: the person says no.
 */
export async function startSignInIssuer(options: {
  readonly redirectUri: string
  readonly accounts: Accounts
  readonly chosen: () => string | null
}): Promise<SignInIssuer> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  const issuer = `http://localhost:${(server.address() as AddressInfo).port}`
  const { privateKey } = await generateKeyPair('RS256', { extractable: true })
  const jwks = { keys: [{ ...(await exportJWK(privateKey)), kid: 'sign-in', use: 'sig', alg: 'RS256' }] }
  const provider: Provider = new Provider(issuer, { ...configuration(options, () => provider), jwks })
  const answer = provider.callback()
  server.on('request', (request, response) => {
    if (!request.url?.startsWith('/choose/')) return answer(request, response)
    const account = options.chosen()
    const result = account === null ? { error: 'access_denied' } : { login: { accountId: account } }
    void provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false })
  })
  return {
    issuer,
    mint: (claims, header = {}) =>
      new SignJWT({ ...claims }).setProtectedHeader({ alg: 'RS256', kid: 'sign-in', ...header }).sign(privateKey),
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        // closing twice is closing
        server.close(() => resolve())
      }),
  }
}

function configuration({ redirectUri, accounts }: Parameters<typeof startSignInIssuer>[0], provider: () => Provider): object {
  const client = { redirect_uris: [redirectUri], grant_types: ['authorization_code'], response_types: ['code'] }
  return {
    clients: [
      { client_id: publicClient, token_endpoint_auth_method: 'none', ...client },
      { client_id: confidentialClient, client_secret: signInSecret, token_endpoint_auth_method: 'client_secret_basic', ...client },
    ],
    scopes: ['openid', 'groups'],
    claims: { openid: ['sub'], groups: ['groups', 'email', 'email_verified'] },
    pkce: { required: () => true },
    cookies: { keys: ['a-key-for-the-cookies-of-a-test'] },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_ctx: unknown, { uid }: { readonly uid: string }) => `/choose/${uid}` },
    findAccount: (_ctx: unknown, id: string) => ({ accountId: id, claims: async () => ({ sub: id, ...accounts[id] }) }),
    loadExistingGrant: async ({ oidc }: GrantContext) => {
      const grant = new (provider().Grant)({ clientId: oidc.client.clientId, accountId: oidc.session.accountId })
      grant.addOIDCScope('openid groups')
      await grant.save()
      return grant
    },
  }
}

interface GrantContext {
  readonly oidc: { readonly client: { readonly clientId: string }; readonly session: { readonly accountId: string } }
}
