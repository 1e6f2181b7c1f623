import { request, type IncomingMessage } from 'node:http'
import { request as secureRequest } from 'node:https'
import type { AgentSvids, Company } from './company.ts'

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

/** One call of the agent as the story tells it. */
export interface Step {
  readonly title: string
  /** Why it matters, one sentence. */
  readonly text: string
  readonly method: string
  readonly path: string
  readonly body?: unknown
  /** `token` (default): a JWT-SVID as a Bearer token; `certificate`: an X.509-SVID over mutual TLS; `none`: nothing. */
  readonly identity?: 'token' | 'certificate' | 'none'
  /** What must come back, or the story is not as told. */
  readonly expect: { readonly status: number; readonly code?: string }
}

export const opening: Step = {
  title: 'A task is opened with an intent',
  text: 'The agent says what it is about to do; it gets no more than that, and never more than it was registered for.',
  method: 'POST',
  path: '/.countersign/v1/tasks',
  body: {
    purpose: 'refund order 1042',
    tools: ['crm.order.read', 'crm.customer.read', 'mail.send', 'payments.refund.create'],
    resources: ['order:1042', 'customer:42'],
    ttl: '10m',
  },
  expect: { status: 201 },
}

export const anonymous: Step = {
  title: 'A call without an identity is refused',
  text: 'Being on the same machine proves nothing: every call must show which workload it comes from.',
  method: 'GET',
  path: '/crm/orders/1042',
  identity: 'none',
  expect: { status: 401, code: 'identify.missing' },
}

export const read: Step = {
  title: 'The order is read, with a credential that the agent never saw',
  text: 'Identity and intent hold, so Countersign mints a token for this task, this tool and this upstream, and puts it on the call.',
  method: 'GET',
  path: '/crm/orders/1042',
  expect: { status: 200 },
}

/** The calls under the task, in order. */
export const calls: readonly Step[] = [
  read,
  {
    ...read,
    title: 'The same over mutual TLS',
    text: 'The connection itself proves the workload: an X.509-SVID on both sides. Policy can tell it from a token that whoever holds it can use.',
    identity: 'certificate',
  },
  {
    title: 'A call outside the intent is refused',
    text: 'The agent may do many things; deleting a customer is not what this task is for.',
    method: 'DELETE',
    path: '/crm/customers/42',
    expect: { status: 403, code: 'decide.denied' },
  },
  {
    title: 'A mail to the partner goes out',
    text: 'Nothing sensitive was read yet, and the partner was approved for internal data.',
    method: 'POST',
    path: '/mail/messages',
    body: { to: 'claims@partner.example', text: 'Order 1042 was delivered damaged.' },
    expect: { status: 202 },
  },
  {
    title: 'The customer is read: personal data',
    text: 'Allowed, and remembered: from now on this task, and this agent, have seen personal data.',
    method: 'GET',
    path: '/crm/customers/42',
    expect: { status: 200 },
  },
  {
    title: 'The very same mail is refused now',
    text: 'Reading was fine and mailing was fine. One after the other they carry personal data to a partner that was never approved for it.',
    method: 'POST',
    path: '/mail/messages',
    body: { to: 'claims@partner.example', text: 'Order 1042 was delivered damaged.' },
    expect: { status: 403, code: 'decide.denied' },
  },
  {
    title: 'A risky call asks for a person',
    text: 'Money leaves: this agent is bounded, so a person has to say yes first.',
    method: 'POST',
    path: '/payments/refunds',
    body: { order: '1042', amount: 180 },
    expect: { status: 403, code: 'approve.required' },
  },
]

/** Makes one call of the story as an agent would: its SVID where an SDK puts an API key, or as its client certificate. */
export function makeCall(step: Step, ports: AgentPorts, svids: AgentSvids): Promise<Seen> {
  const { identity = 'token', method, path } = step
  const body = step.body === undefined ? '' : JSON.stringify(step.body)
  const headers = {
    ...(identity === 'token' ? { authorization: `Bearer ${svids.token}` } : {}),
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
  const parts = ['curl -s']
  if (step.method !== 'GET' && (step.method !== 'POST' || step.body === undefined)) parts.push(`-X ${step.method}`)
  if (identity === 'token') parts.push(`-H "Authorization: Bearer $(cat ${folder}/agent.jwt)"`)
  if (identity === 'certificate') parts.push(`--cert ${folder}/agent.pem --key ${folder}/agent.key --cacert ${folder}/bundle.pem`)
  if (step.body !== undefined) parts.push(`-H 'Content-Type: application/json' -d '${JSON.stringify(step.body)}'`)
  parts.push(`${identity === 'certificate' ? `https://localhost:${ports.tls}` : `http://127.0.0.1:${ports.plain}`}${step.path}`)
  return parts.join(' ')
}
