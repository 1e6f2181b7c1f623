/**
 * The yardstick: node:http in front, undici behind, nothing between them. No identity, no policy, no credential, no record, no
 * limits, no checks: what forwarding alone costs on this Node. Takes the upstream's port and its own.
 */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { Pool, type Dispatcher } from 'undici'

const [upstream, port] = process.argv.slice(2).map(Number)
const pool = new Pool(`http://127.0.0.1:${upstream}`, { connections: 256, pipelining: 1, headersTimeout: 0, bodyTimeout: 0 })
/** A body of at most this many bytes is sent in one piece, which is faster than streaming it. */
const small = 65_536

createServer({ noDelay: true, keepAliveTimeout: 75_000 }, (incoming, outgoing) => {
  const length = Number(incoming.headers['content-length'] ?? 0)
  if (length === 0 && incoming.headers['transfer-encoding'] === undefined) send(incoming, outgoing, null)
  else if (length > 0 && length <= small) collect(incoming, (body) => send(incoming, outgoing, body))
  else send(incoming, outgoing, incoming)
}).listen(port, '127.0.0.1')

function collect(incoming: IncomingMessage, done: (body: Buffer) => void): void {
  const pieces: Buffer[] = []
  incoming.on('data', (piece: Buffer) => pieces.push(piece))
  incoming.on('end', () => done(pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces)))
}

function send(incoming: IncomingMessage, outgoing: ServerResponse, body: Buffer | IncomingMessage | null): void {
  const method = incoming.method ?? 'GET'
  const headers = without(incoming.rawHeaders, body instanceof Buffer)
  pool.dispatch({ method, path: incoming.url ?? '/', headers, body }, new Passage(outgoing))
}

function without(raw: readonly string[], measured: boolean): string[] {
  const list: string[] = []
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = (raw[at] ?? '').toLowerCase()
    if (name === 'host' || name === 'connection' || name === 'transfer-encoding' || (measured && name === 'content-length')) continue
    list.push(name, raw[at + 1] ?? '')
  }
  return list
}

class Passage implements Dispatcher.DispatchHandler {
  readonly #outgoing: ServerResponse

  constructor(outgoing: ServerResponse) {
    this.#outgoing = outgoing
  }

  onRequestStart(): void {}

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, fields: Record<string, string | string[] | undefined>): void {
    const list: string[] = []
    for (const name in fields) {
      const value = fields[name]
      if (value === undefined || name === 'connection' || name === 'keep-alive' || name === 'transfer-encoding') continue
      for (const each of typeof value === 'string' ? [value] : value) list.push(name, each)
    }
    this.#outgoing.writeHead(status, list)
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#outgoing.write(chunk)
  }

  onResponseEnd(): void {
    this.#outgoing.end()
  }

  onResponseError(): void {
    this.#outgoing.destroy()
  }
}
