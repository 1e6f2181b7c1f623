/** The rules of TLS on a listener, and what a client presented in its handshake. */
import { constants } from 'node:crypto'
import type { TLSSocket, TlsOptions } from 'node:tls'
import type { TlsPeer } from './call.ts'

/** How long a connection may live on what it was served with. Epoch ms. */
export interface Term {
  /** From here on an answer is the last one, so that clients move to a new connection in time. */
  readonly worn: number
  readonly expires: number
}

/** Mozilla's intermediate profile: forward secrecy and authenticated encryption alone. The names with `_` are TLS 1.3. */
const ciphers = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
]

/** What every context of a listener holds besides its key and certificate. */
export const contextRules: TlsOptions = {
  minVersion: 'TLSv1.2',
  ciphers: ciphers.join(':'),
  honorCipherOrder: false,
  // a resumed session carries no chain to judge; as nobody listens for session events, none is ever found again
  secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  ca: [], // names no authority to clients; OpenSSL judges the chain all the same, and nobody asks for its verdict
}

/** Whether clients are asked for a certificate is the listener's choice; one who presents none, or a bad one, is let in: identify judges. */
export const serverRules: TlsOptions = { ...contextRules, ALPNProtocols: ['http/1.1'], rejectUnauthorized: false }

/** What a client may present, in all: OpenSSL takes 100 KiB, and each connection holds it for as long as it is open. */
const most = { bytes: 16 * 1024, certificates: 16 } as const

/**
 * The certificates exactly as the client sent them: the list behind `getPeerX509Certificate` is in the order of the wire, whatever it
 * holds. (`getPeerCertificate(true)` sorts it, leaves out what does not fit, and adds certificates of our own store.)
 * Null when they are more, or larger, than is worth keeping.
 */
export function presentedBy(socket: TLSSocket): TlsPeer | null {
  const chain: Uint8Array[] = []
  let bytes = 0
  for (let one = socket.getPeerX509Certificate(); one !== undefined; one = one.issuerCertificate) {
    bytes += one.raw.byteLength
    if (bytes > most.bytes || chain.length === most.certificates) return null
    chain.push(one.raw)
  }
  return { chain }
}
