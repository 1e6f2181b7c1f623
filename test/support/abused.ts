import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { developmentIssuer, type DevelopmentIssuer } from '../../src/demo/issuer.ts'
import { verifyLedger } from '../../src/record/verify.ts'
import { LedgerHistory } from './ledger-history.ts'
import { answers, type RawAnswer } from './listen-rig.ts'
import { ask, audience, configText, TestUpstream, type Answered, type RunningOptions, type SeenRequest } from './running.ts'
import { SidecarProcess } from './sidecar-process.ts'
import { rawClient, type RawConnection } from './sockets.ts'

/** What a sidecar is after an attack: alive as the same process, ready, with a ledger that verifies. */
export interface Condition {
  readonly alive: boolean
  readonly ready: number
  readonly verified: boolean
}

export const unharmed: Condition = { alive: true, ready: 200, verified: true }

/** In the file `upstream.secret` beside the configuration. */
export const upstreamSecret = randomBytes(24).toString('hex')

export const idOf = (name: string): string => `spiffe://acme.example/ns/test/sa/${name}`

type Asked = Omit<NonNullable<Parameters<typeof ask>[2]>, 'headers'> & {
  readonly headers?: Readonly<Record<string, string>>
  /** The agent who calls; null for nobody. */
  readonly as?: string | null
  readonly task?: string
}

/** A sidecar in a process of its own, an upstream that keeps what it saw, and agents with tokens. */
export class Abused implements AsyncDisposable {
  readonly folder: string
  readonly process: SidecarProcess
  readonly upstream: TestUpstream
  readonly issuer: DevelopmentIssuer
  /** What its ledger says, as far as it was read. */
  readonly history: LedgerHistory
  readonly #tokens: ReadonlyMap<string, string>

  private constructor(
    folder: string,
    process: SidecarProcess,
    upstream: TestUpstream,
    issuer: DevelopmentIssuer,
    tokens: ReadonlyMap<string, string>,
  ) {
    this.folder = folder
    this.process = process
    this.upstream = upstream
    this.issuer = issuer
    this.history = new LedgerHistory(join(folder, 'ledger'))
    this.#tokens = tokens
  }

  /** `names` of the agents that get tokens; `options` gets the URL of the upstream. */
  static async start(
    names: readonly string[],
    options: (upstream: string) => RunningOptions,
    answer: (request: SeenRequest, response: ServerResponse, incoming: IncomingMessage) => void = plainly,
  ): Promise<Abused> {
    const upstream = await TestUpstream.start(answer)
    const folder = mkdtempSync(join(tmpdir(), 'countersign-abuse-'))
    const issuer = await developmentIssuer('acme.example')
    writeFileSync(join(folder, 'bundle.json'), issuer.bundle)
    writeFileSync(join(folder, 'upstream.secret'), upstreamSecret)
    writeFileSync(join(folder, 'countersign.yaml'), configText(options(upstream.url)))
    const tokens = await Promise.all(
      names.map(async (name): Promise<[string, string]> => [name, await issuer.mint(idOf(name), audience, 3600)]),
    )
    const process = await SidecarProcess.start(join(folder, 'countersign.yaml'))
    return new Abused(folder, process, upstream, issuer, new Map(tokens))
  }

  port(name?: string): number {
    return this.process.port(name)
  }

  token(name: string): string {
    return this.#tokens.get(name) ?? ''
  }

  /** One request over a connection of its own. */
  ask(path: string, { as = 'alice', task, headers, ...rest }: Asked = {}): Promise<Answered> {
    const own: Record<string, string> = { ...headers }
    if (as !== null) own['authorization'] ??= `Bearer ${this.token(as)}`
    if (task !== undefined) own['countersign-task'] = task
    return ask(this.port(), path, { ...rest, headers: own })
  }

  /** Opens a task; gives its id. */
  async open(as: string, asked: object = {}): Promise<string> {
    const { status, json, text } = await this.ask('/.countersign/v1/tasks', {
      as,
      method: 'POST',
      body: JSON.stringify({ purpose: 'test', ...asked }),
    })
    if (status !== 201) throw new Error(`no task was opened: ${text}`)
    return String(json['id'])
  }

  /** A verb of the agent's own API on a task. */
  act(as: string, id: string, verb: 'pause' | 'resume' | 'complete'): Promise<Answered> {
    return this.ask(`/.countersign/v1/tasks/${id}/${verb}`, { as, method: 'POST' })
  }

  client(): Promise<RawConnection> {
    return rawClient(this.port())
  }

  /** Sends bytes as they are; gives the answers once the sidecar has closed, or has had nothing to say for `ms`. */
  async raw(bytes: string, ms = 300): Promise<RawAnswer[]> {
    const client = await this.client()
    client.socket.write(bytes, 'latin1')
    let timer = setTimeout(() => client.socket.destroy(), ms)
    client.socket.on('data', () => {
      clearTimeout(timer)
      timer = setTimeout(() => client.socket.destroy(), ms)
    })
    await client.closed
    clearTimeout(timer)
    return answers(client.text())
  }

  /** Every stored line. */
  ledgerText(): string {
    const folder = join(this.folder, 'ledger')
    const names = readdirSync(folder).filter((name) => name.endsWith('.ndjson'))
    return names
      .sort()
      .map((name) => readFileSync(join(folder, name), 'utf8'))
      .join('')
  }

  /** `custom.countersign` of every stored line, with its decision id. */
  entries(): (Readonly<Record<string, unknown>> & { readonly id: string })[] {
    return this.ledgerText()
      .trim()
      .split('\n')
      .map((line) => {
        const event = JSON.parse(line)
        return { id: event.decision_id, path: event.input?.request?.path, ...event.custom.countersign }
      })
  }

  /** Kinds of the events of a task, in order. */
  story(task: string): string[] {
    this.history.catchUp()
    return this.history.events.flatMap(({ event, task: of }) => (of === task && event.startsWith('task.') ? [event] : []))
  }

  async condition(): Promise<Condition> {
    const { status } = await ask(this.port('health'), '/readyz')
    const { ok } = await verifyLedger(join(this.folder, 'ledger'), this.process.key)
    return { alive: this.process.alive, ready: status, verified: ok }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]()
    await this.upstream[Symbol.asyncDispose]()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** With a length, so that raw answers can be told apart. */
function plainly(_request: SeenRequest, response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': 11 }).end('{"ok":true}')
}
