import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { IdentitySource } from '../../src/identify/identify.ts'
import { openSource, SourceConfig } from '../../src/identify/registry.ts'
import { ask, AwaitedLog } from '../support/bundle-rig.ts'
import { identifyServices, refusalOf } from '../support/identity-rig.ts'
import { goPeer, type Line, Peer, WorkloadApiPeer } from '../support/spiffe-peer.ts'

/** Our bundle source against a bundle endpoint made from go-spiffe, under both profiles of SPIFFE Federation. */

const agent = 'spiffe://acme.example/agent'
const endpointId = 'spiffe://acme.example/bundles'
const audience = 'spiffe://partner.example/countersign'
const profiles = ['https_web', 'https_spiffe'] as const

let folder = ''
let files = 0

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-bundles-'))
})

afterAll(() => rmSync(folder, { recursive: true }))

/** Their trust domain with its endpoint, and our source that reads it. */
class Federation implements AsyncDisposable {
  readonly #api: WorkloadApiPeer
  readonly #endpoint: Peer
  readonly source: IdentitySource
  readonly log: AwaitedLog

  private constructor(api: WorkloadApiPeer, endpoint: Peer, source: IdentitySource, log: AwaitedLog) {
    this.#api = api
    this.#endpoint = endpoint
    this.source = source
    this.log = log
  }

  /** Resolves when the first reading has ended, well or not. */
  static async start(profile: (typeof profiles)[number], over: Readonly<Record<string, unknown>> = {}): Promise<Federation> {
    const api = await WorkloadApiPeer.start({ ids: [endpointId] })
    const endpoint = Peer.start(goPeer('bundle-endpoint', '--socket', api.socket, '--profile', profile, '--hint', '1s', '--sequence', '7'))
    const { url, ca } = await endpoint.event('listening')
    const bootstrap = bundleOf(
      ((await api.ask({ do: 'state' }))['x509'] as Readonly<Record<string, readonly string[]>>)['acme.example'] ?? [],
    )
    const proof =
      profile === 'https_web' ? { ca: { file: fileOf(String(ca)) } } : { id: endpointId, bootstrap: { file: fileOf(bootstrap) } }
    const from = { url: String(url), profile, ...proof, ...over }
    const log = new AwaitedLog()
    const source = openSource(
      SourceConfig.parse({ type: 'bundle', trust_domain: 'acme.example', from }),
      identifyServices({ log, audience }),
    )
    await log.until(() => log.lines.length > 0)
    return new Federation(api, endpoint, source, log)
  }

  async api(order: Line): Promise<Line> {
    return this.#api.ask(order)
  }

  /** Tells the endpoint something. */
  async tell(order: Line): Promise<void> {
    await this.#endpoint.ask(order)
  }

  /** The same; resolves when our source has read what it then says. */
  async endpoint(order: Line): Promise<void> {
    await this.tell(order)
    await this.read()
  }

  /** Resolves when a reading that began after this was called has ended: the next one shows that. */
  async read(): Promise<void> {
    const { asked } = await this.#endpoint.ask({ do: 'state' })
    await this.#endpoint.event('asked', ({ times }) => Number(times) > Number(asked) + 1)
  }

  async token(trustDomain = 'acme.example'): Promise<string> {
    return String((await this.api({ do: 'mint-jwt', spiffeId: agent, audience: [audience], trustDomain }))['token'])
  }

  /** The code of the refusal that a token meets; null when it is taken. */
  async refusal(token: string): Promise<string | null> {
    return (await ask(this.source, token))?.code ?? null
  }

  /** The same for a fresh certificate of theirs, or of another authority. */
  async peerRefusal(trustDomain = 'acme.example'): Promise<string | null> {
    const { chain } = await this.api({ do: 'mint-x509', spiffeId: agent, trustDomain })
    return this.chainRefusal(chain as readonly string[])
  }

  async chainRefusal(chain: readonly string[]): Promise<string | null> {
    const peer = { chain: chain.map((der) => Buffer.from(der, 'base64')) }
    return (await refusalOf(() => this.source.verifyPeer?.(peer, Date.now())))?.code ?? null
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.source.close()
    await this.#endpoint.kill()
    await this.#api[Symbol.asyncDispose]()
  }
}

