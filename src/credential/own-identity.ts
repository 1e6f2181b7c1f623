/** How Countersign proves to an issuer who it is: `identity` of the providers that can take its own workload identity. */
import type { JWTPayload } from 'jose'
import { z } from 'zod'
import { Secret } from '../secret.ts'
import { textOf, type ProviderServices } from './provider.ts'

/**
 * `svid`: a JWT-SVID of our own from the Workload API. `signed`: a JWT that our own key signs, for issuers that read our published key set.
 * `{ token_file }`: a token that the platform keeps fresh in a file, such as a projected service-account token; read anew each time.
 */
export const OwnIdentityConfig = z
  .union([z.enum(['svid', 'signed']), z.strictObject({ token_file: z.string().min(1) })])
  .default('svid')
  .describe('How Countersign proves who it is: svid, signed (by the key of `credential.key`), or { token_file }.')

export type OwnIdentityConfig = z.infer<typeof OwnIdentityConfig>

/** A minute is enough to be used once. */
const life = 60

/**
 * Gives a token that proves who we are to `audience`. `more`: further claims, which only a token of our own key (`signed`) can carry. Rejects with `credential.unavailable`, or an Error when the file
 * cannot be read.
 */
export async function ownIdentity(
  config: OwnIdentityConfig,
  services: ProviderServices,
  audience: string,
  id: string,
  signal: AbortSignal,
  more: JWTPayload = {},
): Promise<Secret> {
  if (config === 'svid') return services.svid(audience, signal)
  if (config !== 'signed') return new Secret(textOf(services.secret({ file: config.token_file })))
  const iat = Math.floor(services.clock() / 1000)
  const { issuer } = services
  return new Secret(
    await services.signingKey.sign('JWT', { ...more, iss: issuer, sub: issuer, aud: audience, iat, exp: iat + life, jti: id }),
  )
}
