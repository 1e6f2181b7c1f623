import { Agent, request } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import type { Random } from './random.ts'

/** Somebody who calls, and the tasks it has open as far as it knows. */
export interface LoadCaller {
  readonly id: string
  readonly token: string
  /** False: its calls go under an implicit task. */
  readonly explicit: boolean
  readonly tasks: string[]
}

/** What a client got for one request, kept as soon as the head of the answer is there. */
export interface Got {
  readonly marker: string
  readonly caller: string
  readonly status: number
  /** `Countersign-Call`. */
  readonly call: string
  /** A request to the agent's own API. */
  readonly api: boolean
  /** The answer ended as announced. */
  whole: boolean
}

/** A task as the client was told about it. */
export interface ToldTask {
  readonly id: string
  readonly caller: string
  completed: boolean
}

/** What clients know: kept outside of the process that is killed. */
export class ClientHistory {
  readonly got: Got[] = []
  readonly tasks = new Map<string, ToldTask>()
  asked = 0
  /** Requests that got no head of an answer. */
  lost = 0
}

interface Asked {
  readonly marker: string
  readonly method: string
  readonly path: string
  readonly body?: string | readonly string[]
  readonly task?: string | null
  readonly token?: string
}

/** Clients on kept connections, each asking one thing after the other, until they are stopped or the port is gone. */
export class KillLoad {
  readonly history = new ClientHistory()
  /** Of every request so far. */
  readonly markers: string[] = []
  readonly #random: Random
  readonly #callers: readonly LoadCaller[]
  readonly #lane: string
  #count = 0

  constructor(lane: string, callers: readonly LoadCaller[], random: Random) {
    this.#lane = lane
    this.#callers = callers
    this.#random = random
  }

  /** Runs `clients` against a port; resolves when `signal` aborted and every client has noticed. */
  async run(port: number, clients: number, signal: AbortSignal): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: clients })
    try {
      await Promise.all(
        Array.from({ length: clients }, (_, at) => this.#client(port, agent, this.#callers[at % this.#callers.length]!, signal)),
      )
    } finally {
      agent.destroy()
    }
  }

  async #client(port: number, agent: Agent, caller: LoadCaller, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#act(port, agent, caller)
      await wait(this.#random.below(40))
    }
  }

  #act(port: number, agent: Agent, caller: LoadCaller): Promise<unknown> {
    const marker = `m${this.#lane}x${++this.#count}`
    this.markers.push(marker)
    const dice = this.#random.next()
    const task = caller.explicit ? (caller.tasks.length === 0 ? undefined : this.#random.pick(caller.tasks)) : null
    if (task === undefined || (caller.explicit && dice < 0.06)) return this.#open(port, agent, caller, marker)
    if (caller.explicit && dice < 0.1 && caller.tasks.length > 2) return this.#complete(port, agent, caller, marker)
    const ask = (asked: Omit<Asked, 'marker' | 'task'>): Promise<unknown> => this.#ask(port, agent, caller, { marker, task, ...asked })
    if (dice < 0.4) return ask({ method: 'GET', path: `/crm/customers/${marker}` })
    if (dice < 0.6) return ask({ method: 'POST', path: `/crm/orders/${marker}`, body: JSON.stringify({ amount: 1, for: marker }) })
    if (dice < 0.72) return ask({ method: 'PUT', path: `/crm/files/${marker}`, body: ['a', 'b', 'c', 'd'].map((one) => one.repeat(5000)) })
    if (dice < 0.84) return ask({ method: 'GET', path: `/crm/events/${marker}` })
    if (dice < 0.92) return ask({ method: 'POST', path: `/pay/refunds/${marker}`, body: '{}' })
    if (dice < 0.94) return ask({ method: 'GET', path: `/open/public/${marker}` })
    if (dice < 0.96) return ask({ method: 'DELETE', path: `/crm/customers/${marker}` })
    return ask({ method: 'GET', path: `/crm/customers/${marker}`, token: `${caller.token.slice(0, -4)}AAAA` })
  }

  async #open(port: number, agent: Agent, caller: LoadCaller, marker: string): Promise<void> {
    const body = JSON.stringify({ purpose: 'load', ttl: '10m' })
    const text = await this.#ask(port, agent, caller, { marker, method: 'POST', path: '/.countersign/v1/tasks', body, task: null })
    if (text === null) return
    const { id } = JSON.parse(text) as { id?: string }
    if (id === undefined) return
    this.history.tasks.set(id, { id, caller: caller.id, completed: false })
    caller.tasks.push(id)
  }

  async #complete(port: number, agent: Agent, caller: LoadCaller, marker: string): Promise<void> {
    const [id] = caller.tasks.splice(this.#random.below(caller.tasks.length), 1)
    const path = `/.countersign/v1/tasks/${id}/complete`
    const text = await this.#ask(port, agent, caller, { marker, method: 'POST', path, task: null })
    const told = this.history.tasks.get(id ?? '')
    if (told && text !== null) told.completed = true
  }

  /** The whole text of a 2xx answer, else null. */
  #ask(port: number, agent: Agent, caller: LoadCaller, asked: Asked): Promise<string | null> {
    const { history } = this
    history.asked++
    const headers: Record<string, string> = { authorization: `Bearer ${asked.token ?? caller.token}` }
    if (asked.task) headers['countersign-task'] = asked.task
    if (typeof asked.body === 'string') headers['content-length'] = String(asked.body.length)
    if (asked.body !== undefined) headers['content-type'] = typeof asked.body === 'string' ? 'application/json' : 'text/plain'
    const { promise, resolve } = Promise.withResolvers<string | null>()
    let answered = false
    const sent = request({ host: '127.0.0.1', port, agent, method: asked.method, path: asked.path, headers }, (response) => {
      answered = true
      const { marker } = asked
      const status = response.statusCode ?? 0
      const got: Got = {
        marker,
        caller: caller.id,
        status,
        call: String(response.headers['countersign-call']),
        api: asked.path.startsWith('/.'),
        whole: false,
      }
      history.got.push(got)
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (part: string) => (text += part))
      response.on('error', () => resolve(null))
      response.on('close', () => resolve(null))
      response.on('end', () => {
        got.whole = response.complete
        resolve(status < 300 && response.complete ? text : null)
      })
    })
    sent.on('error', () => {
      if (!answered) history.lost++
      resolve(null)
    })
    send(sent, asked.body)
    return promise
  }
}

/** A list goes out piece by piece, in chunks. */
function send(sent: ReturnType<typeof request>, body: Asked['body']): void {
  if (body === undefined || typeof body === 'string') {
    sent.end(body)
    return
  }
  void (async () => {
    for (const piece of body) {
      if (sent.destroyed) return
      sent.write(piece)
      await wait(8)
    }
    sent.end()
  })()
}
