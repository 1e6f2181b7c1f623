/** An upstream that answers `/json`, `/prose`, `/base64` and `/random` with ten megabytes each, announced or in chunks (`?chunked`). Sends its port to whoever forked it. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { bodies } from '../bodies.ts'

const size = 10_000_000
const large = Object.fromEntries(Object.entries(bodies()).map(([name, body]) => [name, Buffer.alloc(size, body)]))

const server = createServer((incoming, response) => {
  const [path = '', query] = (incoming.url ?? '').split('?')
  const body = large[path.slice(1)]
  if (body === undefined) {
    response.writeHead(404).end()
    return
  }
  response.writeHead(200, {
    'content-type': 'application/octet-stream',
    ...(query === undefined && { 'content-length': `${body.length}` }),
  })
  response.end(body)
})
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))
