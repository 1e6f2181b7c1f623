import type { ApprovalRow, Shown } from '../../src/state/approvals.ts'
import { agentId, owners, type Running } from './running.ts'

export interface AskedOptions {
  readonly shown?: Partial<Shown>
  readonly approvers?: readonly string[]
  readonly quorum?: number
  readonly onBehalfOf?: string
  readonly ttl?: number
}

let asked = 0

/** Opens a task and asks people for a call of it, as the stage would. */
export async function askedOf(running: Running, options: AskedOptions = {}): Promise<ApprovalRow> {
  const { foundation } = running.sidecar
  const { clock, newId, state, approvals } = foundation
  const now = clock()
  const task = {
    id: newId('t'),
    caller: agentId,
    agent: agentId,
    implicit: false,
    state: 'active' as const,
    intent: {
      purpose: 'test',
      tools: ['*'],
      resources: ['*'],
      data: [],
      egress: [],
      budget: {},
      prompt: null,
    },
    onBehalfOf:
      options.onBehalfOf === undefined
        ? null
        : {
            subject: options.onBehalfOf,
            issuer: 'https://login.acme.example',
          },
    subjectToken: null,
    opened: now,
    expires: now + 36e5,
    limit: now + 36e5,
    session: 's',
    revision: 'r1',
    paused: null,
    ended: null,
    parent: null,
    root: '',
    depth: 0,
  }
  state.openTask({ ...task, root: task.id })
  return approvals.ask({
    task: {
      ...task,
      root: task.id,
    },
    call: newId('c'),
    digest: `sha256:${asked++}`,
    tool: 'payments.refund.create',
    route: 'payments',
    shown: {
      ...shown,
      ...options.shown,
    },
    approvers: options.approvers ?? [],
    quorum: options.quorum ?? 1,
    ttl: options.ttl ?? 6e5,
    single: false,
    revision: 'r1',
  })
}

export const shown: Shown = {
  title: 'payments.refund.create for 180 at payments.acme.example',
  purpose: 'refund order 1042',
  agent: agentId,
  caller: agentId,
  human: null,
  chain: [`agent:${agentId}`],
  tool: 'payments.refund.create',
  route: 'payments',
  destination: 'https://payments.acme.example',
  method: 'POST',
  target: '/refunds',
  parameters: [],
  resource: null,
  risk: 'high',
  effect: 'write',
  data: ['personal'],
  egress: 'internal',
  body: '{\n  "amount": 180\n}',
  bodySha256: 'sha256:00',
  steps: ['crm.order.read'],
  sensitivity: ['personal'],
  reasons: [{ rule: 'risk.high-needs-person', severity: 'high', controls: ['ASI03'], message: 'a high risk needs a person' }],
  owners,
}
