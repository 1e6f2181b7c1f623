import net, { type AddressInfo, type Server, type Socket } from 'node:net'
import { once } from 'node:events'

/** One connection of a raw server, and everything that came over it. */
export interface RawConnection {
  readonly socket: Socket
  /** Bytes so far, as latin1. */
  text(): string
  bytes(): number
  /** Resolves when the text so far satisfies the test, or the connection closed. */
  until(test: (text: string) => boolean): Promise<string>
  readonly closed: Promise<void>
}

export interface RawServer {
  readonly port: number
  readonly connections: readonly RawConnection[]
  /** The nth connection, when it comes. */
  connection(index: number): Promise<RawConnection>
  close(): Promise<void>
}

export function track(socket: Socket): RawConnection {
  const chunks: Buffer[] = []
  let size = 0
  const waiting = new Set<() => void>()
  const wake = (): void => waiting.forEach((each) => each())
  let ended = false
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    size += chunk.length
    wake()
  })
  socket.on('error', () => undefined)
  const closed = new Promise<void>((resolve) => {
    socket.on('close', () => {
      ended = true
      wake()
      resolve()
    })
  })
  const text = (): string => Buffer.concat(chunks).toString('latin1')
  return {
    socket,
    text,
    bytes: () => size,
    closed,
    until: (test) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (!test(text()) && !ended) return
          waiting.delete(look)
          resolve(text())
        }
        waiting.add(look)
        look()
      }),
  }
}

/** A TCP server on loopback that shows the bytes it gets and says what `speak` says. */
export async function rawServer(speak: (connection: RawConnection) => void | Promise<void>): Promise<RawServer> {
  const connections: RawConnection[] = []
  const arrivals: (() => void)[] = []
  const server = net.createServer({ allowHalfOpen: false }, (socket) => {
    const connection = track(socket)
    connections.push(connection)
    arrivals.splice(0).forEach((arrive) => arrive())
    void speak(connection)
  })
  await listening(server)
  return {
    port: (server.address() as AddressInfo).port,
    connections,
    connection: async (index) => {
      while (connections.length <= index) await new Promise<void>((resolve) => arrivals.push(resolve))
      return connections[index]!
    },
    close: async () => {
      for (const { socket } of connections) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

/** Answers each request with the same bytes once its head (and a body of the announced length) is there. */
export function answering(answer: string): (connection: RawConnection) => Promise<void> {
  return async (connection) => {
    await connection.until(wholeRequest)
    if (!connection.socket.destroyed) connection.socket.write(answer, 'latin1')
  }
}

/** True when a head, and a body as framed by it, is there. */
export function wholeRequest(text: string): boolean {
  const end = text.indexOf('\r\n\r\n')
  if (end === -1) return false
  const length = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, end))
  if (length !== null) return text.length >= end + 4 + Number(length[1])
  return /\r\ntransfer-encoding: chunked/i.test(text.slice(0, end)) ? text.includes('\r\n0\r\n\r\n') : true
}

/** A TCP client on loopback. */
export async function rawClient(port: number): Promise<RawConnection> {
  const socket = net.connect(port, '127.0.0.1')
  await once(socket, 'connect')
  return track(socket)
}

export async function listening(server: Server): Promise<void> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
}
