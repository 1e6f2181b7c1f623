import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'node:tls'
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls'
import { certificateFor } from './certificate.ts'
import { pem } from './x509.ts'
import type { Made } from './x509.ts'

/** What a TLS server learnt about its client. */
export interface Handshake {
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[]
  /** What the server itself made of it, with `authorities`. */
  readonly authorized: boolean
}

const own = certificateFor('localhost')

/** A real handshake on loopback: the client presents `chain` (its first has the key), the server asks for it and lets everybody in. */
export async function handshake(chain: readonly Made[], authorities: readonly Made[] = []): Promise<Handshake> {
  const ca = authorities.map(({ der }) => pem(der))
  const server = createServer({ ...own, requestCert: true, rejectUnauthorized: false, ca })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const key = chain[0]?.keys.privateKey.export({ format: 'pem', type: 'pkcs8' })
  const cert = chain.map(({ der }) => pem(der)).join('')
  const client = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, cert, ...(key === undefined ? {} : { key }) })
  try {
    client.on('error', () => {})
    const [socket] = (await once(server, 'secureConnection')) as [TLSSocket]
    const found = { chain: chainOf(socket.getPeerCertificate(true)), authorized: socket.authorized }
    socket.destroy()
    return found
  } finally {
    client.destroy()
    server.close()
  }
}

function chainOf(leaf: DetailedPeerCertificate): Uint8Array[] {
  const chain: Uint8Array[] = []
  for (let each = leaf; each?.raw !== undefined; each = each.issuerCertificate) {
    chain.push(each.raw)
    if (each.issuerCertificate === each) break
  }
  return chain
}