describe.each(profiles)('%s', { concurrent: true }, (profile) => {
  it('gives the keys and authorities by which their tokens and certificates are taken, and no others', async () => {
    await using federation = await Federation.start(profile)
    expect(federation.log.lines).toMatchObject([{ message: 'trust domain keys read', members: { keys: 1, authorities: 1, sequence: '7' } }])
    expect(await federation.refusal(await federation.token())).toBeNull()
    expect(await federation.refusal(await federation.token('partner.example'))).toBe('identify.rejected')
    expect(await federation.peerRefusal()).toBeNull()
    expect(await federation.peerRefusal('partner.example')).toBe('identify.rejected')
  })

  it('follows new keys that were published before they sign, and refuses what was withdrawn', async () => {
    await using federation = await Federation.start(profile)
    const old = {
      token: await federation.token(),
      chain: (await federation.api({ do: 'mint-x509', spiffeId: agent }))['chain'] as string[],
    }
    await federation.api({ do: 'prepare-authorities' })
    await federation.read()
    await federation.api({ do: 'rotate-authorities', keep: true })
    expect(await federation.refusal(await federation.token())).toBeNull()
    expect(await federation.peerRefusal()).toBeNull()
    expect(await federation.refusal(old.token)).toBeNull()
    await federation.api({ do: 'rotate-authorities', keep: true })
    if (profile === 'https_web') {
      // a token with a key not seen before is worth a reading out of turn
      expect(await federation.refusal(await federation.token())).toBeNull()
    } else {
      // an endpoint that shows itself with an authority nobody was told of cannot be asked: its keys go on as they were
      await federation.log.until(() => federation.log.faults.length > 0)
      expect(await federation.refusal(old.token)).toBeNull()
      return
    }
    await federation.api({ do: 'rotate-authorities', keep: false })
    await federation.read()
    expect(await federation.refusal(await federation.token())).toBeNull()
    expect(await federation.refusal(old.token)).toBe('identify.rejected')
    expect(await federation.chainRefusal(old.chain)).toBe('identify.rejected')
  })

  it('without the authority that signed them, certificates are refused as soon as the bundle says so', async () => {
    await using federation = await Federation.start(profile)
    const { chain } = await federation.api({ do: 'mint-x509', spiffeId: agent })
    const token = await federation.token()
    await federation.api({ do: 'prepare-authorities' })
    await federation.read()
    await federation.api({ do: 'rotate-authorities', keep: false })
    await federation.read()
    expect(await federation.chainRefusal(chain as string[])).toBe('identify.rejected')
    expect(await federation.refusal(token)).toBe('identify.rejected')
    expect(await federation.peerRefusal()).toBeNull()
    expect(federation.log.faults).toEqual([])
  })

  it('emptied means that everything is revoked, and is no failure', async () => {
    await using federation = await Federation.start(profile)
    const token = await federation.token()
    await federation.tell({ do: 'empty' })
    // under https_spiffe the endpoint is in the trust domain that it revoked: nothing proves it any more, and it is not asked again
    await federation.log.until(() => federation.log.lines.some(({ message }) => message.includes('all that it proved is revoked')))
    expect(await federation.refusal(token)).toBe('identify.rejected')
    expect(await federation.peerRefusal()).toBe('identify.rejected')
    expect(federation.source.ready()).toBe(true)
    expect(federation.source.authorities?.('acme.example')).toEqual([])
  })

  it('may redirect, may fail, and may not play an old bundle again', async () => {
    await using federation = await Federation.start(profile)
    await federation.endpoint({ do: 'redirect', to: '/elsewhere' })
    expect(federation.log.faults).toEqual([])
    await federation.endpoint({ do: 'status', status: 503 })
    expect(federation.log.faults).toEqual(['answered 503'])
    expect(await federation.refusal(await federation.token())).toBeNull()
    await federation.endpoint({ do: 'restore' })
    await federation.endpoint({ do: 'sequence', sequence: 3 })
    expect(federation.log.faults.at(-1)).toBe('spiffe_sequence went from 7 to 3')
    expect(await federation.refusal(await federation.token())).toBeNull()
  })
})

describe('an endpoint that is not the one that was configured', () => {
  it('with another SPIFFE ID than the configured one gives nothing', async () => {
    await using federation = await Federation.start('https_spiffe', { id: 'spiffe://acme.example/other' })
    expect(federation.log.faults).toEqual([`the endpoint is ${endpointId}, not spiffe://acme.example/other`])
    expect(await federation.refusal(await federation.token())).toBe('identify.unavailable')
  })

  it('of another authority gives nothing, though its name is right', async () => {
    await using stranger = await WorkloadApiPeer.start({ ids: [endpointId] })
    const { x509 } = await stranger.ask({ do: 'state' })
    const file = fileOf(bundleOf((x509 as Readonly<Record<string, readonly string[]>>)['acme.example'] ?? []))
    await using federation = await Federation.start('https_spiffe', { bootstrap: { file } })
    expect(federation.log.faults).toHaveLength(1)
    expect(federation.source.ready()).toBe(false)
  })

  it('with a certificate that this machine does not trust gives nothing', async () => {
    await using federation = await Federation.start('https_web', { ca: undefined })
    expect(federation.log.faults).toHaveLength(1)
    expect(federation.source.ready()).toBe(false)
  })
})

function fileOf(text: string): string {
  const file = join(folder, `${files++}.json`)
  writeFileSync(file, text)
  return file
}

/** A bundle of X.509 authorities alone. */
function bundleOf(certificates: readonly string[]): string {
  const publicKey = (der: string): object => new X509Certificate(Buffer.from(der, 'base64')).publicKey.export({ format: 'jwk' })
  return JSON.stringify({ keys: certificates.map((der) => ({ use: 'x509-svid', ...publicKey(der), x5c: [der] })) })
}
