import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { loadConfig, type Loaded } from '../../src/config/load.ts'
import { developmentIssuer, type DevelopmentIssuer } from '../../src/demo/issuer.ts'
import { openSidecar, type Sidecar } from '../../src/sidecar.ts'
import type { VerifyReport } from '../../src/record/ledger-audit.ts'
import { verifyLedger } from '../../src/record/verify.ts'

/** Part of a configuration as plain data. */
export type Settings = Readonly<Record<string, unknown>>

export const audience = 'spiffe://acme.example/countersign'
export const agentId = 'spiffe://acme.example/ns/test/sa/agent'
export const owners = { business: 'business@acme.example', security: 'security@acme.example', incident: 'incident@acme.example' }

/** An agent that may do everything, with an implicit task unless told otherwise. */
export function freeAgent(more: Settings = {}): Settings {
  const intent = {
    tools: ['*'],
    resources: ['*'],
    data: ['public', 'internal', 'personal', 'unlabelled'],
    egress: ['internal', 'partner', 'public'],
    budget: { calls: 1_000_000 },
    ttl: '1h',
  }
  return { id: agentId, purpose: 'test', owners, autonomy: 'autonomous', intent, implicit: true, ...more }
}

/** A tool for every method and path of a route, harmless and internal. */
export function anyTool(name: string, more: Settings = {}): Settings {
  return { name, match: '* /{+path}', effect: 'read', risk: 'low', egress: 'internal', ...more }
}

export interface RunningOptions {
  readonly routes: Readonly<Record<string, Settings>>
  readonly providers?: Readonly<Record<string, Settings>>
  readonly agents?: readonly Settings[]
  /** Merged over the whole configuration, section by section. */
  readonly settings?: Readonly<Record<string, Settings>>
  readonly env?: Readonly<Record<string, string>>
  readonly clock?: () => number
}

/** A Countersign of its own in a fresh folder, on free loopback ports; ended, folder and all, by `await using`. */
export class Running implements AsyncDisposable {
  readonly folder: string
  readonly file: string
  readonly issuer: DevelopmentIssuer
  sidecar: Sidecar
  /** What was logged for the operator, as JSON text. */
  readonly logged: string[]
  readonly #options: RunningOptions
  #closed = false

  private constructor(folder: string, issuer: DevelopmentIssuer, sidecar: Sidecar, options: RunningOptions, logged: string[]) {
    this.folder = folder
    this.file = join(folder, 'countersign.yaml')
    this.issuer = issuer
    this.sidecar = sidecar
    this.logged = logged
    this.#options = options
  }

  static async start(options: RunningOptions): Promise<Running> {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-test-'))
    const issuer = await developmentIssuer('acme.example')
    writeFileSync(join(folder, 'bundle.json'), issuer.bundle)
    writeFileSync(join(folder, 'countersign.yaml'), configText(options))
    const logged: string[] = []
    const sidecar = await open(loadConfig(join(folder, 'countersign.yaml'), options.env ?? {}), options, logged)
    return new Running(folder, issuer, sidecar, options, logged)
  }

  /** Port of the shared agent listener, or of a named one (`route.<name>`, `admin`, `health`). */
  port(name = 'agent.0'): number {
    return this.sidecar.ports.get(name) ?? 0
  }

  url(path: string): string {
    return `http://127.0.0.1:${this.port()}${path}`
  }

  svid(id = agentId, seconds = 300, forAudience = audience): Promise<string> {
    return this.issuer.mint(id, forAudience, seconds)
  }

