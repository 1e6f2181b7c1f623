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
    unsafe_standing: z
      .literal(true, 'this credential is standing: say unsafe_standing: true, or use oauth or jwt')
      .describe('Admits that this secret outlives every task.'),
    ttl: durationBetween(1000, 3_600_000).default(300_000).describe('How long a lease is used before the secret is read again.'),
    apply: Apply,
  })
  .describe('A standing secret from a file or a variable, flagged in every record.')

export type StaticConfig = z.infer<typeof StaticConfig>

/** What cannot be had just in time yet: a secret that stands, said so. Nothing can revoke it, its leases end by being dropped. */
export const fixed = defineProvider({
  type: 'static',
  config: StaticConfig,
  open,
  standing: () => [
    {
      at: ['value'],
      what: 'the credential itself, lent as it is to every task',
      instead: 'Have one issued for each task: oauth, vault, jwt, or the provider of the platform it belongs to.',
    },
  ],
})

function open(config: StaticConfig, services: ProviderServices): CredentialProvider {
  if (textOf(services.secret(config.value)) === '') throw new Error('the static credential is empty')
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
  try {
    text = textOf(secret(config.value))
  } catch {
    throw new Refusal('credential.unavailable', { detail: 'the static credential cannot be read' })
  }
  if (text === '') throw new Refusal('credential.unavailable', { detail: 'the static credential is empty' })
  return { secret: new Secret(text), expires: clock() + wanted.ttl, scopes: [], handle: null, revocation: 'discard', excess: null }
}
