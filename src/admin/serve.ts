import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { unlinkSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { isStaleSocket } from '../listen/stale-socket.ts'

/** Where a small server listens: host and port (0: a free one), or a unix socket. */
export type At = { readonly host: string; readonly port: number } | { readonly path: string }

/** A small plain HTTP server for people, probes and scrapers; never on the path of a call. */
export interface Serving {
  /** The port really taken; 0 on a unix socket. */
  readonly port: number
  close(): Promise<void>
}

/** Starts a server whose `respond` answers every request and never rejects. Rejects when the place is taken. */
export async function serve(at: At, respond: (request: IncomingMessage, response: ServerResponse) => Promise<void>): Promise<Serving> {
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000, maxHeaderSize: 16 * 1024 }, (request, response) => {
    request.on('error', () => response.destroy())
    response.on('error', () => response.destroy())
    respond(request, response).catch(() => response.destroy())
  })
  server.on('clientError', (_error, socket) => socket.destroy())
  server.maxConnections = 256
  await open(server, at)
  const address = server.address()
  return { port: isPort(address) ? address.port : 0, close: async () => close(server) }
}

async function open(server: Server, at: At): Promise<void> {
  if ('path' in at && (await isStaleSocket(at.path))) unlinkSync(at.path)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(at, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

async function close(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

function isPort(address: AddressInfo | string | null): address is AddressInfo {
  return address !== null && typeof address === 'object'
}
