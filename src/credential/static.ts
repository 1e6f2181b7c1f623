import { z } from 'zod'
import { Refusal } from '../refusal.ts'
import { Secret } from '../secret.ts'
import type { CredentialProvider, Issued, Wanted } from './credential.ts'
import { durationBetween } from '../units.ts'
import { Apply, placementOf } from './placement.ts'
import { defineProvider, textOf, type ProviderServices } from './provider.ts'
import { SecretRef } from './secret-ref.ts'

/** Settings of a `static` provider. */
export const StaticConfig = z
  .strictObject({
    type: z.literal('static'),
    value: SecretRef,
    user: z
      .string()
      .regex(/^[\x20-\x39\x3b-\x7e]{1,128}$/, 'must be printable ASCII without a colon')
      .optional()
      .describe(
        'The name that belongs to the secret: a user, or an access key id. Goes where apply says { basic: { from: credential } } or sigv4.',
      ),
    certificate: SecretRef.optional().describe(
      'PEM of the certificate, with its chain, whose key value is. Needed for apply: { tls: true }.',
    ),
    unsafe_standing: z
      .literal(true, 'this credential is standing: say unsafe_standing: true, or use oauth or jwt')
      .describe('Admits that this secret outlives every task.'),
    ttl: durationBetween(1000, 3_600_000).default(300_000).describe('How long a lease is used before the secret is read again.'),
    apply: Apply,
  })
  .describe('A standing secret from a file or a variable, flagged in every record.')

export type StaticConfig = z.infer<typeof StaticConfig>

/** What cannot be had just in time yet: a secret that stands, said so. Nothing can revoke it, its leases end by being dropped. */
export const fixed = defineProvider({ type: 'static', config: StaticConfig, open })

function open(config: StaticConfig, services: ProviderServices): CredentialProvider {
  if (textOf(services.secret(config.value)) === '') throw new Error('the static credential is empty')
  if (config.certificate !== undefined) services.secret(config.certificate)
  return {
    type: 'static',
    placement: placementOf(config.apply),
    standing: true,
    offer: { scopes: [], audiences: [], ttl: config.ttl, subject: false },
    issue: (wanted, signal) => lend(config, services, wanted, signal),
  }
}

/** Reads the secret on every issue: a file that was replaced is picked up by the next lease. */
async function lend(config: StaticConfig, { secret, clock }: ProviderServices, wanted: Wanted, signal: AbortSignal): Promise<Issued> {
  signal.throwIfAborted()
  let text: string
  let certificate: Secret | null
  try {
    text = textOf(secret(config.value))
    certificate = config.certificate === undefined ? null : secret(config.certificate)
  } catch {
    throw new Refusal('credential.unavailable', { detail: 'the static credential cannot be read' })
  }
  if (text === '') throw new Refusal('credential.unavailable', { detail: 'the static credential is empty' })
  return {
    secret: new Secret(text),
    ...(config.user === undefined ? {} : { user: config.user }),
    ...(certificate === null ? {} : { parts: { certificate } }),
    expires: clock() + wanted.ttl,
    scopes: [],
    handle: null,
    revocation: 'discard',
    excess: null,
  }
}
