/** Client authentication by our own workload identity. */
import type { ClientAuth } from 'oauth4webapi'
import type { OauthConfig } from './oauth-config.ts'
import { ownIdentity } from './own-identity.ts'
import type { ProviderServices } from './provider.ts'

type SvidClient = OauthConfig['client'] & { readonly authenticate: 'jwt-svid' }

const types = {
  'jwt-spiffe': 'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe',
  'jwt-bearer': 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
} as const

/**
 * A JWT-SVID as client assertion (OAuth SPIFFE client authentication; RFC 7523 §2.2 for `jwt-bearer`). Its subject is our SPIFFE ID, which is
 * what the issuer knows us by; its audience is the issuer identifier.
 */
export function assertion(client: SvidClient, services: ProviderServices, issuer: string, signal: AbortSignal): ClientAuth {
  return async (_server, _client, body) => {
    const token = await ownIdentity(client.identity, services, client.audience ?? issuer, crypto.randomUUID(), signal)
    if (client.id !== undefined) body.set('client_id', client.id)
    body.set('client_assertion_type', types[client.assertion])
    body.set('client_assertion', token.reveal())
  }
}
