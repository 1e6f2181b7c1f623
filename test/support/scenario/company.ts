/** The company in which every scenario plays: its agents, its upstreams and their tools. */

import { audience, owners, type Settings } from '../running.ts'

export const agents: Readonly<Record<string, string>> = {
  refund: 'spiffe://acme.example/ns/support/sa/refund-agent',
  research: 'spiffe://acme.example/ns/support/sa/research-agent',
  operations: 'spiffe://acme.example/ns/platform/sa/operations-agent',
  orchestrator: 'spiffe://acme.example/ns/support/sa/orchestrator',
  stranger: 'spiffe://acme.example/ns/nowhere/sa/stranger',
}

/** People on whose behalf tasks are opened: their subject at the login of the company. */
export const people: Readonly<Record<string, string>> = { ana: 'user-ana', ben: 'user-ben' }

const widest = {
  resources: ['customer:*', 'order:*'],
  data: ['public', 'internal', 'personal', 'confidential'],
  egress: ['internal', 'partner', 'public'],
}

function agent(name: string, autonomy: string, tools: readonly string[], more: Settings = {}): Settings {
  const budget = { calls: 200, refunds_eur: 500 }
  return {
    id: agents[name],
    purpose: `the ${name} agent of the company`,
    owners,
    autonomy,
    intent: { tools, ...widest, budget, ttl: '1h' },
    ...more,
  }
}

const staff: readonly Settings[] = [
  agent('refund', 'bounded', ['crm.*', 'payments.*', 'mail.*', 'llm.*', 'drop.*', 'feed.*'], {}),
  agent('research', 'bounded', ['crm.*', 'search.*', 'llm.*', 'feed.*', 'drop.*'], {}),
  agent('operations', 'supervised', ['directory.*', 'cluster.*', 'vault.*', 'mail.*'], {}),
  agent('orchestrator', 'bounded', ['crm.*', 'payments.*', 'mail.*', 'search.*', 'llm.*'], {}),
]

const internal = { egress: 'internal' }
const read = { effect: 'read', risk: 'low', ...internal }

/** Route → its tools. All lead to the one upstream of the runner, each under its own name. */
const tools: Readonly<Record<string, readonly Settings[]>> = {
  crm: [
    { name: 'crm.customer.read', match: 'GET /customers/{id}', ...read, data: ['personal'], resource: 'customer:{id}' },
    { name: 'crm.customer.list', match: 'GET /customers', ...read, data: ['internal'] },
    { name: 'crm.order.read', match: 'GET /orders/{id}', ...read, data: ['internal'], resource: 'order:{id}' },
    { name: 'crm.order.cancel', match: 'DELETE /orders/{id}', effect: 'delete', risk: 'medium', ...internal, resource: 'order:{id}' },
    { name: 'crm.contract.read', match: 'GET /contracts/{id}', ...read, data: ['confidential'] },
  ],
  payments: [
    {
      name: 'payments.refund.create',
      match: 'POST /refunds',
      effect: 'write',
      risk: 'high',
      ...internal,
      data: ['internal'],
      args: 'json',
      debit: { refunds_eur: '/amount' },
    },
    { name: 'payments.refund.read', match: 'GET /refunds/{id}', ...read, data: ['internal'] },
  ],
  mail: [
    {
      name: 'mail.send',
      match: 'POST /messages',
      effect: 'send',
      risk: 'low',
      egress: 'partner',
      args: 'json',
      accepts: ['public', 'internal'],
    },
  ],
  llm: [
    {
      name: 'llm.complete',
      match: 'POST /v1/{+any}',
      effect: 'send',
      risk: 'low',
      egress: 'public',
      args: 'json',
      prompt: true,
      accepts: ['public', 'internal', 'personal'],
    },
  ],
  search: [
    { name: 'search.web', match: 'GET /find', effect: 'read', risk: 'low', egress: 'public', accepts: ['public'], data: ['public'] },
  ],
  drop: [
    { name: 'drop.upload', match: 'PUT /files/{name}', effect: 'send', risk: 'low', egress: 'partner', accepts: ['public', 'internal'] },
  ],
  feed: [{ name: 'feed.read', match: 'GET /events', ...read, data: ['public'] }],
  directory: [{ name: 'directory.users.list', match: 'GET /users', kind: 'discovery', ...read, data: ['internal'] }],
  vault: [{ name: 'vault.secret.read', match: 'GET /secrets/{name}', effect: 'read', risk: 'high', ...internal, data: ['confidential'] }],
  cluster: [
    { name: 'cluster.pods.list', match: 'GET /pods', ...read, data: ['internal'] },
    { name: 'cluster.role.bind', match: 'POST /bindings', kind: 'privilege', effect: 'write', risk: 'high', ...internal, args: 'json' },
    { name: 'cluster.pod.delete', match: 'DELETE /pods/{name}', effect: 'delete', risk: 'medium', ...internal },
  ],
}

/** The configuration of the company; `given` replaces sections, member by member, down to any depth. A list replaces a list. */
export function companyConfig(upstream: string, keys: { readonly svids: string; readonly people: string }, given: Settings): Settings {
  const routes = Object.fromEntries(
    Object.entries(tools).map(([name, list]) => [
      name,
      { at: `/${name}`, to: `${upstream}/${name}`, reach: 'private', credential: name, tools: list },
    ]),
  )
  const providers = Object.fromEntries(
    Object.keys(tools).map((name) => [
      name,
      { type: 'jwt', audience: `https://${name}.acme.example`, introspect: { secret: { env: 'INTROSPECTION' } } },
    ]),
  )
  const subjects = [{ issuer: 'https://login.acme.example', audience: 'countersign', keys: { file: keys.people } }]
  const company = {
    version: 1,
    listen: { agent: [{ at: '127.0.0.1:0' }], health: { at: '127.0.0.1:0' }, drain: '2s' },
    admin: { at: '127.0.0.1:0', key: { file: 'admin.key' } },
    identify: { audience, sources: [{ type: 'jwt-svid', trust_domain: 'acme.example', keys: { file: keys.svids } }] },
    task: { state: { path: 'state.db', key: { file: 'state.key' } }, agents: staff, subjects },
    decide: { environment: 'test' },
    credential: { providers },
    forward: { routes },
    record: { ledger: { path: 'ledger', key: { file: 'ledger.key' } } },
  }
  return merged(company, given)
}

/** An agent of the company with members of its registration replaced. */
export function staffWith(changes: Readonly<Record<string, Settings>>): readonly Settings[] {
  return staff.map((one) => {
    const name = Object.keys(changes).find((each) => agents[each] === one['id'])
    return name === undefined ? one : merged(one, changes[name] ?? {})
  })
}

function merged(base: Settings, over: Settings): Settings {
  const whole: Record<string, unknown> = { ...base }
  for (const [name, value] of Object.entries(over)) {
    const before = whole[name]
    if (value === null) delete whole[name]
    else whole[name] = isMembers(before) && isMembers(value) ? merged(before, value) : value
  }
  return whole
}

function isMembers(value: unknown): value is Settings {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}
