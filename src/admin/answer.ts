import type { IncomingMessage, ServerResponse } from 'node:http'

/** What an operator's endpoint answers; `text` and `bytes` are sent as they are, `json` is serialised. */
export type Answer =
  | { readonly status: number; readonly json: unknown; readonly headers?: AnswerHeaders }
  | { readonly status: number; readonly text: string; readonly type: string; readonly headers?: AnswerHeaders }
  | { readonly status: number; readonly bytes: Uint8Array; readonly type: string; readonly headers?: AnswerHeaders }

/** Names in lower case. */
export type AnswerHeaders = Readonly<Record<string, string | string[]>>

/** Sends an answer that no cache may keep. */
export function send(response: ServerResponse, answer: Answer): void {
  const json = 'json' in answer
  const body = json ? `${JSON.stringify(answer.json)}\n` : 'bytes' in answer ? answer.bytes : answer.text
  response.writeHead(answer.status, {
    'content-type': json ? 'application/json' : answer.type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...answer.headers,
  })
  response.end(body)
}

/** An error of the admin API in the form of RFC 9457. */
export function problem(status: number, title: string, headers: Readonly<Record<string, string>> = {}): Answer {
  const text = `${JSON.stringify({ type: 'about:blank', title, status })}\n`
  return { status, text, type: 'application/problem+json', headers }
}

/** Reads a small request body; rejects beyond `most` bytes or when the client goes away. */
export async function readText(request: IncomingMessage, most: number): Promise<string> {
  const parts: Buffer[] = []
  let size = 0
  for await (const part of request) {
    const bytes = Buffer.from(part)
    size += bytes.length
    if (size > most) throw new Error('the body is too large')
    parts.push(bytes)
  }
  return Buffer.concat(parts).toString('utf8')
}
