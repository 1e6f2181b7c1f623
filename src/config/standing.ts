/** What still stands: every secret of a configuration that outlives the task it is used for. */
import { standingOf } from '../credential/registry.ts'
import type { Config } from './schema.ts'

/** One standing secret: where it stands, what it is, where it is used, and what would replace it. Never its value. */
export interface Standing {
  /** Path of the setting, such as `credential.providers.mail.value`. */
  readonly place: string
  readonly what: string
  /** Routes whose calls it credentials; empty: it is no credential of a route, or no route names its provider. */
  readonly routes: readonly string[]
  readonly instead: string
  /** True when agents' calls carry it: the others only prove Countersign itself to somebody. */
  readonly lent: boolean
}

/**
 * Gives them in the order of the configuration. Not among them are the keys that Countersign signs and seals with (`task.state.key`,
 * `credential.key`, `record.ledger.key`): they open nothing that belongs to others.
 */
export function standingSecrets(config: Config): Standing[] {
  return [
    ...admin(config),
    ...bundle(config),
    ...hooks(config),
    ...sinks(config),
    ...providers(config),
    ...listeners(config),
    ...traces(config),
  ]
}

function providers({ credential, forward }: Config): Standing[] {
  return Object.entries(credential.providers).flatMap(([name, settings]) => {
    const routes = Object.entries(forward.routes).flatMap(([route, { credential: used }]) => (used === name ? [route] : []))
    const lent = 'unsafe_standing' in settings
    return standingOf(settings).map(({ at, what, instead }) => ({
      place: ['credential.providers', name, ...at].join('.'),
      what,
      routes,
      instead,
      lent,
    }))
  })
}

function admin({ admin: { sign_in: signIn } }: Config): Standing[] {
  if (signIn.oidc?.secret === undefined) return []
  const instead = 'Leave it out where the issuer takes public clients: the sign-in is held by PKCE.'
  return [other('admin.sign_in.oidc.secret', 'the client secret of the sign-in', instead)]
}

function bundle({ decide }: Config): Standing[] {
  const auth = decide.bundle?.auth
  const instead = 'Show our SVID to the bundle server: `auth: { tls: svid, id: … }`.'
  const found: Standing[] = []
  if (auth?.bearer !== undefined) found.push(other('decide.bundle.auth.bearer', 'the token for the bundle server', instead))
  if (auth?.key !== undefined) found.push(other('decide.bundle.auth.key', 'the client key for the bundle server', instead))
  return found
}

/** Secrets that sign what people and systems are told. */
function hooks({ decide, approve }: Config): Standing[] {
  const instead = 'Nothing replaces it yet: it signs notices and opens nothing. Renew it at both ends from time to time.'
  const signed = (place: string, settings: object): Standing[] =>
    'secret' in settings && settings.secret !== undefined ? [other(`${place}.secret`, 'the secret that signs notices', instead)] : []
  return [
    ...Object.entries(decide.notifiers ?? {}).flatMap(([name, settings]) => signed(`decide.notifiers.${name}`, settings)),
    ...approve.channels.flatMap((settings, index) => signed(`approve.channels[${index}]`, settings)),
  ]
}

/** Secrets by which Countersign proves itself to the receivers of its ledger. */
function sinks({ record }: Config): Standing[] {
  const instead =
    'Show a short-lived certificate (`tls`), or have `file` lead to a token that is renewed: it is read anew for each request.'
  const signs = 'Nothing replaces it yet: it signs events and opens nothing. Renew it at both ends from time to time.'
  return record.sinks.flatMap((settings, index) => {
    if (!('url' in settings)) return []
    const place = `record.sinks[${index}]`
    const found: Standing[] = []
    if (settings.token !== undefined) found.push(other(`${place}.token`, 'the token for the receiver of a record sink', instead))
    for (const name of Object.keys(settings.headers))
      found.push(other(`${place}.headers.${name}`, 'a header for the receiver of a record sink', instead))
    if (settings.tls?.key !== undefined) found.push(other(`${place}.tls.key`, 'the client key for the receiver of a record sink', instead))
    if ('secret' in settings && settings.secret !== undefined) found.push(other(`${place}.secret`, 'the secret that signs events', signs))
    return found
  })
}

function listeners({ listen }: Config): Standing[] {
  return listen.agent.flatMap(({ tls }, index) =>
    tls === undefined || tls === 'svid'
      ? []
      : [
          other(
            `listen.agent[${index}].tls`,
            'the private key of the listener',
            'Serve it with the SVID of this Countersign: `tls: svid`.',
          ),
        ],
  )
}

function traces({ record }: Config): Standing[] {
  if (record.traces?.token === undefined) return []
  return [
    other(
      'record.traces.token',
      'the token for the receiver of spans',
      'Send spans to a collector beside it, which holds the token instead.',
    ),
  ]
}

function other(place: string, what: string, instead: string): Standing {
  return { place, what, routes: [], instead, lent: false }
}
