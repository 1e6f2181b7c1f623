import { readFileSync } from 'node:fs'
import { request, type ClientRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { LiveUpstream } from './live-upstream.ts'
import { agentId, ask, type Answered, type Running } from './running.ts'

/** Resolves when it is so, looking whenever something was seen. */
class Seeing {
  readonly #waiting = new Set<() => void>()

  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise<void>((resolve) => void this.#waiting.add(resolve))
  }

  saw(): void {
    setImmediate(() => {
      for (const each of this.#waiting) each()
      this.#waiting.clear()
    })
  }
}

/** An upstream that keeps event streams open under `/events`, takes uploads under `/files` and answers the rest at once. */
export class StreamingUpstream extends Seeing implements AsyncDisposable {
  readonly streams = new Set<ServerResponse>()
  /** Requests, by path. */
  readonly seen: string[] = []
  readonly tokens: string[] = []
  uploaded = 0
  /** Streams and uploads that were cut from the other side. */
  cut = 0
  /** Whether whoever asks gets the head of an answer. */
  silent = false
  #live: LiveUpstream | null = null

  static async start(): Promise<StreamingUpstream> {
    const upstream = new StreamingUpstream()
    upstream.#live = await LiveUpstream.start((asked, response) => upstream.#answer(asked, response))
    return upstream
  }

  get url(): string {
    return this.#live?.url ?? ''
  }

  #answer(asked: IncomingMessage, response: ServerResponse): void {
    const path = asked.url ?? ''
    this.seen.push(path)
    this.tokens.push(String(asked.headers.authorization).slice(7))
    asked.on('error', () => undefined)
    if (path.startsWith('/files')) {
      asked.on('data', (part: Buffer) => ((this.uploaded += part.length), this.saw()))
      asked.on('close', () => ((this.cut += asked.complete ? 0 : 1), this.saw()))
      asked.on('end', () => response.end('{}'))
    } else if (path.startsWith('/events')) {
      if (!this.silent) response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n')
      this.streams.add(response)
      response.on('close', () => ((this.cut += response.writableEnded ? 0 : 1), this.streams.delete(response), this.saw()))
    } else {
      asked.resume()
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    }
    this.saw()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#live?.[Symbol.asyncDispose]()
  }
}

/** One call that is left open. */
export class OpenCall extends Seeing {
  readonly sent: ClientRequest
  readonly over: Promise<void>
  status = 0
  text = ''
  ended = false

  constructor(port: number, path: string, method: string, headers: Readonly<Record<string, string>>) {
    super()
    this.sent = request({ host: '127.0.0.1', port, path, method, agent: false, headers })
    this.over = new Promise((resolve) => {
      const end = (): void => ((this.ended = true), this.saw(), resolve())
      this.sent.on('error', end)
      this.sent.on('response', (response) => {
        this.status = response.statusCode ?? 0
        response.setEncoding('utf8')
        response.on('data', (part: string) => ((this.text += part), this.saw()))
        response.on('error', () => undefined)
        response.on('close', end)
      })
    })
  }

  get json(): Readonly<Record<string, unknown>> {
    return JSON.parse(this.text) as Readonly<Record<string, unknown>>
  }
}

/** Headers of an agent, with the task it names. */
export async function as(running: Running, id = agentId, task?: string): Promise<Record<string, string>> {
  const authorization = `Bearer ${await running.svid(id)}`
  return task === undefined ? { authorization } : { authorization, 'countersign-task': task }
}

/** An event stream whose first event has come. */
export async function openStream(running: Running, id = agentId, task?: string): Promise<OpenCall> {
  const call = new OpenCall(running.port(), '/api/events', 'GET', await as(running, id, task))
  call.sent.end()
  await call.until(() => call.text !== '' || call.ended)
  return call
}

export async function get(running: Running, path: string, id = agentId, task?: string): Promise<Answered> {
  return ask(running.port(), path, { headers: await as(running, id, task) })
}

export async function post(running: Running, path: string, body: unknown, id = agentId): Promise<Answered> {
  return ask(running.port(), path, { method: 'POST', headers: await as(running, id), body: JSON.stringify(body) })
}

/** Opens a task as the agent does; gives its id. */
export async function openTask(running: Running, id = agentId): Promise<string> {
  return String((await post(running, '/.countersign/v1/tasks', { purpose: 'test' }, id)).json['id'])
}

/** Asks the admin port with the local key. */
export function admin(running: Running, path: string, body?: unknown): Promise<Answered> {
  const authorization = `Bearer ${readFileSync(join(running.folder, 'admin.key'), 'utf8').trim()}`
  const sent = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }
  return ask(running.port('admin'), path, { ...sent, headers: { authorization } })
}

/** Engages a kill by the admin port. */
export function kill(running: Running, scope: string, name?: string, reason = 'test'): Promise<Answered> {
  return admin(running, '/v1/kills', { scope, ...(name === undefined ? {} : { name }), reason, by: 'oncall' })
}

/** Details of the ledger's events of one kind. */
export function events(running: Running, kind: string): Readonly<Record<string, unknown>>[] {
  const found = running.entries().filter((line) => line['event'] === kind)
  return found.map((line) => line['detail'] as Readonly<Record<string, unknown>>)
}
