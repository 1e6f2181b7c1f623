/** The upstream of a rehearsal: answers the calls that come through the proxy, and nobody else. */

import { randomBytes } from 'node:crypto'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { messageOf, onMessages } from './framing.ts'

export interface Stub {
  /** Base URL, with a path that nobody can guess. */
  readonly url: string
  close(): void
}

const found = messageOf('HTTP/1.1 200 OK', { 'content-type': 'application/json' }, JSON.stringify({ item: '0123456789abcdef'.repeat(63) }))
const nothing = messageOf('HTTP/1.1 404 Not Found', { connection: 'close' })

/** Listens on a free port of the loopback interface. */
export async function openStub(): Promise<Stub> {
  const path = `/${randomBytes(16).toString('hex')}`
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
    onMessages(socket, (head) => {
      const known = head.split(' ', 2)[1]?.startsWith(`${path}/`) === true
      if (known) socket.write(found)
      else socket.end(nothing)
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}${path}`,
    close: () => {
      server.close()
      for (const socket of open) socket.destroy()
    },
  }
}
