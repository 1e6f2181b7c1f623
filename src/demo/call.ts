import { request, type IncomingMessage } from 'node:http'
import { request as secureRequest } from 'node:https'
import type { AgentSvids, Company } from './company.ts'
import type { Step } from './story.ts'

/** Where agents reach Countersign: plain on loopback, and over TLS. */
export interface AgentPorts {
  readonly plain: number
  readonly tls: number
}

/** What came back for one call of the story. */
export interface Seen {
  readonly status: number
  readonly code: string | null
  readonly reasons: readonly string[]
  readonly call: string | null
  readonly body: unknown
}

/** Makes one call of the story as an agent would: its SVID where an SDK puts an API key, or as its client certificate. */
export function makeCall(step: Step, ports: AgentPorts, svids: AgentSvids): Promise<Seen> {
  const { identity = 'token', method, path } = step
  const body = step.body === undefined ? '' : JSON.stringify(step.body)
  const headers = {
    ...authorization(identity, svids),
    ...(body ? { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) } : {}),
  }
  return new Promise((resolve, reject) => {
    const answered = (response: IncomingMessage): void => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (part: string) => (text += part))
      response.on('error', reject)
      response.on('end', () => resolve(seen(response.statusCode ?? 0, response.headers['countersign-call'], text)))
    }
    const sent =
      identity === 'certificate'
        ? secureRequest({ host: 'localhost', port: ports.tls, method, path, headers, ...svids.certificate }, answered)
        : request({ host: '127.0.0.1', port: ports.plain, method, path, headers }, answered)
    sent.on('error', reject)
    sent.end(body)
  })
}

function authorization(identity: Step['identity'], { token, readerToken }: AgentSvids): { readonly authorization?: string } {
  if (identity === 'token') return { authorization: `Bearer ${token}` }
  return identity === 'reader' ? { authorization: `Bearer ${readerToken}` } : {}
}

function seen(status: number, call: string | string[] | undefined, text: string): Seen {
  let body: unknown = text
  try {
    body = JSON.parse(text)
  } catch {
    // told as text
  }
  const record: Readonly<Record<string, unknown>> = body !== null && typeof body === 'object' ? (body as Record<string, unknown>) : {}
  return {
    status,
    code: typeof record['code'] === 'string' ? record['code'] : null,
    reasons: Array.isArray(record['reasons']) ? record['reasons'].map(String) : [],
    call: typeof call === 'string' ? call : null,
    body,
  }
}

/** The call as a line for a terminal; the identity is read from the files that are kept fresh. */
export function curlLine(step: Step, ports: AgentPorts, { folder }: Company): string {
  const { identity = 'token' } = step
  // an event stream is shown as it comes
  const parts = [step.path.endsWith('/events') ? 'curl -sN' : 'curl -s']
  if (step.method !== 'GET' && (step.method !== 'POST' || step.body === undefined)) parts.push(`-X ${step.method}`)
  if (identity === 'token' || identity === 'reader')
    parts.push(`-H "Authorization: Bearer $(cat ${folder}/${identity === 'token' ? 'agent' : 'reader'}.jwt)"`)
  if (identity === 'certificate') parts.push(`--cert ${folder}/agent.pem --key ${folder}/agent.key --cacert ${folder}/bundle.pem`)
  if (step.body !== undefined) parts.push(`-H 'Content-Type: application/json' -d '${JSON.stringify(step.body)}'`)
  parts.push(`${identity === 'certificate' ? `https://localhost:${ports.tls}` : `http://127.0.0.1:${ports.plain}`}${step.path}`)
  return parts.join(' ')
}
