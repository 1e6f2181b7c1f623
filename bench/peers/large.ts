/**
 * An upstream that answers `/json`, `/prose`, `/base64` and `/random` with ten megabytes each, any other path as the first, announced or in
 * chunks (`?chunked`), over plain HTTP and over TLS. Sends its ports and its certificate to whoever forked it.
 */
import { createServer, type RequestListener } from 'node:http'
import { createServer as createTls } from 'node:https'
import type { AddressInfo, Server } from 'node:net'
import { certificateFor } from '../../test/support/certificate.ts'
import { bodies } from '../bodies.ts'

export interface Large {
  readonly http: number
  readonly https: number
  /** PEM. */
  readonly cert: string
}

const size = 10_000_000
const large = Object.fromEntries(Object.entries(bodies()).map(([name, body]) => [name, Buffer.alloc(size, body)]))

const answer: RequestListener = (incoming, response) => {
  const [path = '', query] = (incoming.url ?? '').split('?')
  const body = large[path.slice(1)] ?? large['json'] ?? Buffer.alloc(0)
  const announced = query === undefined ? { 'content-length': `${body.length}` } : {}
  response.writeHead(200, { 'content-type': 'application/octet-stream', ...announced }).end(body)
}

const listening = (server: Server): Promise<number> =>
  new Promise((resolve) => server.listen(0, 'localhost', () => resolve((server.address() as AddressInfo).port)))

const { cert, key } = certificateFor('localhost')
const [http, https] = await Promise.all([listening(createServer(answer)), listening(createTls({ cert, key }, answer))])
process.send?.({ http, https, cert })
