/** One GET to the server that bundles come from: over a connection of its own, with what proves us read anew. */
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { getCACertificates, TLSSocket } from 'node:tls'
import { Agent, buildConnector, request } from 'undici'
import type { BundleConfig } from './config/bundle.ts'
import { secretReader } from './config/keys.ts'
import type { Env } from './config/yaml-text.ts'
import type { Answer, Ask } from './decide/source/http.ts'
import { SvidTls, type UpstreamIdentity } from './forward/svid.ts'
import { Refusal } from './refusal.ts'

export interface ServerOptions {
  readonly bundle: BundleConfig
  /** Folder that relative paths start from. */
  readonly folder: string
  readonly env: Env
  /** What `tls: svid` shows and is shown; null while no source gives an SVID. */
  readonly identity: () => UpstreamIdentity | null
  /** Epoch ms. */
  readonly clock: () => number
}

const connectTime = 5000

/**
 * Makes the way to ask. Nothing is kept between two requests: a token, a certificate or an SVID that was replaced is used at once, and the
 * server proves itself each time. The caller's signal is the only limit of time.
 */
export function bundleServer(options: ServerOptions): Ask {
  return async (url, headers, signal) => {
    const { auth } = options.bundle
    const agent = new Agent({ connect: connector(options), connections: 1, headersTimeout: 0, bodyTimeout: 0 })
    const end = (): void => void agent.destroy().catch(() => undefined)
    try {
      const proof = auth?.bearer !== undefined ? { authorization: `Bearer ${tokenOf(options, auth.bearer)}` } : {}
      const { statusCode, headers: given, body } = await request(url, { dispatcher: agent, headers: { ...headers, ...proof }, signal })
      // who ends the exchange early has no use for its error
      body.on('error', () => undefined)
      const answer: Answer = { status: statusCode, header: (name) => [given[name] ?? []].flat()[0] ?? null, body }
      return { answer, end }
    } catch (error) {
      end()
      throw error instanceof Refusal ? new Error(error.detail ?? error.title, { cause: error }) : error
    }
  }
}

function tokenOf({ folder, env }: ServerOptions, ref: { readonly file: string } | { readonly env: string }): string {
  const token = secretReader(folder, env)(ref).reveal().trim()
  // what a header cannot hold must not be quoted by whoever refuses to send it
  if (!/^[\x21-\x7e]+$/.test(token)) throw new Error('the bearer token is empty, or holds what no header can')
  return token
}

function connector(options: ServerOptions): buildConnector.connector {
  const { bundle, folder } = options
  const { auth, ca } = bundle
  const read = (file: string): string => readFileSync(resolve(folder, file), 'utf8')
  const base = { allowH2: false, timeout: connectTime, maxCachedSessions: 0 }
  if (auth?.tls !== undefined && auth.id !== undefined) return svidConnector(options, auth.id, base)
  const trusted = ca === undefined ? {} : { ca: [...getCACertificates('default'), read(ca.file)] }
  const shown = auth?.cert !== undefined && auth.key !== undefined ? { cert: read(auth.cert.file), key: read(auth.key.file) } : {}
  return buildConnector({ ...base, ...trusted, ...shown })
}

/** OpenSSL judges nothing: the SPIFFE ID of the server is proven before the socket is handed on, and so before anything is written. */
function svidConnector({ identity, clock }: ServerOptions, id: string, base: buildConnector.BuildOptions): buildConnector.connector {
  const own = identity()
  if (own === null) throw new Error('there is no SVID to show the server: no identity source gives one')
  const tls = new SvidTls(own, [id], clock)
  const held = tls.held()
  const connect = buildConnector({ ...base, secureContext: held.context, rejectUnauthorized: false })
  return (to, callback) => {
    connect({ ...to, servername: isIP(to.hostname) === 0 ? to.hostname : '' }, (error, socket) => {
      if (error !== null) return callback(error, null)
      try {
        if (!(socket instanceof TLSSocket)) throw new Error('a certificate needs an https URL')
        tls.prove(socket, held)
      } catch (fault) {
        socket.destroy()
        return callback(fault instanceof Refusal ? new Error(fault.detail ?? fault.title, { cause: fault }) : new Error('not proven'), null)
      }
      callback(null, socket)
    })
  }
}
