import { listen, type Listening, type ListenOptions } from '../../src/listen/proxy.ts'
import type { RouteAddress } from '../../src/listen/address.ts'
import type { Call } from '../../src/listen/call.ts'
import type { Limits } from '../../src/listen/limits.ts'
import { Refusal } from '../../src/refusal.ts'
import { rawClient, type RawConnection } from './sockets.ts'

/** An answer as it came over a raw connection. */
export interface RawAnswer {
  readonly status: number
  readonly head: string
  readonly body: string
}

/** What a call that was admitted looked like to the stage behind listen. */
export interface SeenCall {
  readonly method: string
  readonly target: string
  readonly route: string | null
  readonly task: string | null
  readonly headers: readonly string[]
  readonly body: string
}

export interface ListenRig extends AsyncDisposable {
  readonly listening: Listening
  readonly port: number
  /** Calls that were admitted, in order. */
  readonly seen: SeenCall[]
  /** Calls that ended in a refusal: its code and first reason. */
  readonly refused: string[]
  /** What was reported as malformed without a call. */
  readonly malformed: string[]
  client(): Promise<RawConnection>
  /** Sends bytes (latin1), waits for the connection to close, gives every answer. */
  exchange(bytes: string): Promise<RawAnswer[]>
}

export const strictRelax = { encodedSlash: false, emptySegments: false, encodedPercent: false }

export const wideLimits: Limits = {
  headerBytes: 32 * 1024,
  headerCount: 100,
  target: 8 * 1024,
  body: 1024 * 1024,
  callsPerCaller: 64,
  overload: { delay: 0, heap: 1, calls: 4096 },
  connections: 1000,
  headerTime: 10_000,
  bodyTime: 60_000,
  callTime: 0,
}

export function routeAddress(name: string, more: Partial<RouteAddress> = {}): RouteAddress {
  const plain = {
    name,
    at: `/${name}`,
    host: null,
    relax: strictRelax,
    selects: [],
    allowBody: false,
    browsers: false,
    refusals: 'problem',
  } as const
  return { ...plain, ...more }
}

let calls = 0

/** Options for one shared listener and a route `/crm`; every part can be replaced. */
export function listenOptions(more: Partial<ListenOptions> = {}): ListenOptions {
  return {
    listeners: [{ name: 'shared', at: { host: '127.0.0.1', port: 0 }, route: null, ambient: null, tls: null }],
    routes: [routeAddress('crm')],
    hosts: [],
    limits: wideLimits,
    newId: (kind) => `${kind}_${String(++calls).padStart(26, '0')}`,
    clock: () => 1_790_000_000_000,
    handle: async () => undefined,
    malformed: () => undefined,
    ...more,
  }
}

/**
 * Listens, and answers every admitted call with 200 and its body; `behave` may do something else with it first.
 * Ends calls as the request path does.
 */
export async function listenRig(more: Partial<ListenOptions> = {}, behave: (call: Call) => Promise<void> = echo): Promise<ListenRig> {
  const seen: SeenCall[] = []
  const refused: string[] = []
  const malformed: string[] = []
  const handle = async (call: Call): Promise<void> => {
    try {
      call.admit()
      const body = call.length === 0 ? '' : await readAll(call)
      seen.push({ ...pick(call), body })
      await behave(call)
    } catch (error) {
      const refusal = Refusal.from(error)
      refused.push([refusal.code, ...refusal.reasons].join(': '))
      await Promise.resolve()
      call.refuse(refusal)
    } finally {
      call.release()
    }
  }
  const listening = await listen(listenOptions({ handle, malformed: (_listener, reason) => malformed.push(reason), ...more }))
  const port = listening.ports.get('shared') ?? [...listening.ports.values()][0] ?? 0
  return {
    listening,
    port,
    seen,
    refused,
    malformed,
    client: () => rawClient(port),
    exchange: async (bytes) => {
      const client = await rawClient(port)
      client.socket.write(bytes, 'latin1')
      await client.closed
      return answers(client.text())
    },
    [Symbol.asyncDispose]: () => listening.drain(0),
  }
}

/** Cuts what a server wrote into answers; every answer must have a Content-Length. Interim answers are left out. */
export function answers(text: string): RawAnswer[] {
  const found: RawAnswer[] = []
  let rest = text
  while (rest.length > 0) {
    const end = rest.indexOf('\r\n\r\n')
    if (end === -1) break
    const head = rest.slice(0, end)
    const status = Number(head.slice(9, 12))
    const length = status === 100 ? 0 : Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0)
    if (status !== 100) found.push({ status, head, body: rest.slice(end + 4, end + 4 + length) })
    rest = rest.slice(end + 4 + length)
  }
  return found
}

/** Answers 200. */
export async function echo(call: Call): Promise<void> {
  call.outgoing.writeHead(200, ['Content-Length', '2', 'Countersign-Call', call.id])
  call.outgoing.end('ok')
}

async function readAll(call: Call): Promise<string> {
  call.continue()
  return new Promise((resolve, reject) => {
    let text = ''
    let size = 0
    call.signal.addEventListener('abort', () => reject(call.signal.reason as Error))
    call.incoming.on('data', (chunk: Buffer) => {
      size += chunk.length
      text += chunk.toString('latin1')
      if (size > call.limit) reject(new Refusal('listen.too-large'))
    })
    call.incoming.on('end', () => resolve(text))
    call.incoming.on('error', () => undefined)
  })
}

function pick(call: Call): Omit<SeenCall, 'body'> {
  const { method, headers, address } = call
  return { method, headers, target: address.target, route: address.route, task: address.task }
}
