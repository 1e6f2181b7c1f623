import type { IncomingMessage, ServerResponse } from 'node:http'
import { ApprovalFault } from '../approve/fault.ts'
import { Refusal } from '../refusal.ts'
import { problem, readText, send, type Answer } from './answer.ts'
import type { ChatPort } from './chat.ts'
import { statusOf } from './desk.ts'
import { readObject, type AdminCall, type Noun, type SignedIn } from './noun.ts'
import type { Pages } from './page.ts'
import { actOf, whyNot, type Act, type Role } from './roles.ts'
import { isAnswer, type Ask } from './sign-in.ts'
import { answerLedger, type LedgerReading } from './stream.ts'

export interface AdminOptions {
  /** Who asks. */
  readonly ask: Ask
  /** What they may do, as it is now. */
  readonly rolesOf: (who: SignedIn) => readonly Role[]
  /** Told of somebody who was not allowed to do something. */
  readonly refused: (who: SignedIn, act: Act) => void
  readonly pages: Pages
  readonly chat: ChatPort
  /** What stands under `/v1/<noun>`. */
  readonly nouns: Readonly<Record<string, Noun>>
  readonly ledger: LedgerReading
  readonly status: () => unknown
}

/**
 * The admin API of people and the CLI, under `/v1/`, and the page for browsers. Never open, also not on loopback, which the agent shares:
 * every request of the API carries the local key, or comes from a person who is signed in and has the role for it. Browsers only with a session, from our own page.
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
      const path = piecesOf(url)
      const method = request.method ?? 'GET'
      const act = actOf(method, path)
      if (act === null) return send(response, problem(404, 'nothing is here'))
      const why = whyNot(options.rolesOf(who), act)
      if (why !== null) options.refused(who, act)
      if (why !== null) return send(response, problem(403, why))
      if (act === 'logs.read' || act === 'decisions.read') return await answerLedger(request, response, url, options.ledger)
      send(response, await answer({ method, path, query: url.searchParams, who, body: () => readObject(body) }, options))
    } catch (error) {
      if (response.headersSent) throw error
      send(response, failure(error))
    }
  }
}

/** Decoded, what stands below `/v1/`; nothing for any other path. Throws URIError. */
function piecesOf({ pathname }: URL): readonly string[] {
  if (!pathname.startsWith('/v1/')) return []
  return pathname
    .split('/')
    .slice(2)
    .map((piece) => decodeURIComponent(piece))
}

async function answer({ path: [name = '', ...path], ...call }: AdminCall, { nouns, status }: AdminOptions): Promise<Answer> {
  if (name === 'status') return { status: 200, json: status() }
  const noun = Object.hasOwn(nouns, name) ? nouns[name] : undefined
  return (await noun?.({ ...call, path })) ?? problem(404, 'nothing is here')
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
