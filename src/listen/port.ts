/** One port (or unix socket) that agents reach: node:http with its strictest parser, and what becomes of what it cannot parse. */
import { unlink } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { Refusal } from '../refusal.ts'
import type { Connection } from './connection.ts'
import { Connections } from './connections.ts'
import type { Limits } from './limits.ts'
import { handshakeFault, SecureServer } from './secure-server.ts'
import type { ServerIdentity } from './server-identity.ts'
import { isStaleSocket } from './stale-socket.ts'

/** Where to listen. Port 0 takes a free one. */
export type ListenAt = { readonly host: string; readonly port: number } | { readonly path: string }

export interface PortOptions {
  readonly at: ListenAt
  readonly limits: Limits
  /** What TLS is served with; null: plain HTTP. */
  readonly identity: ServerIdentity | null
  /** Over TLS: asks clients for a certificate. */
  readonly asks: boolean
  /** Epoch ms. */
  readonly clock: () => number
}

/** What a port tells its owner. */
export interface PortEvents {
  arrived(connection: Connection, incoming: IncomingMessage, outgoing: ServerResponse): void
  /** No call could be made of what came. */
  malformed(reason: string): void
}

/** An open port. */
export interface Port {
  /** 0 for a unix socket. */
  readonly number: number
  /** True while a TLS port has nothing to serve with. */
  readonly lapsed: boolean
  setLimits(limits: Limits): void
  /** Goes on with another identity; without effect on a plain port. */
  serve(identity: ServerIdentity): void
  /** Stops accepting and closes idle connections; resolves when the last one is closed. */
  close(): Promise<void>
  /** Destroys what is still open. */
  destroy(): void
}

type AnyServer = Server | HttpsServer

/** Room in the parser above our own limits, so that a head a little too long still becomes a call that is refused and recorded. */
const slack = 4096
/** An idle kept connection lives this long; clients close earlier. */
const idleTime = 75_000

/** Opens a port. Rejects when it cannot be had; a stale unix socket that nobody answers on is replaced. */
export async function openPort({ at, limits, identity, asks, clock }: PortOptions, events: PortEvents): Promise<Port> {
  const every = Math.max(20, Math.min(1000, limits.headerTime / 4))
  const strict = strictOptions(every)
  const connections = new Connections(limits.connections)
  const malformed = (reason: string): void => events.malformed(reason)
  const handshakeTime = limits.headerTime
  const secure =
    identity === null ? null : new SecureServer(strict, { identity, asks, clock, handshakeTime, every, connections, malformed })
  const server = secure?.server ?? plainServer(strict, connections, events)
  setLimits(server, limits)
  attach(server, connections, events)
  try {
    await bind(server, at)
  } catch (error) {
    secure?.release()
    throw error
  }
  return portOf(server, connections, secure)
}

function portOf(server: AnyServer, connections: Connections, secure: SecureServer | null): Port {
  const closed = Promise.withResolvers<void>()
  server.on('close', () => {
    secure?.release()
    closed.resolve()
  })
  const address = server.address()
  return {
    number: isInternet(address) ? address.port : 0,
    get lapsed() {
      return secure !== null && secure.lapsed
    },
    setLimits: (next) => {
      connections.most = next.connections
      setLimits(server, next)
    },
    serve: (identity) => secure?.serve(identity),
    close: () => {
      server.close()
      server.closeIdleConnections()
      connections.endHandshakes()
      return closed.promise
    },
    destroy: () => {
      server.closeAllConnections()
      secure?.destroy()
    },
  }
}

function strictOptions(every: number): ServerOptions {
  return {
    insecureHTTPParser: false,
    requireHostHeader: false, // we refuse it ourselves, with a record
    noDelay: true,
    keepAliveTimeout: idleTime,
    connectionsCheckingInterval: every,
  }
}

function setLimits(server: AnyServer, limits: Limits): void {
  server.headersTimeout = limits.headerTime
  server.requestTimeout = limits.bodyTime === 0 ? 0 : limits.headerTime + limits.bodyTime
  server.maxHeadersCount = 0 // node:http drops what is over its count silently; ours refuses
  // read by node:http when a connection opens; an option at construction, a plain property after it
  Object.assign(server, { maxHeaderSize: limits.headerBytes + limits.target + slack })
}

function plainServer(strict: ServerOptions, connections: Connections, events: PortEvents): Server {
  const server = createServer(strict)
  server.on('connection', (socket: Socket) => {
    if (!connections.plain(socket)) events.malformed('too many connections')
  })
  return server
}

function attach(server: AnyServer, connections: Connections, events: PortEvents): void {
  const arrived = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    const connection = connections.of(incoming.socket)
    // after the last answer nothing is a request any more; the connection is being closed
    if (!connection.closing) events.arrived(connection, incoming, outgoing)
  }
  server.on('request', arrived)
  server.on('checkContinue', arrived) // `100 Continue` is sent when somebody reads the body, not before the call is allowed
  server.on('checkExpectation', arrived)
  server.on('clientError', (error, stream) => {
    const socket = stream as Socket
    const known = connections.has(socket)
    const reason = known ? connections.of(socket).broke(error) : handshakeFault(error)
    if (!known) socket.destroy()
    if (reason !== null) events.malformed(reason)
  })
  server.on('connect', (_incoming, socket) => {
    const reason = 'CONNECT is not served'
    connections.of(socket as Socket).answerBare(new Refusal('listen.malformed', { reasons: [reason] }))
    events.malformed(reason)
  })
}

async function bind(server: AnyServer, at: ListenAt): Promise<void> {
  try {
    await listening(server, at)
  } catch (error) {
    if (!('path' in at) || !isInUse(error) || !(await isStaleSocket(at.path))) throw error
    await unlink(at.path)
    await listening(server, at)
  }
}

function listening(server: AnyServer, at: ListenAt): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ ...at, backlog: 1024 }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function isInUse(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
}

function isInternet(address: string | AddressInfo | null): address is AddressInfo {
  return address !== null && typeof address === 'object'
}
