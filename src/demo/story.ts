import { request } from 'node:http'
import type { Company } from './company.ts'

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
  /** Without it the call carries no identity. */
  readonly identified?: boolean
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
  identified: false,
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

/** Makes one call of the story as an agent would: through the proxy, its SVID where an SDK puts an API key. */
export function makeCall(step: Step, proxyPort: number, svid: string | null): Promise<Seen> {
  const body = step.body === undefined ? '' : JSON.stringify(step.body)
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: '127.0.0.1',
        port: proxyPort,
        method: step.method,
        path: step.path,
        headers: {
          ...(svid === null ? {} : { authorization: `Bearer ${svid}` }),
          ...(body ? { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) } : {}),
        },
      },
      (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (part: string) => (text += part))
        response.on('error', reject)
        response.on('end', () => resolve(seen(response.statusCode ?? 0, response.headers['countersign-call'], text)))
      },
    )
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

/** The call as a line for a terminal; the identity is read from the file that is kept fresh. */
export function curlLine(step: Step, proxyPort: number, company: Company): string {
  const parts = ['curl -s']
  if (step.method !== 'GET' && (step.method !== 'POST' || step.body === undefined)) parts.push(`-X ${step.method}`)
  if (step.identified !== false) parts.push(`-H "Authorization: Bearer $(cat ${company.folder}/agent.jwt)"`)
  if (step.body !== undefined) parts.push(`-H 'Content-Type: application/json' -d '${JSON.stringify(step.body)}'`)
  parts.push(`http://127.0.0.1:${proxyPort}${step.path}`)
  return parts.join(' ')
}
