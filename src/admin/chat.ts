/** Answers that people give in a chat: `POST /chat/<channel>`. The chat's signature opens it, and nothing else does. */
import type { IncomingMessage } from 'node:http'
import { ApprovalFault } from '../approve/fault.ts'
import type { Channel } from '../approve/channel.ts'
import { Refusal } from '../refusal.ts'
import { problem, readText, type Answer } from './answer.ts'
import { statusOf, type Desk } from './desk.ts'

export interface ChatOptions {
  /** By name; those in force. */
  readonly channels: () => ReadonlyMap<string, Channel>
  readonly desk: Desk
}

/** Answers a request at a channel that takes answers; null for any other. Never rejects. */
export type ChatPort = (request: IncomingMessage, url: URL) => Promise<Answer | null>

/** Most bytes of a request: Slack sends the message back with it. */
const most = 64 * 1024

export function makeChat({ channels, desk }: ChatOptions): ChatPort {
  return async (request, url) => {
    const name = /^\/chat\/([a-z0-9][a-z0-9_-]{0,63})$/.exec(url.pathname)?.[1]
    const chat = name === undefined ? null : (channels().get(name)?.chat ?? null)
    if (chat === null || request.method !== 'POST') return null
    try {
      const read = chat.read(request.headers, await readText(request, most))
      if (!read.ok) return problem(403, read.why)
      const { approval, person, verdict, reason } = read
      await desk.fromChat(approval, chat, person, { verdict, reason })
      // the chat hears of it as everybody does: by a notice
      return { status: 200, text: '', type: 'text/plain' }
    } catch (error) {
      if (error instanceof ApprovalFault) return problem(statusOf(error), error.message)
      if (error instanceof Refusal) return problem(error.status, error.title)
      return problem(400, 'the request cannot be read')
    }
  }
}
