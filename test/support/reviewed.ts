import { join } from 'node:path'
import { ada, handleOf, yes } from './approval-rig.ts'
import {
  agentId,
  ask,
  freeAgent,
  routeTo,
  type Running,
  type Answered,
  type RunningOptions,
  type Settings,
  type TestUpstream,
} from './running.ts'

export const idle = 'spiffe://acme.example/ns/test/sa/idle'

/** What the reviewed agent is registered for: more than it will use. */
export const wideIntent = {
  tools: ['crm.*', 'mail.*', 'pay.refund', 'ops.restart'],
  resources: ['customer:*', 'order:*'],
  data: ['public', 'internal', 'personal', 'secret'],
  egress: ['internal', 'partner', 'public'],
  budget: { calls: 10_000, EUR: 500 },
  ttl: '8h',
}

const read = { effect: 'read', risk: 'low', egress: 'internal' }

/** A company in which an agent reads customers and orders, asks for a refund, and is lent a mail key that stands. */
export function reviewedOptions(upstream: TestUpstream, intent: Settings = wideIntent, more: Partial<RunningOptions> = {}): RunningOptions {
  const crm = [
    { name: 'crm.customer.read', match: 'GET /customers/{id}', ...read, data: ['personal'], resource: 'customer:{id}' },
    { name: 'crm.order.read', match: 'GET /orders/{id}', ...read, data: ['internal'], resource: 'order:{id}' },
    {
      name: 'crm.customer.delete',
      match: 'DELETE /customers/{id}',
      effect: 'delete',
      risk: 'medium',
      egress: 'internal',
      resource: 'customer:{id}',
    },
  ]
  const mail = [
    {
      name: 'mail.send',
      match: 'POST /send',
      effect: 'send',
      risk: 'low',
      egress: 'partner',
      accepts: ['public', 'internal'],
      args: 'json',
    },
  ]
  const pay = [{ name: 'pay.refund', match: 'POST /refunds', effect: 'write', risk: 'high', egress: 'internal', args: 'json' }]
  const ops = [{ name: 'ops.status', match: 'GET /status', ...read }]
  return {
    routes: {
      crm: routeTo(upstream.url, 'crm', { tools: crm }),
      mail: routeTo(upstream.url, 'mail', { tools: mail, credential: 'mail' }),
      pay: routeTo(upstream.url, 'pay', { tools: pay }),
      ops: routeTo(upstream.url, 'ops', { tools: ops }),
    },
    providers: { mail: { type: 'static', value: { env: 'MAIL' }, unsafe_standing: true } },
    env: { MAIL: 'a-mail-key-that-stands' },
    agents: [freeAgent({ intent, purpose: 'answer refunds <b>now</b>' }), freeAgent({ id: idle, purpose: 'nothing any more' })],
    ...more,
  }
}

/** One call of the reviewed agent. */
export async function call(running: Running, path: string, method = 'GET', body?: unknown): Promise<Answered> {
  return ask(running.port(), path, {
    method,
    headers: { authorization: `Bearer ${await running.svid(agentId)}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
}

/** What it does, all of which is let through in the end. */
export const work: readonly (readonly [path: string, method?: string, body?: unknown])[] = [
  ['/mail/send', 'POST', { to: 'shop' }],
  ['/crm/orders/1042'],
  ['/crm/customers/eu-42'],
  ['/crm/customers/eu-43'],
  ['/crm/customers/eu-44'],
]

/** The agent works, is refused twice, and asks once, which a person approves. */
export async function workDay(running: Running): Promise<void> {
  for (const [path, method, body] of work) {
    const answer = await call(running, path, method, body)
    if (answer.status !== 200) throw new Error(`${path}: ${answer.text}`)
  }
  await call(running, '/ops/status')
  await call(running, '/mail/send', 'POST', { to: 'late' })
  const asked = await call(running, '/pay/refunds', 'POST', { amount: 10 })
  await running.sidecar.foundation.approvals.answer(handleOf(asked).id, ada, yes())
  const paid = await call(running, '/pay/refunds', 'POST', { amount: 10 })
  if (paid.status !== 200) throw new Error(paid.text)
}

export function configOf(running: Running): string {
  return join(running.folder, 'countersign.yaml')
}
