import { generateSigningKey } from '../../src/credential/keys.ts'
import type { CredentialProvider, Wanted } from '../../src/credential/credential.ts'
import type { ProviderServices } from '../../src/credential/provider.ts'
import { openProvider, ProviderConfig } from '../../src/credential/registry.ts'
import { Secret } from '../../src/secret.ts'
import { TestClock } from './identity-rig.ts'

export const key = await generateSigningKey()

/** What providers are handed: secrets from a map of names, a clock that stands still, the real network client. */
export function providerServices(
  secrets: Readonly<Record<string, string>>,
  clock: () => number = new TestClock().now,
  changes: Partial<ProviderServices> = {},
): ProviderServices {
  return {
    clock,
    issuer: 'https://countersign.acme.example',
    signingKey: key,
    fetch,
    trusting: () => fetch,
    svid: async (audience) => new Secret(`svid-for-${audience}`),
    secret: (ref) => {
      const value = secrets['env' in ref ? ref.env : ref.file]
      if (value === undefined) throw new Error('there is no such secret')
      return new Secret(value)
    },
    ...changes,
  }
}

/** Opens a provider from settings as a person writes them. */
export function provider(config: object, services: ProviderServices): CredentialProvider {
  return openProvider('under-test', ProviderConfig.parse(config), services)
}

export function wanted(changes: Partial<Wanted> = {}): Wanted {
  return {
    lease: 'l_01JDZZZZZZZZZZZZZZZZZZZZZZ',
    task: 't_01JDZZZZZZZZZZZZZZZZZZZZZZ',
    caller: 'spiffe://acme.example/ns/support/sa/refund-agent',
    tool: 'crm.customer.read',
    destination: 'https://crm.acme.example/api',
    scopes: [],
    audience: null,
    ttl: 60_000,
    subject: null,
    ...changes,
  }
}

/** A signal that never aborts. */
export const calm = new AbortController().signal
