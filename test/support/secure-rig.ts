import { once } from 'node:events'
import tls, { type ConnectionOptions, type TLSSocket } from 'node:tls'
import type { KeyedChain, ServerIdentity } from '../../src/listen/server-identity.ts'
import { mintCertificate, type Minted, type Minting } from './certificate.ts'
import { track, type RawConnection } from './sockets.ts'

/** An identity that a test sets by hand. */
export interface HeldIdentity extends ServerIdentity {
  /** Changes it and tells; null: redacted. */
  set(chain: KeyedChain | null): void
  /** Who follows it now. */
  readonly followers: number
}

export function heldIdentity(first: KeyedChain | null): HeldIdentity {
  let current = first
  const followers = new Set<() => void>()
  return {
    current: () => current,
    onChange: (listener) => {
      followers.add(listener)
      return () => void followers.delete(listener)
    },
    set: (chain) => {
      current = chain
      for (const follower of followers) follower()
    },
    get followers() {
      return followers.size
    },
  }
}

/** A chain with its key as an identity has it, of one certificate made for the purpose. */
export function keyedChain(minting: Minting = {}, expires = Date.now() + 3_600_000): KeyedChain & { readonly leaf: Minted } {
  const leaf = mintCertificate({ names: ['countersign.acme.example'], ...minting })
  return { key: leaf.key, cert: leaf.cert, expires, leaf }
}

export interface TlsClient extends RawConnection {
  readonly socket: TLSSocket
}

/** A TLS connection to loopback that trusts anybody; rejects when there is no handshake. */
export async function tlsClient(port: number, options: ConnectionOptions = {}): Promise<TlsClient> {
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options })
  await once(socket, 'secureConnect')
  return { ...track(socket), socket }
}
