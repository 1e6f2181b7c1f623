import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'
import { afterEach, expect, test } from 'vitest'
import { ask, BundleRig, webIdentity } from '../../support/bundle-rig.ts'

/** What a server that Countersign reads keys from can do to it. */
const rig = new BundleRig()
afterEach(() => rig.close())

/** Says these words to whoever connects, whatever is asked, and keeps the connection. */
async function saying(words: () => string) {
  const identity = webIdentity()
  const open = new Set<TLSSocket>()
  let asked = 0
  const server = createServer(identity, (socket) => {
    open.add(socket)
    socket.on('error', () => undefined)
    socket.on('data', () => {
      asked++
      socket.write(words(), 'latin1')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const close = (): void => {
    for (const socket of open) socket.destroy()
    server.close()
  }
  return { url: `https://localhost:${port}/`, ca: rig.file(identity.cert), asked: () => asked, close }
}

const whole = (bundle: string): string =>
  `HTTP/1.1 200 OK\r\ncontent-length: ${Buffer.byteLength(bundle)}\r\nconnection: close\r\n\r\n${bundle}`

test.each([
  ['another protocol', 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n'],
  ['two answers', 'HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\nHTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n'],
  [
    'hints that an answer will come, and none',
    'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(2000) + 'HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n',
  ],
  ['a head without end', `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(100_000)}`],
  ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}'],
  ['a body above 1 MiB', `HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n${' '.repeat(1_100_000)}`],
])('a bundle endpoint that answers with %s is given up, and read again in its turn', async (_, words) => {
  const partner = rig.domain('partner.example')
  let says = words
  const server = await saying(() => says)
  try {
    const opened = await rig.source({
      trust_domain: 'partner.example',
      from: { url: server.url, profile: 'https_web', ca: { file: server.ca } },
    })
    const { source } = opened
    expect(source.ready()).toBe(false)
    says = whole(partner.bundle())
    await opened.poll()
    expect(source.ready()).toBe(true)
    expect(await ask(source, partner.issuer.mint())).toBe(null)
  } finally {
    server.close()
  }
})
