import { createServer } from 'node:https'
import type { RequestListener, Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeIdentify } from '../../src/identify/identify.ts'
import type { Caller, IdentitySource, Presented } from '../../src/identify/identify.ts'
import { openSource, SourceConfig } from '../../src/identify/registry.ts'
import type { IdentifyServices } from '../../src/identify/source.ts'
import type { Call } from '../../src/listen/call.ts'
import { certificateFor } from './certificate.ts'
import type { TestCertificate } from './certificate.ts'
import { bearer, identifyServices, KeptLog, settled, TestClock } from './identity-rig.ts'
import { Issuer } from './issuer.ts'
import type { Jwk, Minting, SigningKey } from './issuer.ts'

export const issuerUrl = 'https://issuer.acme.example'
export const audience = 'countersign'

export const presented = (token: string): Presented => ({ slot: 'authorization', token })

/** A call that the sources of this slice look at no further. */
export const anyCall: Call = bearer('')

/** An OpenID Connect issuer whose endpoints answer from memory; counts what it was asked, and keeps what was sent to it. */
export class MemoryIssuer {
  readonly url: string
  readonly clock: TestClock
  readonly asked: { readonly url: string; readonly headers: Readonly<Record<string, string>> }[] = []
  keys: Issuer
  /** Answers by URL; a URL that is not there answers 404. Replace at will. */
  readonly answers = new Map<string, () => Response | Promise<Response>>()

  constructor(options: { readonly url?: string; readonly clock?: TestClock; readonly keys?: readonly SigningKey[] } = {}) {
    this.url = options.url ?? issuerUrl
    this.clock = options.clock ?? new TestClock()
    this.keys = new Issuer({ clock: this.clock.now, audience, ...(options.keys === undefined ? {} : { keys: options.keys }) })
    const base = this.url.replace(/\/$/, '')
    this.answers.set(`${base}/.well-known/openid-configuration`, () => new Response(JSON.stringify(this.metadata())))
    this.answers.set(`${base}/keys`, () => new Response(this.keys.jwks()))
  }

  metadata(change: Jwk = {}): Jwk {
    return {
      issuer: this.url,
      jwks_uri: `${this.url.replace(/\/$/, '')}/keys`,
      id_token_signing_alg_values_supported: ['ES256'],
      ...change,
    }
  }

  readonly fetch = (async (url: string, init?: { readonly headers?: Readonly<Record<string, string>> }) => {
    this.asked.push({ url, headers: init?.headers ?? {} })
    return this.answers.get(url)?.() ?? new Response('not found', { status: 404 })
  }) as unknown as typeof fetch

  /** A token of this issuer. Claims given as an object stand over good ones. */
  mint(minting: Minting = {}): string {
    const claims = typeof minting.claims === 'string' ? minting.claims : { iss: this.url, sub: 'agent-7', ...minting.claims }
    return this.keys.mint({ ...minting, claims })
  }
}

export interface OpenedOidc {
  readonly source: IdentitySource
  readonly issuer: MemoryIssuer
  readonly clock: TestClock
  readonly log: KeptLog
  /** Through the whole stage, with its cache. */
  readonly identify: (call: Call) => Caller | Promise<Caller>
  /** The caller whom a token with these claims proves; rejects with the refusal. */
  caller(claims?: Jwk | string, minting?: Minting): Promise<Caller>
}

/** Opens an oidc source over an issuer in memory. The first reading has ended when it resolves. */
export async function openedOidc(
  config: Jwk = {},
  options: { readonly issuer?: MemoryIssuer; readonly services?: Partial<IdentifyServices> } = {},
): Promise<OpenedOidc> {
  const issuer = options.issuer ?? new MemoryIssuer(typeof config['issuer'] === 'string' ? { url: config['issuer'] } : {})
  const { clock } = issuer
  const log = new KeptLog()
  const settings = SourceConfig.parse({ type: 'oidc', issuer: issuer.url, audience, id: 'spiffe://acme.example/w/{sub}', ...config })
  const source = openSource(settings, identifyServices({ clock: clock.now, log, fetch: issuer.fetch, ...options.services }))
  await settled()
  const identify = makeIdentify({ sources: [source], clock: clock.now })
  const caller = async (claims: Jwk | string = {}, minting: Minting = {}): Promise<Caller> =>
    identify(bearer(issuer.mint({ ...minting, claims })))
  return { source, issuer, clock, log, identify, caller }
}

/** What tests open and has to be closed again, last first. */
export class Opened {
  readonly #open: (() => unknown)[] = []

  readonly keep = <Part extends { close(): unknown }>(part: Part): Part => {
    this.#open.push(() => part.close())
    return part
  }

  /** A folder that lives as long as the test. */
  folder(): string {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-oidc-'))
    this.#open.push(() => rmSync(folder, { recursive: true, force: true }))
    return folder
  }

  async close(): Promise<void> {
    for (const close of this.#open.splice(0).toReversed()) await close()
  }
}

export interface LoopbackServer {
  /** `https://localhost:PORT`. */
  readonly url: string
  /** File with the PEM that vouches for it. */
  readonly ca: string
  close(): Promise<void>
}

/** A real HTTPS server on loopback, with a certificate made for it unless one is given. */
export async function loopbackServer(
  answer: RequestListener,
  folder: string,
  certificate: TestCertificate = certificateFor('localhost'),
): Promise<LoopbackServer> {
  const server: Server = createServer(certificate, answer)
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  const { port } = server.address() as AddressInfo
  const ca = join(folder, `ca-${port}.pem`)
  writeFileSync(ca, certificate.cert)
  return {
    url: `https://localhost:${port}`,
    ca,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
