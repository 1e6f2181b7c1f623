/** One call of the agent as the story tells it. */
export interface Step {
  readonly title: string
  /** Why it matters, one sentence. */
  readonly text: string
  readonly method: string
  readonly path: string
  readonly body?: unknown
  /** `token` (default): a JWT-SVID as a Bearer token; `certificate`: an X.509-SVID over mutual TLS; `reader`: the JWT-SVID of the sub-agent. */
  readonly identity?: 'token' | 'certificate' | 'reader' | 'none'
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
    tools: ['crm.order.read', 'crm.order.watch', 'crm.customer.read', 'mail.send', 'payments.refund.create'],
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
]

export const refund: Step = {
  title: 'A risky call asks for a person',
  text: 'Money leaves: this agent is bounded, so a person has to say yes first. The agent gets a handle, and can wait.',
  method: 'POST',
  path: '/payments/refunds',
  body: { order: '1042', amount: 180 },
  expect: { status: 403, code: 'approve.required' },
}

/** What the agent hands on, and to whom it may. */
export const handOff = (to: string): Step => ({
  title: 'A part of the task is handed to another agent',
  text: 'The order reader is to look the order up: these two tools, this order, five calls. Never more than the task itself has.',
  method: 'POST',
  path: '/hand-off',
  body: {
    to,
    purpose: 'look up order 1042',
    tools: ['crm.order.read', 'crm.order.watch'],
    resources: ['order:1042'],
    budget: { calls: 5 },
    ttl: '5m',
  },
  expect: { status: 201 },
})

export const redeemed: Step = {
  title: 'The order reader takes it up',
  text: 'With an identity of its own, and the token that was handed on: stolen, it would be worth nothing to anybody else.',
  method: 'POST',
  path: '/.countersign/v1/tasks',
  identity: 'reader',
  expect: { status: 201 },
}

/** The calls under the part that was handed on, in order. */
export const readerCalls: readonly Step[] = [
  {
    ...read,
    title: 'The order reader reads the order',
    text: 'This is what the part is for.',
    identity: 'reader',
  },
  {
    title: 'It may do less than the agent it works for',
    text: 'The refund agent read this customer a moment ago. That was not handed on.',
    method: 'GET',
    path: '/crm/customers/42',
    identity: 'reader',
    expect: { status: 403, code: 'decide.denied' },
  },
]

export const watched: Step = {
  title: 'The order reader watches the order: a stream',
  text: 'The CRM sends an event ten times a second, for as long as anybody listens.',
  method: 'GET',
  path: '/crm/orders/1042/events',
  identity: 'reader',
  expect: { status: 200 },
}
