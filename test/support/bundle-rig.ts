import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import { createServer } from 'node:https'
import type { Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer as createTlsServer } from 'node:tls'
import type { Authority, IssuedSvid } from '../../src/demo/x509.ts'
import { makeAuthority } from '../../src/demo/x509.ts'
import type { IdentitySource } from '../../src/identify/identify.ts'
import { openSource, SourceConfig } from '../../src/identify/registry.ts'
import type { IdentifyServices, SourceLog } from '../../src/identify/source.ts'
import type { Refusal } from '../../src/refusal.ts'
import type { TlsPeer } from '../../src/listen/call.ts'
import { certificateFor } from './certificate.ts'
import type { TestCertificate } from './certificate.ts'
import { bearer, identifyServices, refusalOf, settled, TestClock } from './identity-rig.ts'
import { Issuer, signingKey } from './issuer.ts'
import type { Jwk, SigningKey } from './issuer.ts'

/** What a trust domain is made of: a JWT issuer and an X.509 authority, and the bundle that publishes both. */
export class Domain {
  readonly name: string
  readonly issuer: Issuer
  readonly authority: Authority
  readonly #clock: TestClock

  constructor(name: string, clock: TestClock, key: SigningKey = signingKey('ES256', `${name}-key`)) {
    this.name = name
    this.#clock = clock
    this.issuer = new Issuer({ trustDomain: name, clock: clock.now, keys: [key] })
    this.authority = makeAuthority({ trustDomain: name, seconds: 86_400, clock: clock.now })
  }

  id(path: string): string {
    return `spiffe://${this.name}${path}`
  }

  svid(path: string, seconds = 3600): IssuedSvid {
    return this.authority.issue({ id: this.id(path), seconds })
  }

  peer(path: string): TlsPeer {
    return { chain: this.svid(path).chain }
  }

  bundle(extra: Jwk = {}): string {
    return bundleOf([this.authority], this.issuer.keys, extra)
  }

  /** The same name with keys of its own: what an impostor has, or the same domain after a rotation. */
  again(): Domain {
    return new Domain(this.name, this.#clock, signingKey('ES256', `${this.name}-again`))
  }
}

export function bundleOf(authorities: readonly Authority[], keys: readonly SigningKey[], extra: Jwk = {}): string {
  const entries = [
    ...authorities.map(({ certificate }) => authorityEntry(certificate)),
    ...keys.map((key) => ({ ...key.publicJwk, kid: key.kid, use: 'jwt-svid' })),
  ]
  return JSON.stringify({ keys: entries, spiffe_sequence: 1, spiffe_refresh_hint: 300, ...extra })
}

/** An `x509-svid` entry as SPIRE writes it. */
export function authorityEntry(der: Uint8Array): Jwk {
  const jwk = { ...new X509Certificate(der).publicKey.export({ format: 'jwk' }) }
  return { ...jwk, use: 'x509-svid', x5c: [Buffer.from(der).toString('base64')] }
}

/** What was said to the operator, and a way to wait for it. */
export class AwaitedLog implements SourceLog {
  readonly lines: { readonly level: string; readonly message: string; readonly members: Readonly<Record<string, unknown>> }[] = []
  readonly #waiting = new Set<() => void>()
  readonly info = this.#keep('info')
  readonly warn = this.#keep('warn')
  readonly error = this.#keep('error')

  /** Every `fault` so far. */
  get faults(): readonly string[] {
    return this.lines.flatMap(({ members }) => (typeof members['fault'] === 'string' ? [members['fault']] : []))
  }

  /** Resolves once the condition holds; looked at after every line. */
  until(holds: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!holds()) return
        this.#waiting.delete(look)
        resolve()
      }
      this.#waiting.add(look)
      look()
    })
  }

  #keep(level: string) {
    return (members: object, message: string): void => {
      this.lines.push({ level, message, members: { ...members } })
      for (const look of this.#waiting) look()
    }
  }
}

export interface OpenedBundle {
  readonly source: IdentitySource
  readonly log: AwaitedLog
  readonly clock: TestClock
  /** Makes the source read again, as a token with a key it does not know does; resolves when it has. */
  poll(): Promise<void>
}

