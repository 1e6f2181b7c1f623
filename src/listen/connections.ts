/** The open connections of a port: how many there may be, and which of them ends first. */
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { TlsPeer } from './call.ts'
import { Connection } from './connection.ts'
import type { Term } from './secure.ts'

/** Written only here; the connections write themselves. */
export class Connections {
  /** Most that may be open. */
  most: number
  /** By the socket that calls come in by. */
  readonly #bySocket = new WeakMap<object, Connection>()
  /** Those not closed, oldest first. */
  readonly #open = new Set<Connection>()
  /** Those whose handshake is under way, by the address of the far end: a TLS socket does not tell which TCP socket it came from. */
  readonly #shaking = new Map<string, Connection>()

  constructor(most: number) {
    this.most = most
  }

  /** The connection of a socket that HTTP is spoken on. */
  of(socket: Socket): Connection {
    return this.#bySocket.get(socket) ?? this.#make(socket)
  }

  /** False while a TLS handshake is under way on it. */
  has(socket: Socket): boolean {
    return this.#bySocket.has(socket)
  }

  /** Takes in a connection of a plain port. False when there is no room: it is destroyed then. */
  plain(socket: Socket): boolean {
    return this.#admit(this.#make(socket))
  }

  /**
   * Takes in a connection of a TLS port, before its handshake. False when there is no room: it is destroyed then.
   * A unix socket has no address to find it again by, so it counts only once its handshake is done.
   */
  shaking(socket: Socket, term: Term): boolean {
    const address = addressOf(socket)
    if (address === null) return true
    const connection = new Connection(socket, term)
    this.#shaking.set(address, connection)
    socket.once('close', () => {
      if (this.#shaking.get(address) === connection) this.#shaking.delete(address)
    })
    return this.#admit(connection)
  }

  /** The handshake is done. `term` counts where none was known at the accept. False when there is no room: it is destroyed then. */
  secured(socket: TLSSocket, peer: TlsPeer, term: Term): boolean {
    const address = addressOf(socket) ?? ''
    const known = this.#shaking.get(address)
    this.#shaking.delete(address)
    const connection = known ?? new Connection(socket, term)
    connection.secured(socket, peer)
    this.#bySocket.set(socket, connection)
    return known !== undefined || this.#admit(connection)
  }

  /** Ends in order those of a TLS port whose time has passed at `now`; all of them where there is nothing left to serve with. */
  retire(now: number, all: boolean): void {
    for (const connection of this.#open) {
      const { term } = connection
      if (term !== null && (all || now >= term.expires)) connection.retire()
    }
  }

  /** Ends handshakes under way: no call can come of them in time. */
  endHandshakes(): void {
    for (const connection of this.#shaking.values()) connection.socket.destroy()
  }

  #make(socket: Socket): Connection {
    const connection = new Connection(socket, null)
    this.#bySocket.set(socket, connection)
    return connection
  }

  #admit(connection: Connection): boolean {
    const { socket } = connection
    const room = this.#open.size < this.most || this.#makeRoom()
    if (!room) socket.destroy()
    if (!socket.destroyed) this.#open.add(connection)
    socket.once('close', () => this.#open.delete(connection))
    return room
  }

  /** Ends the connection that has been there longest without a call: nobody keeps others out by holding connections open. */
  #makeRoom(): boolean {
    for (const connection of this.#open) {
      if (connection.calls.size > 0) continue
      this.#open.delete(connection)
      connection.socket.destroy()
      return true
    }
    return false
  }
}

/** Null on a unix socket, and when the far end is gone already. */
function addressOf(socket: Socket): string | null {
  const { remoteAddress, remotePort } = socket
  return remoteAddress === undefined || remotePort === undefined ? null : `${remoteAddress} ${remotePort}`
}
