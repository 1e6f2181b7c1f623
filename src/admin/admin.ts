import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Secret } from '../secret.ts'
import type { TaskRow, TaskState } from '../state/state.ts'
import { Refusal } from '../refusal.ts'
import { problem, readText, send, type Answer } from './answer.ts'
import { opens } from './local-key.ts'
import { streamLedger, type LedgerLine } from './stream.ts'

/** What people may do to tasks. Each names who did it, for the ledger. */
export interface TaskVerbs {
  list(filter: { readonly state?: TaskState; readonly caller?: string; readonly limit: number }): Promise<readonly TaskRow[]>
  read(id: string): Promise<TaskRow | null>
  pause(id: string, by: string, reason: string): Promise<TaskRow>
  resume(id: string, by: string, reason: string): Promise<TaskRow>
  complete(id: string, by: string, reason: string): Promise<TaskRow>
}

export interface AdminOptions {
  readonly key: Secret
  readonly tasks: TaskVerbs
  /** A person says that what a caller has read no longer counts. */
  readonly clearSensitivity: (caller: string, by: string, reason: string) => Promise<void>
  /** Ledger lines from a sequence number on; `follow` waits for more. */
  readonly tail: (from: number, follow: boolean, signal: AbortSignal) => AsyncIterable<LedgerLine>
  /** Sequence number of the newest line. */
  readonly newest: () => number
  readonly status: () => unknown
}

const states: readonly TaskState[] = ['pending', 'active', 'paused', 'completed', 'revoked', 'expired']

/**
 * The admin API of people and the CLI, under `/v1/`. Never open: every request carries the local key, also on loopback,
 * which the agent shares. Browsers are refused: a page must not drive it.
 */
export function makeAdmin(options: AdminOptions): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  return async (request, response) => {
    if (request.headers.origin !== undefined || request.headers['sec-fetch-site'] !== undefined)
      return send(response, problem(403, 'browsers have no business here'))
    if (!opens(options.key, request.headers.authorization))
      return send(response, problem(401, 'the local key is missing or wrong', { 'www-authenticate': 'Bearer' }))
    const url = new URL(request.url ?? '/', 'http://admin.invalid')
    if (url.pathname === '/v1/logs' && request.method === 'GET') return streamLedger(request, response, url, options)
    try {
      send(response, await answer(request, url, options))
    } catch (error) {
      send(response, failure(error))
    }
  }
}

async function answer(request: IncomingMessage, url: URL, options: AdminOptions): Promise<Answer> {
  const [, version, noun, id, verb, ...rest] = url.pathname.split('/').map((piece) => decodeURIComponent(piece))
  if (version !== 'v1' || rest.length > 0) return problem(404, 'nothing is here')
  if (noun === 'status' && id === undefined && request.method === 'GET') return { status: 200, json: options.status() }
  if (noun === 'tasks' && id === undefined && request.method === 'GET') return list(url, options.tasks)
  if (noun === 'tasks' && id !== undefined && verb === undefined && request.method === 'GET') {
    const row = await options.tasks.read(id)
    return row === null ? problem(404, 'no such task') : { status: 200, json: shown(row) }
  }
  if (request.method !== 'POST') return problem(404, 'nothing is here')
  const words = await spoken(request)
  if (words === null) return problem(400, 'the body must be {"reason": …, "by": …}')
  if (noun === 'tasks' && id !== undefined && (verb === 'pause' || verb === 'resume' || verb === 'complete'))
    return { status: 200, json: shown(await options.tasks[verb](id, words.by, words.reason)) }
  if (noun === 'callers' && id !== undefined && verb === 'clear-sensitivity') {
    await options.clearSensitivity(id, words.by, words.reason)
    return { status: 200, json: { cleared: id } }
  }
  return problem(404, 'nothing is here')
}

async function list(url: URL, tasks: TaskVerbs): Promise<Answer> {
  const asked = url.searchParams.get('state')
  const state = states.find((one) => one === asked)
  if (asked !== null && state === undefined) return problem(400, `state is one of ${states.join(', ')}`)
  const caller = url.searchParams.get('caller')
  const rows = await tasks.list({ ...(state ? { state } : {}), ...(caller === null ? {} : { caller }), limit: 500 })
  return { status: 200, json: { tasks: rows.map((row) => shown(row)) } }
}

async function spoken(request: IncomingMessage): Promise<{ readonly reason: string; readonly by: string } | null> {
  try {
    const body: unknown = JSON.parse(await readText(request, 16 * 1024))
    if (body === null || typeof body !== 'object' || !('reason' in body) || !('by' in body)) return null
    const { reason, by } = body
    if (typeof reason !== 'string' || typeof by !== 'string' || reason.trim() === '' || by.trim() === '') return null
    return { reason: reason.slice(0, 500), by: by.slice(0, 200) }
  } catch {
    return null
  }
}

/** A task as people see it: no sealed token, times as text. */
function shown(row: TaskRow): unknown {
  const { subjectToken: _sealed, session: _proof, ...rest } = row
  const time = (ms: number): string => new Date(ms).toISOString()
  return {
    ...rest,
    opened: time(row.opened),
    expires: time(row.expires),
    limit: time(row.limit),
    paused: row.paused && { ...row.paused, at: time(row.paused.at) },
    ended: row.ended && { ...row.ended, at: time(row.ended.at) },
  }
}

function failure(error: unknown): Answer {
  if (error instanceof URIError) return problem(400, 'the path is malformed')
  if (error instanceof Refusal) return problem(error.code === 'task.unknown' ? 404 : 409, [error.title, ...error.reasons].join(': '))
  return problem(500, 'Countersign failed')
}