/** Sources, servers and folders of one test file; `close` after each test. */
export class BundleRig {
  readonly clock = new TestClock()
  readonly #open: (() => unknown)[] = []
  #unknown = 0

  domain(name: string): Domain {
    return new Domain(name, this.clock)
  }

  /** Opens a `bundle` source; its first reading has ended when it resolves. */
  async source(config: Jwk, over: Partial<IdentifyServices> = {}): Promise<OpenedBundle> {
    const log = new AwaitedLog()
    const { clock } = this
    const settings = SourceConfig.parse({ type: 'bundle', ...config })
    const source = openSource(settings, identifyServices({ clock: clock.now, log, ...over }))
    this.#open.push(() => source.close())
    const poll = async (): Promise<void> => {
      clock.move(30_000)
      await ask(
        source,
        new Issuer({ trustDomain: String(config['trust_domain']), clock: clock.now }).mint({
          header: { kid: `unknown-${this.#unknown++}` },
        }),
      )
    }
    await log.until(() => log.lines.some(({ message, members }) => message === 'trust domain keys read' || 'fault' in members))
    await settled()
    return { source, log, clock, poll }
  }

  /** An HTTPS server on loopback. */
  async server(identity: ServerIdentity, answer: RequestListener): Promise<{ readonly port: number; readonly server: Server }> {
    const server = createServer(identity, answer)
    this.#open.push(() => (server.closeAllConnections(), server.close()))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return { server, port: (server.address() as AddressInfo).port }
  }

  /** A TLS server that keeps every byte that comes out of TLS, and says `words` to whoever connects. `closed`: when all who came have gone. */
  async rawServer(
    identity: ServerIdentity,
    words = '',
  ): Promise<{ readonly port: number; readonly heard: string[]; closed(): Promise<void> }> {
    const heard: string[] = []
    const connections: Promise<unknown>[] = []
    const server = createTlsServer(identity, (socket) => {
      socket.on('data', (bytes: Buffer) => void heard.push(bytes.toString('latin1')))
      socket.on('error', () => undefined)
      if (words !== '') socket.end(words)
    })
    server.on('connection', (socket) => void connections.push(new Promise((resolve) => socket.on('close', resolve))))
    this.#open.push(() => server.close())
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return { heard, port: (server.address() as AddressInfo).port, closed: async () => void (await Promise.all(connections)) }
  }

  folder(): string {
    const folder = mkdtempSync(join(tmpdir(), 'bundle-'))
    this.#open.push(() => rmSync(folder, { recursive: true }))
    return folder
  }

  /** A file with this text. */
  file(text: string): string {
    const path = join(this.folder(), 'bundle.json')
    writeFileSync(path, text)
    return path
  }

  async close(): Promise<void> {
    for (const close of this.#open.splice(0).reverse()) await close()
  }
}

export interface ServerIdentity {
  /** PEM. */
  readonly cert: string
  readonly key: string
  readonly requestCert?: boolean
  readonly rejectUnauthorized?: boolean
}

/** A server certificate for loopback by its own authority, and the file that trusts it. */
export function webIdentity(): TestCertificate {
  return certificateFor('localhost')
}

/** What a server shows that serves by this SVID. */
export function svidIdentity({ chain, key }: IssuedSvid): ServerIdentity {
  if (key === null) throw new Error('the SVID came without its key')
  return { cert: chain.map((der) => pem('CERTIFICATE', der)).join(''), key: pem('PRIVATE KEY', key) }
}

function pem(what: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `-----BEGIN ${what}-----\n${lines.join('\n')}\n-----END ${what}-----\n`
}

/** The refusal that a token meets at the source itself; null when it is taken. */
export function ask(source: IdentitySource, token: string): Promise<Refusal | null> {
  return refusalOf(() => source.verify({ slot: 'authorization', token }, bearer(token)))
}

/** The same for the certificates of a connection. */
export function askPeer(source: IdentitySource, peer: TlsPeer, now: number): Promise<Refusal | null> {
  return refusalOf(() => source.verifyPeer?.(peer, now))
}
