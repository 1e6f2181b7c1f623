/** How a bundle endpoint proves who it is: by Web PKI (Federation §5.2.1) or by an X.509-SVID (§5.2.2). */
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { connect as connectTls, getCACertificates } from 'node:tls'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import type { Connect } from './bundle-endpoint.ts'
import type { KeySet } from './bundles.ts'
import { KeyFault } from '../keys/key-report.ts'
import type { SpiffeId } from '../spiffe-id.ts'
import { InvalidSvid, verifyX509Svid } from '../x509/svid.ts'

/**
 * `https_web`: the certificate is for the host of the URL and from an authority that this machine trusts (RFC 6125).
 * `ca`: a PEM file of more authorities for this endpoint, read every time.
 */
export function webProfile(ca: string | null): Connect {
  return (url, _, signal) => open(url, signal, ca === null ? {} : { ca: [...getCACertificates('default'), readFileSync(ca, 'utf8')] })
}

/** What an `https_spiffe` endpoint is held to. */
export interface SpiffeProfile {
  /** The SPIFFE ID that its certificate must be for. */
  readonly id: SpiffeId
  /** The newest authorities of the ID's trust domain; throws when there are none to ask. `newest`: what the endpoint last served. */
  readonly authorities: (newest: KeySet | null) => readonly Uint8Array[]
  /** Epoch ms. */
  readonly clock: () => number
}

/** `https_spiffe`: the certificate is an X.509-SVID of exactly the configured ID; names of hosts prove nothing and need not be in it. */
export function spiffeProfile({ id, authorities, clock }: SpiffeProfile): Connect {
  return async (url, newest, signal) => {
    const trusted = authorities(newest)
    // without authorities of its own OpenSSL adds none to the chain, and its verdict counts for nothing
    const socket = await open(url, signal, { ca: [], rejectUnauthorized: false, checkServerIdentity: () => undefined })
    try {
      const svid = verifyX509Svid(presentedChain(socket), trusted, clock())
      if (svid.id.id !== id.id) throw new KeyFault('identity', `the endpoint is ${svid.id.id}, not ${id.id}`)
      return socket
    } catch (error) {
      socket.destroy()
      throw error instanceof InvalidSvid
        ? new KeyFault('identity', `the certificate of the endpoint: ${error.message}`, error.cause)
        : error
    }
  }
}

/** A new connection without a session to resume, so that the server proves itself each time. The signal ends it at any moment. */
function open(url: URL, signal: AbortSignal, options: ConnectionOptions): Promise<TLSSocket> {
  signal.throwIfAborted()
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const socket = connectTls({
    ...options,
    host,
    port: url.port === '' ? 443 : Number(url.port),
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ALPNProtocols: ['http/1.1'],
  })
  const end = (): void => void socket.destroy(signal.reason instanceof Error ? signal.reason : new Error('given up'))
  signal.addEventListener('abort', end, { once: true })
  socket.once('close', () => signal.removeEventListener('abort', end))
  return new Promise((resolve, reject) => {
    // stays on: an error between this and the request has nobody else to hear it
    socket.on('error', reject)
    socket.once('secureConnect', () => resolve(socket))
  })
}

/** As they came over the wire, in their order; `getPeerCertificate` would sort them. */
function presentedChain(socket: TLSSocket): readonly Uint8Array[] {
  const chain: Uint8Array[] = []
  for (let one = socket.getPeerX509Certificate(); one !== undefined; one = one.issuerCertificate) chain.push(one.raw)
  return chain
}
