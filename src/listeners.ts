/** What listening needs of a configuration: listeners, the certificates of those that speak TLS, addresses and limits. */
import { resolve } from 'node:path'
import { addressesOf, placeOf } from './config/catalogue.ts'
import { fileIdentity } from './config/file-identity.ts'
import type { Loaded } from './config/load.ts'
import type { Foundation } from './foundation.ts'
import type { OwnIdentity } from './identify/own.ts'
import type { Call } from './listen/call.ts'
import type { ListenerOptions, ListenOptions } from './listen/proxy.ts'
import type { ServerIdentity } from './listen/server-identity.ts'

/** What TLS listeners are served with: our own SVID as `svid`, pairs of files by their names. */
export type ServerIdentities = ReadonlyMap<string, ServerIdentity>

/**
 * Opens what the TLS listeners of a configuration are served with; what `previous` has open already stays as it is.
 * Throws when a pair of files cannot be used, or when there is no source of an SVID.
 */
export function serverIdentities(
  { config, folder }: Loaded,
  log: Foundation['log'],
  own: OwnIdentity | null,
  previous: ServerIdentities | null,
): ServerIdentities {
  const found = new Map<string, ServerIdentity>()
  for (const { tls } of config.listen.agent) {
    const name = nameOf(tls, folder)
    if (name === null || tls === undefined) continue
    if (tls !== 'svid') {
      const [cert, key] = [resolve(folder, tls.cert.file), resolve(folder, tls.key.file)]
      found.set(name, previous?.get(name) ?? fileIdentity({ cert, key, log }))
    } else if (own === null) throw new Error('listen.agent: tls: svid, and no identity source gives an SVID of our own')
    else found.set(name, own)
  }
  return found
}

/** `handle` is looked up per call, so that a swap takes the next one. */
export function listenOptions(
  { loaded, identities }: { readonly loaded: Loaded; readonly identities: ServerIdentities },
  on: Foundation,
  handle: (call: Call) => Promise<void>,
): ListenOptions {
  const { listen } = loaded.config
  const { limits } = listen
  return {
    listeners: listenersOf(loaded, identities),
    routes: addressesOf(loaded.config),
    hosts: listen.hosts,
    limits: {
      headerBytes: limits.headers,
      headerCount: limits.header_count,
      target: limits.target,
      body: limits.body,
      callsPerCaller: limits.calls_per_caller,
      overload: listen.overload,
      connections: limits.connections,
      headerTime: limits.header_time,
      bodyTime: limits.body_time,
      callTime: limits.call_time,
    },
    newId: on.newId,
    clock: on.clock,
    sample: on.sample,
    handle,
    malformed: (listener, reason) => on.recorder.malformed(listener, reason),
  }
}

/** Those of all routes, and the own ones of single routes: they are on loopback and speak plain HTTP. */
function listenersOf({ config, folder }: Loaded, identities: ServerIdentities): ListenerOptions[] {
  const shared = config.listen.agent.map(({ at, ambient, tls, client_certificates: asks }, index) => ({
    name: `agent.${index}`,
    at: placeOf(at),
    route: null,
    ambient: ambient ?? null,
    tls: identities.get(nameOf(tls, folder) ?? '') ?? null,
    asks,
  }))
  const own = Object.entries(config.forward.routes).flatMap(([name, { port }]) =>
    port === undefined ? [] : [{ name: `route.${name}`, at: { host: '127.0.0.1', port }, route: name, ambient: null, tls: null }],
  )
  return [...shared, ...own]
}

function nameOf(tls: Loaded['config']['listen']['agent'][number]['tls'], folder: string): string | null {
  if (tls === undefined) return null
  return tls === 'svid' ? 'svid' : `${resolve(folder, tls.cert.file)}\n${resolve(folder, tls.key.file)}`
}
