/** The agent of a rehearsal: opens a task and calls the API through the proxy, over and over, on a few connections. */

import { connect, type Socket } from 'node:net'
import { messageOf, onMessages } from './framing.ts'

export interface CallerOptions {
  /** Of the agents' listener. */
  readonly port: number
  readonly svid: () => string
  /** Ends every connection. */
  readonly signal: AbortSignal
  /** No call is begun after it has become true. */
  readonly enough: () => boolean
}

/** What came of it: answers by their status. */
export type Answers = ReadonlyMap<string, number>

const connections = 4
/** Each known token is used so often, then comes one that has to be verified. */
const callsPerToken = 64
const intent = { purpose: 'rehearse', tools: ['items.read', 'items.write'], resources: ['item:*'], ttl: '1h' }
const item = JSON.stringify({ item: '0123456789abcdef'.repeat(32), count: 1, labels: ['a', 'b'], nested: { more: [1, 2, 3] } })

/** Opens a task and calls under it until the signal. Resolves then, when every connection is closed; never rejects. */
export async function call(options: CallerOptions): Promise<Answers> {
  const answers = new Map<string, number>()
  const task = await opened(options)
  if (task !== null)
    await Promise.all(Array.from({ length: connections }, (_, index) => converse(options, requests(options, index, task), answers)))
  return answers
}

/** One task, for each has its own lease; null when the signal came before, or it was not let in. */
async function opened({ port, svid, signal }: CallerOptions): Promise<string | null> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  const headers = { host: `127.0.0.1:${port}`, authorization: `Bearer ${svid()}`, 'content-type': 'application/json' }
  socket.write(messageOf('POST /.countersign/v1/tasks HTTP/1.1', headers, JSON.stringify(intent)))
  let task: string | null = null
  onMessages(socket, (_head, body) => {
    task = /"id": *"(t_[^"]+)"/.exec(body)?.[1] ?? null
    socket.destroy()
  })
  await closed(socket, signal)
  return task
}

/** One connection: one call after the other. */
function converse({ port, signal, enough }: CallerOptions, next: () => string, answers: Map<string, number>): Promise<void> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  socket.write(next())
  onMessages(socket, (head) => {
    const status = head.slice(9, 12)
    answers.set(status, (answers.get(status) ?? 0) + 1)
    if (enough()) socket.destroy()
    else socket.write(next())
  })
  return closed(socket, signal)
}

/** Resolves when the connection is closed, which the signal sees to if nobody does before. */
function closed(socket: Socket, signal: AbortSignal): Promise<void> {
  const stop = (): void => void socket.destroy()
  // the signal of before is not told again
  if (signal.aborted) stop()
  signal.addEventListener('abort', stop, { once: true })
  return new Promise((resolve) => {
    socket.once('close', () => {
      signal.removeEventListener('abort', stop)
      resolve()
    })
  })
}

/** What one connection sends: mostly reads and writes, now and then what is refused. */
function requests({ port, svid }: CallerOptions, index: number, task: string): () => string {
  let count = 0
  let headers: Record<string, string> = {}
  return () => {
    if (count % callsPerToken === 0)
      headers = {
        host: `127.0.0.1:${port}`,
        accept: 'application/json',
        'user-agent': 'rehearsal',
        authorization: `Bearer ${svid()}`,
        'countersign-task': task,
      }
    count += 1
    const id = `${index}-${count}`
    if (count % 16 === 0) return messageOf(`GET /api/unknown/${id} HTTP/1.1`, headers)
    if (count % 2 === 0) return messageOf(`POST /api/items/${id} HTTP/1.1`, { ...headers, 'content-type': 'application/json' }, item)
    return messageOf(`GET /api/items/${id} HTTP/1.1`, headers)
  }
}
