import type { IncomingMessage, ServerResponse } from 'node:http'
import { ApprovalFault } from '../approve/fault.ts'
import { Refusal } from '../refusal.ts'
import { problem, readText, send, type Answer } from './answer.ts'
import type { ChatPort } from './chat.ts'
import { statusOf } from './desk.ts'
import { readObject, type Noun, type SignedIn } from './noun.ts'
import type { Pages } from './page.ts'
import { isAnswer, type Ask } from './sign-in.ts'
import { streamLedger, type LedgerLine } from './stream.ts'

export interface AdminOptions {
  /** Who asks. */
  readonly ask: Ask
  readonly pages: Pages
  readonly chat: ChatPort
  /** What stands under `/v1/<noun>`. */
  readonly nouns: Readonly<Record<string, Noun>>
  /** Ledger lines from a sequence number on; `follow` waits for more. */
  readonly tail: (from: number, follow: boolean, signal: AbortSignal) => AsyncIterable<LedgerLine>
  /** Sequence number of the newest line. */
  readonly newest: () => number
  readonly status: () => unknown
}

/**
 * The admin API of people and the CLI, under `/v1/`, and the page for browsers. Never open, also not on loopback, which the agent shares:
 * every request of the API carries the local key, or comes from a person who is signed in. Browsers only with a session, from our own page.
 */
export function makeAdmin(options: AdminOptions): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  return async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://admin.invalid')
    if (!url.pathname.startsWith('/v1/')) {
      const shown = (await options.chat(request, url)) ?? (await options.pages(request, url))
      // what a browser has no page for is nothing that it may learn of
      if (shown !== null) return send(response, shown)
    }
    let text: Promise<string> | null = null
    const body = (): Promise<string> => (text ??= readText(request, 16 * 1024))
    try {
      const who = await options.ask(request, body)
      if (isAnswer(who)) return send(response, who)
      if (url.pathname === '/v1/logs' && request.method === 'GET') return await streamLedger(request, response, url, options)
      send(response, (await answer(request.method ?? 'GET', url, who, body, options)) ?? problem(404, 'nothing is here'))
    } catch (error) {
      if (response.headersSent) throw error
      send(response, failure(error))
    }
  }
}

async function answer(
  method: string,
  url: URL,
  who: SignedIn,
  body: () => Promise<string>,
  { nouns, status }: AdminOptions,
): Promise<Answer | null> {
  const [, version, name, ...path] = url.pathname.split('/').map((piece) => decodeURIComponent(piece))
  if (version !== 'v1' || name === undefined) return null
  if (name === 'status' && path.length === 0 && method === 'GET') return { status: 200, json: status() }
  const noun = Object.hasOwn(nouns, name) ? nouns[name] : undefined
  return noun === undefined ? null : noun({ method, path, query: url.searchParams, who, body: () => readObject(body) })
}

/** Whoever is told that another person must answer is told what. */
function said({ title, reasons, approval }: Refusal): string {
  return [title, ...reasons, ...(approval === null ? [] : [`it is asked as ${approval.id}`])].join(': ')
}

function failure(error: unknown): Answer {
  if (error instanceof URIError) return problem(400, 'the path is malformed')
  if (error instanceof ApprovalFault) return problem(statusOf(error), error.message)
  if (error instanceof Refusal) return problem(error.code === 'task.unknown' ? 404 : 409, said(error))
  return problem(500, 'Countersign failed')
}
