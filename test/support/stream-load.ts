import { readFileSync, writeFileSync, mkdtempSync, rmSync } from 'node:fs'
import { Agent, createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { developmentIssuer } from '../../src/demo/issuer.ts'
import { audience, configText, freeAgent, routeTo, anyTool } from './running.ts'
import { SidecarProcess } from './sidecar-process.ts'

/** One stream as its upstream sees it. */
export interface Seen {
  readonly caller: string
  readonly kind: 'download' | 'upload'
  /** `performance.now()` of the last byte that came or could be sent, and of the end of the connection. */
  last: number
  gone: number | null
  bytes: number
}

const every = 100
const piece = 'x'.repeat(512)

/** An upstream that trickles event streams and takes trickling uploads, and keeps the time of every byte. */
export class TricklingUpstream implements AsyncDisposable {
  readonly seen = new Map<string, Seen>()
  readonly #server = createServer((asked, response) => this.#answer(asked, response))
  readonly #waiting = new Set<() => void>()

  static async start(): Promise<TricklingUpstream> {
    const upstream = new TricklingUpstream()
    await new Promise<void>((resolve) => upstream.#server.listen(0, '127.0.0.1', resolve))
    return upstream
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Those that are open. */
  open(caller?: string): Seen[] {
    return [...this.seen.values()].filter((one) => one.gone === null && one.bytes > 0 && (caller === undefined || one.caller === caller))
  }

  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise<void>((resolve) => void this.#waiting.add(resolve))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #answer(asked: IncomingMessage, response: ServerResponse): void {
    const [, kind, caller = '', name = ''] = (asked.url ?? '').split('/')
    const one: Seen = { caller, kind: kind === 'files' ? 'upload' : 'download', last: 0, gone: null, bytes: 0 }
    this.seen.set(`${caller}/${name}`, one)
    const moved = (bytes: number): void => {
      one.bytes += bytes
      one.last = performance.now()
      this.#saw()
    }
    asked.on('error', () => undefined)
    let timer: NodeJS.Timeout | undefined
    if (one.kind === 'upload') asked.on('data', (part: Buffer) => moved(part.length))
    else {
      asked.resume()
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      const send = (): void => {
        response.write(`data: ${piece}\n\n`)
        moved(piece.length)
      }
      send()
      timer = setInterval(send, every)
    }
    asked.socket.once('close', () => {
      clearInterval(timer)
      one.gone = performance.now()
      this.#saw()
    })
  }

  #saw(): void {
    for (const each of this.#waiting) each()
    this.#waiting.clear()
  }
}

export const callers = ['one', 'two'] as const
const idOf = (name: string): string => `spiffe://acme.example/ns/test/sa/${name}`

/** A sidecar in a process of its own with so many streams open on it, half of each caller, half of them uploads. */
export class StreamLoad implements AsyncDisposable {
  readonly folder: string
  readonly upstream: TricklingUpstream
  process: SidecarProcess
  readonly #agent = new Agent({ keepAlive: false, maxSockets: Number.POSITIVE_INFINITY })
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #tokens: ReadonlyMap<string, string>

  private constructor(folder: string, upstream: TricklingUpstream, process: SidecarProcess, tokens: ReadonlyMap<string, string>) {
    this.folder = folder
    this.upstream = upstream
    this.process = process
    this.#tokens = tokens
  }

  static async start(): Promise<StreamLoad> {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-streams-'))
    const upstream = await TricklingUpstream.start()
    const issuer = await developmentIssuer('acme.example')
    writeFileSync(join(folder, 'bundle.json'), issuer.bundle)
    const tools = [anyTool('api.any')]
    const config = configText({
      routes: { api: routeTo(upstream.url, 'api', { credential: 'api', tools }) },
      providers: { api: { type: 'jwt', audience: 'https://api.acme.example' } },
      agents: callers.map((name) => freeAgent({ id: idOf(name) })),
      settings: { listen: { limits: { calls_per_caller: 2000 } } },
    })
    writeFileSync(join(folder, 'countersign.yaml'), config)
    const tokens = await Promise.all(callers.map(async (name) => [name, await issuer.mint(idOf(name), audience, 3600)] as const))
    return new StreamLoad(folder, upstream, await SidecarProcess.start(join(folder, 'countersign.yaml')), new Map(tokens))
  }

  /** Opens them; resolves when a byte of each has arrived. */
  async open(count: number): Promise<void> {
    const wanted = this.upstream.open().length + count
    for (let at = 0; at < count; at++) this.#one(callers[at % 2] ?? 'one', at)
    await this.upstream.until(() => this.upstream.open().length >= wanted)
  }

  #one(caller: string, at: number): void {
    const upload = at % 4 >= 2
    const headers = { authorization: `Bearer ${this.#tokens.get(caller)}` }
    const path = `/api/${upload ? 'files' : 'events'}/${caller}/${at}-${this.upstream.seen.size}`
    const sent = request({
      host: '127.0.0.1',
      port: this.process.port(),
      agent: this.#agent,
      method: upload ? 'POST' : 'GET',
      path,
      headers,
    })
    const end = (): void => {
      clearInterval(timer)
      this.#timers.delete(timer)
    }
    const timer = setInterval(() => (upload ? void sent.write(piece) : undefined), every)
    this.#timers.add(timer)
    sent.on('error', end).on('close', end)
    sent.on('response', (response) => response.on('error', () => undefined).resume())
    if (upload) sent.write(piece)
    else sent.end()
  }

  /** Engages a kill; gives when it was asked for and when it was answered, on the clock of the upstream. */
  async kill(scope: string, name?: string): Promise<{ readonly asked: number; readonly answered: number; readonly cut: number }> {
    const authorization = `Bearer ${readFileSync(join(this.folder, 'admin.key'), 'utf8').trim()}`
    const url = `http://127.0.0.1:${this.process.port('admin')}/v1/kills`
    const body = JSON.stringify({ scope, ...(name === undefined ? {} : { name }), reason: 'measured', by: 'oncall' })
    // the first request of a process loads its client
    await (await fetch(url, { headers: { authorization } })).text()
    const asked = performance.now()
    const answer = await fetch(url, { method: 'POST', body, headers: { authorization, 'content-type': 'application/json' } })
    const answered = performance.now()
    const { cut } = (await answer.json()) as { cut: number }
    return { asked, answered, cut }
  }

  agentId(name: string): string {
    return idOf(name)
  }

  /** One plain call; gives its refusal code, or null when it was answered. */
  async code(caller: string): Promise<string | null> {
    const headers = { authorization: `Bearer ${this.#tokens.get(caller)}` }
    const answer = await fetch(`http://127.0.0.1:${this.process.port()}/api/events/${caller}/probe-${this.upstream.seen.size}`, { headers })
    if (answer.status === 200) return (void answer.body?.cancel(), null)
    return ((await answer.json()) as { code: string }).code
  }

  async restart(): Promise<void> {
    this.process = await SidecarProcess.start(join(this.folder, 'countersign.yaml'))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    await this.process[Symbol.asyncDispose]()
    this.#agent.destroy()
    await this.upstream[Symbol.asyncDispose]()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
