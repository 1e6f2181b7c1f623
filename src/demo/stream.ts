import { request } from 'node:http'
import type { AgentPorts } from './call.ts'
import type { AgentSvids } from './company.ts'
import type { Step } from './story.ts'

/** A stream that the sub-agent has open. */
export interface OpenStream {
  readonly status: number
  readonly call: string | null
  /** What has arrived so far. */
  text(): string
  /** Resolves when the text holds so many events, or the stream is over. */
  events(count: number): Promise<void>
  /** Resolves when nothing more comes: true when it was cut, false when the upstream ended it. */
  readonly over: Promise<boolean>
  close(): void
}

/** Opens the stream of a step over the plain listener. Rejects when nobody answers. */
export function openStream(step: Step, { plain }: AgentPorts, { readerToken }: AgentSvids): Promise<OpenStream> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${readerToken}` }
    const sent = request({ host: '127.0.0.1', port: plain, method: step.method, path: step.path, headers }, (response) => {
      let text = ''
      let ended = false
      const over = new Promise<boolean>((done) => response.once('close', () => done(!ended)))
      response.setEncoding('utf8')
      response.on('error', () => undefined)
      response.on('end', () => (ended = true))
      response.on('data', (part: string) => (text += part))
      const events = async (count: number): Promise<void> => {
        while (text.split('\n\n').length <= count && !response.closed)
          await Promise.race([new Promise((more) => response.once('data', more)), over])
      }
      const call = response.headers['countersign-call']
      resolve({
        status: response.statusCode ?? 0,
        call: typeof call === 'string' ? call : null,
        text: () => text,
        events,
        over,
        close: () => sent.destroy(),
      })
    })
    sent.on('error', reject)
    sent.end()
  })
}
