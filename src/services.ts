/** What a configuration names besides its stages: notifiers, introspection clients, certificate authorities; and what providers are handed. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { getCACertificates } from 'node:tls'
import { Agent, fetch as fetchBy } from 'undici'
import { secretReader } from './config/keys.ts'
import type { Loaded } from './config/load.ts'
import { introspectionClients, makeIntrospection, type Introspection } from './credential/introspect.ts'
import type { ProviderServices } from './credential/provider.ts'
import type { Foundation } from './foundation.ts'
import type { Notifier } from './notify/notifier.ts'
import { openNotifier } from './notify/registry.ts'
import { ownToken } from './trust.ts'

export function notifiersOf({ config, folder }: Loaded, on: Foundation): ReadonlyMap<string, Notifier> {
  const services = { clock: on.clock, secret: secretReader(folder, on.env), fetch }
  return new Map(Object.entries(config.decide.notifiers).map(([name, settings]) => [name, openNotifier(name, settings, services)]))
}

export function providerServices({ folder }: Loaded, on: Foundation): ProviderServices {
  const { clock, signingKey, issuer } = on
  return { clock, signingKey, issuer, secret: secretReader(folder, on.env), svid: ownToken(on), fetch, trusting: trusting(folder) }
}

/** A client of its own for each file: connections of one are never used by another. */
function trusting(folder: string): ProviderServices['trusting'] {
  return (file) => {
    const ca = [...getCACertificates('default'), readFileSync(resolve(folder, file), 'utf8')]
    const dispatcher = new Agent({ connect: { ca } })
    return (url, init) => fetchBy(url, { ...init, dispatcher } as Parameters<typeof fetchBy>[1]) as unknown as Promise<Response>
  }
}

export function introspectOf({ config, folder }: Loaded, on: Foundation): Introspection | null {
  const clients = introspectionClients(config.credential.providers, secretReader(folder, on.env))
  return makeIntrospection({ clients, book: on.credential.book, clock: on.clock })
}

export function authorities({ config, folder }: Loaded): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, readonly string[]>()
  for (const [name, { ca }] of Object.entries(config.forward.routes))
    if (ca !== undefined) found.set(name, [readFileSync(resolve(folder, ca.file), 'utf8')])
  return found
}