  /** Ends the process's sidecar in order and starts another on the same folder. */
  async restart(): Promise<void> {
    await this.sidecar.close()
    this.sidecar = await open(loadConfig(this.file, this.#options.env ?? {}), this.#options, this.logged)
  }

  /** Swaps in a changed configuration. */
  async reload(options: RunningOptions): Promise<void> {
    writeFileSync(this.file, configText(options))
    await this.sidecar.reload(loadConfig(this.file, options.env ?? {}))
  }

  get ledgerFolder(): string {
    return join(this.folder, 'ledger')
  }

  /** Every stored line. */
  ledgerText(): string {
    return readdirSync(this.ledgerFolder)
      .filter((name) => name.endsWith('.ndjson'))
      .sort()
      .map((name) => readFileSync(join(this.ledgerFolder, name), 'utf8'))
      .join('')
  }

  /** `custom.countersign` of every stored line, with its decision id. */
  entries(): (Readonly<Record<string, unknown>> & { readonly id: string })[] {
    return this.ledgerText()
      .trim()
      .split('\n')
      .map((line) => {
        const event = JSON.parse(line)
        return { id: event.decision_id, ...event.custom.countersign }
      })
  }

  async verify(): Promise<VerifyReport> {
    await this.sidecar.foundation.recorder.checkpoint()
    return verifyLedger(this.ledgerFolder, this.sidecar.ledger.key)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.sidecar.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

function open(loaded: Loaded, options: RunningOptions, logged: string[]): Promise<Sidecar> {
  const keep =
    (level: string) =>
    (fields: object, message: string): void =>
      void logged.push(JSON.stringify({ level, ...fields, message }))
  const log = { info: keep('info'), warn: keep('warn'), error: keep('error') }
  return openSidecar(loaded, { env: options.env ?? {}, log, version: 'test', ...(options.clock ? { clock: options.clock } : {}) })
}

/** The configuration that `Running` writes, as text. */
export function configText(options: RunningOptions): string {
  const config: Record<string, unknown> = {
    version: 1,
    listen: { agent: [{ at: '127.0.0.1:0' }], health: { at: '127.0.0.1:0' }, drain: '2s', rehearsal: '0s' },
    admin: { at: '127.0.0.1:0', key: { file: 'admin.key' } },
    identify: { audience, sources: [{ type: 'jwt-svid', trust_domain: 'acme.example', keys: { file: 'bundle.json' } }] },
    task: { state: { path: 'state.db', key: { file: 'state.key' } }, agents: options.agents ?? [freeAgent()] },
    decide: { environment: 'test' },
    credential: { providers: options.providers ?? {} },
    forward: { routes: options.routes },
    record: { ledger: { path: 'ledger', key: { file: 'ledger.key' } } },
  }
  for (const [section, settings] of Object.entries(options.settings ?? {})) config[section] = merge(config[section], settings)
  return stringify(config)
}

function merge(base: unknown, over: Settings): Settings {
  return base !== null && typeof base === 'object' ? { ...base, ...over } : over
}

/** What an upstream saw. */
export interface SeenRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  readonly body: string
}

/** An upstream of a test's own: keeps what it saw, answers what it is told. */
export class TestUpstream implements AsyncDisposable {
  readonly seen: SeenRequest[] = []
  readonly #server: ReturnType<typeof createServer>

  private constructor(answer: (request: SeenRequest, response: ServerResponse, incoming: IncomingMessage) => void) {
    this.#server = createServer((incoming, response) => {
      const parts: Buffer[] = []
      incoming.on('data', (part: Buffer) => parts.push(part))
      incoming.on('error', () => {})
      incoming.on('end', () => {
        const one: SeenRequest = {
          method: incoming.method ?? '',
          url: incoming.url ?? '',
          headers: incoming.headers,
          rawHeaders: incoming.rawHeaders,
          body: Buffer.concat(parts).toString('utf8'),
        }
        this.seen.push(one)
        answer(one, response, incoming)
      })
    })
  }

  static async start(
    answer: (request: SeenRequest, response: ServerResponse, incoming: IncomingMessage) => void = (_request, response) =>
      void response.writeHead(200, { 'content-type': 'application/json' }).end('{"ok":true}'),
  ): Promise<TestUpstream> {
    const upstream = new TestUpstream(answer)
    await new Promise<void>((resolve) => upstream.#server.listen(0, '127.0.0.1', resolve))
    return upstream
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

/** A private loopback route to an upstream, with one tool for everything unless others are given. */
export function routeTo(url: string, name: string, more: Settings = {}): Settings {
  return { at: `/${name}`, to: url, reach: 'private', tools: [anyTool(`${name}.any`)], ...more }
}

export interface Answered {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  readonly json: Readonly<Record<string, unknown>>
}

/** One request with exactly the headers given, over a connection of its own. */
export function ask(
  port: number,
  path: string,
  options: { readonly method?: string; readonly headers?: Readonly<Record<string, string>>; readonly body?: string } = {},
): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const length = options.body === undefined ? {} : { 'content-length': String(Buffer.byteLength(options.body)) }
    const sent = request(
      { host: '127.0.0.1', port, path, method: options.method ?? 'GET', agent: false, headers: { ...length, ...options.headers } },
      (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (part: string) => (text += part))
        response.on('error', reject)
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json: jsonOf(text) }))
      },
    )
    sent.on('error', reject)
    sent.end(options.body)
  })
}

function jsonOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const parsed: unknown = JSON.parse(text)
    return parsed !== null && typeof parsed === 'object' ? (parsed as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
