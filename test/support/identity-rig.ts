import type { Call, TlsPeer } from '../../src/listen/call.ts'
import { makeIdentify } from '../../src/identify/identify.ts'
import type { Caller, IdentitySource } from '../../src/identify/identify.ts'
import { openSource, SourceConfig } from '../../src/identify/registry.ts'
import type { IdentifyServices } from '../../src/identify/source.ts'
import { Refusal } from '../../src/refusal.ts'
import type { Issuer, Jwk } from './issuer.ts'

/** What the identify stage needs of a call. */
export function callWith(headers: Readonly<Record<string, string>>, ambient: string | null = null, tls: TlsPeer | null = null): Call {
  return { headers: Object.entries(headers).flat(), tls, listener: { name: 'agent', port: 7420, ambient } } as unknown as Call
}

export function bearer(token: string): Call {
  return callWith({ authorization: `Bearer ${token}` })
}

/** A clock that stands still until it is moved. */
export class TestClock {
  #now: number

  constructor(now = 1_790_000_000_000) {
    this.#now = now
  }

  readonly now = (): number => this.#now

  move(ms: number): void {
    this.#now += ms
  }
}

/** Keeps what was said to the operator. */
export class KeptLog {
  readonly lines: { readonly level: string; readonly message: string; readonly members: object }[] = []
  readonly info = (members: object, message: string): void => void this.lines.push({ level: 'info', members, message })
  readonly warn = (members: object, message: string): void => void this.lines.push({ level: 'warn', members, message })
  readonly error = (members: object, message: string): void => void this.lines.push({ level: 'error', members, message })
}

/** Key documents by URL, answered from memory; counts what was asked. */
export class KeyServer {
  asked = 0
  /** Gives the answer to the next request; replace it at will. */
  answer: () => Response | Promise<Response>

  constructor(document: string) {
    this.answer = () => new Response(document)
  }

  readonly fetch = (async () => {
    this.asked += 1
    return this.answer()
  }) as typeof fetch
}

export const keysUrl = 'https://keys.acme.example/bundle'

export interface OpenedSource {
  readonly source: IdentitySource
  readonly server: KeyServer
  readonly clock: TestClock
  readonly log: KeptLog
}

/** Opens a jwt-svid source over a document in memory. The first reading has ended when it resolves. */
export async function openedSource(
  document: string,
  options: { readonly clock?: TestClock; readonly config?: Jwk; readonly audience?: string } = {},
): Promise<OpenedSource> {
  const clock = options.clock ?? new TestClock()
  const log = new KeptLog()
  const server = new KeyServer(document)
  const config = SourceConfig.parse({ type: 'jwt-svid', trust_domain: 'acme.example', keys: { url: keysUrl }, ...options.config })
  const audience = options.audience ?? 'spiffe://acme.example/countersign'
  const source = openSource(config, identifyServices({ clock: clock.now, log, fetch: server.fetch, audience }))
  await settled()
  return { source, server, clock, log }
}

/** Services for sources under test: nothing is claimed, nobody else has authorities, paths are as given. */
export function identifyServices(over: Partial<IdentifyServices> = {}): IdentifyServices {
  return {
    clock: Date.now,
    log: new KeptLog(),
    fetch,
    audience: 'spiffe://acme.example/countersign',
    path: (file) => file,
    env: {},
    claimed: new Set(),
    authorities: () => null,
    ...over,
  }
}

/** Lets pending promises run: what waits for nothing outside has happened after it. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Opens one source for an issuer and makes the stage over it. */
export async function identifyFor(issuer: Issuer, clock: TestClock, config: Jwk = {}): Promise<(call: Call) => Caller | Promise<Caller>> {
  const { source } = await openedSource(issuer.bundle(), { clock, config: { trust_domain: issuer.trustDomain, ...config } })
  return makeIdentify({ sources: [source], clock: clock.now })
}

/** The refusal that work ends with; null when it succeeds. Anything else thrown is thrown on. */
export async function refusalOf(work: () => unknown): Promise<Refusal | null> {
  try {
    await work()
    return null
  } catch (error) {
    if (error instanceof Refusal) return error
    throw error
  }
}
