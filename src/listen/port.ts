/** One port (or unix socket) that agents reach: node:http with its strictest parser, and what becomes of what it cannot parse. */
import { unlink } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { Refusal } from '../refusal.ts'
import { Connection } from './connection.ts'
import type { Limits } from './limits.ts'
import { isStaleSocket } from './stale-socket.ts'

/** Where to listen. Port 0 takes a free one. */
export type ListenAt = { readonly host: string; readonly port: number } | { readonly path: string }

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
  setLimits(limits: Limits): void
  /** Stops accepting and closes idle connections; resolves when the last one is closed. */
  close(): Promise<void>
  /** Destroys what is still open. */
  destroy(): void
}

/** Room in the parser above our own limits, so that a head a little too long still becomes a call that is refused and recorded. */
const slack = 4096
/** An idle kept connection lives this long; clients close earlier. */
const idleTime = 75_000

/** Opens a port. Rejects when it cannot be had; a stale unix socket that nobody answers on is replaced. */
export async function openPort(at: ListenAt, limits: Limits, events: PortEvents): Promise<Port> {
  const server = createServer({
    insecureHTTPParser: false,
    requireHostHeader: false, // we refuse it ourselves, with a record
    noDelay: true,
    keepAliveTimeout: idleTime,
    connectionsCheckingInterval: Math.max(20, Math.min(1000, limits.headerTime / 4)),
  })
  setLimits(server, limits)
  const room = { most: limits.connections }
  attach(server, events, room)
  await bind(server, at)
  const closed = Promise.withResolvers<void>()
  server.on('close', () => closed.resolve())
  const address = server.address()
  return {
    number: isInternet(address) ? address.port : 0,
    setLimits: (next) => {
      room.most = next.connections
      setLimits(server, next)
    },
    close: () => {
      server.close()
      server.closeIdleConnections()
      return closed.promise
    },
    destroy: () => server.closeAllConnections(),
  }
}

function setLimits(server: Server, limits: Limits): void {
  server.headersTimeout = limits.headerTime
  server.requestTimeout = limits.bodyTime === 0 ? 0 : limits.headerTime + limits.bodyTime
  server.maxHeadersCount = 0 // node:http drops what is over its count silently; ours refuses
  // read by node:http when a connection opens; an option at construction, a plain property after it
  Object.assign(server, { maxHeaderSize: limits.headerBytes + limits.target + slack })
}

function attach(server: Server, events: PortEvents, room: { readonly most: number }): void {
  const connections = new WeakMap<object, Connection>()
  /** Those not closed, oldest first. */
  const open = new Set<Connection>()
  const connectionOf = (socket: Socket): Connection => {
    const known = connections.get(socket)
    if (known !== undefined) return known
    const connection = new Connection(socket)
    connections.set(socket, connection)
    return connection
  }
  const arrived = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    const connection = connectionOf(incoming.socket)
    // after the last answer nothing is a request any more; the connection is being closed
    if (!connection.closing) events.arrived(connection, incoming, outgoing)
  }
  server.on('connection', (socket: Socket) => {
    if (open.size >= room.most && !makeRoom(open)) {
      events.malformed('too many connections')
      socket.destroy()
    }
    const connection = connectionOf(socket)
    if (!socket.destroyed) open.add(connection)
    socket.once('close', () => open.delete(connection))
  })
  server.on('request', arrived)
  server.on('checkContinue', arrived) // `100 Continue` is sent when somebody reads the body, not before the call is allowed
  server.on('checkExpectation', arrived)
  server.on('clientError', (error, socket) => {
    const reason = connectionOf(socket as Socket).broke(error)
    if (reason !== null) events.malformed(reason)
  })
  server.on('connect', (_incoming, socket) => {
    const reason = 'CONNECT is not served'
    connectionOf(socket as Socket).answerBare(new Refusal('listen.malformed', { reasons: [reason] }))
    events.malformed(reason)
  })
}

/** Ends the connection that has been there longest without a call: nobody keeps others out by holding connections open. */
function makeRoom(open: Set<Connection>): boolean {
  for (const connection of open) {
    if (connection.calls.size > 0) continue
    open.delete(connection)
    connection.socket.destroy()
    return true
  }
  return false
}

async function bind(server: Server, at: ListenAt): Promise<void> {
  try {
    await listening(server, at)
  } catch (error) {
    if (!('path' in at) || !isInUse(error) || !(await isStaleSocket(at.path))) throw error
    await unlink(at.path)
    await listening(server, at)
  }
}

function listening(server: Server, at: ListenAt): Promise<void> {
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
