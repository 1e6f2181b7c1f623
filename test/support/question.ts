import { Readable } from 'node:stream'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Caller } from '../../src/identify/identify.ts'
import type { Call } from '../../src/listen/call.ts'
import type { Question } from '../../src/decide/decide.ts'
import type { JudgedBody, Target } from '../../src/match/match.ts'
import type { Route } from '../../src/match/route.ts'
import type { Tool } from '../../src/match/tools.ts'
import type { Agent } from '../../src/task/agents.ts'
import type { Task } from '../../src/task/task.ts'
import type { LeaseRow } from '../../src/state/leases.ts'
import type { Facts, Intent, TaskRow } from '../../src/state/state.ts'

/** A call as `listen` would make it, without a socket: `target` is parsed by its slashes and the first `?` alone. */
export interface CallSketch {
  readonly method?: string
  readonly target?: string
  readonly route?: string | null
  readonly kind?: Call['address']['kind']
  readonly headers?: readonly (readonly [string, string])[]
  /** Chunks of the body; absent: no body. */
  readonly body?: readonly (string | Uint8Array)[]
  /** Announced length; by default that of `body`. `null`: chunked. */
  readonly length?: number | null
  readonly signal?: AbortSignal
  /** Replaces the stream made of `body`. */
  readonly incoming?: Readable
  readonly limit?: number
  readonly continue?: () => void
}

export function sketchCall(sketch: CallSketch = {}): Call {
  const target = sketch.target ?? '/customers/42'
  const chunks = (sketch.body ?? []).map((chunk) => Buffer.from(chunk as string))
  const headers = (sketch.headers ?? []).map(([name, value]) => [name.toLowerCase(), value] as const)
  const mark = target.indexOf('?')
  const path = mark === -1 ? target : target.slice(0, mark)
  return {
    id: 'c_01JDZZZZZZZZZZZZZZZZZZZZZZ',
    received: 1_790_000_000_000,
    method: sketch.method ?? 'GET',
    scheme: 'http',
    host: '127.0.0.1:7420',
    peer: '127.0.0.1',
    tls: null,
    listener: { name: 'shared', port: 7420, ambient: null },
    address: {
      kind: sketch.kind ?? 'route',
      route: sketch.route === undefined ? 'crm' : sketch.route,
      task: null,
      prefix: '/crm',
      target,
      path,
      query: mark === -1 ? null : target.slice(mark + 1),
      segments: path.slice(1).split('/').map(decodeURIComponent),
    },
    headers: headers.flat(),
    length: sketch.length === undefined ? chunks.reduce((sum, chunk) => sum + chunk.length, 0) : sketch.length,
    signal: sketch.signal ?? new AbortController().signal,
    incoming: (sketch.incoming ?? Readable.from(chunks)) as unknown as IncomingMessage,
    outgoing: {} as ServerResponse,
    limit: sketch.limit ?? 10_485_760,
    expectsContinue: false,
    continue: sketch.continue ?? (() => undefined),
    header: (name) => {
      const values = headers.filter(([key]) => key === name).map(([, value]) => value)
      return values.length === 0 ? undefined : values.join(', ')
    },
    admit: () => undefined,
    occupy: () => undefined,
    release: () => undefined,
    cut: () => undefined,
    refuse: () => undefined,
  }
}

export function sketchTool(tool: Partial<Tool> = {}): Tool {
  return {
    name: 'crm.customer.read',
    match: 'GET /customers/{id}',
    kind: 'routine',
    effect: 'read',
    risk: 'low',
    data: ['personal'],
    egress: 'internal',
    resource: 'customer:{id}',
    accepts: null,
    args: null,
    answer: null,
    reads: tool.data ?? ['personal'],
    debit: {},
    prompt: false,
    bound: false,
    catalogued: true,
    ...tool,
  }
}

export function sketchRoute(route: Partial<Route> = {}): Route {
  return {
    name: 'crm',
    owner: 'crm-team@acme.example',
    to: {
      origin: 'https://crm.acme.example',
      scheme: 'https',
      authority: 'crm.acme.example',
      hostname: 'crm.acme.example',
      port: 443,
      basePath: '/api',
    },
    reach: 'private',
    tls: null,
    credential: 'crm',
    tools: [sketchTool()],
    selects: [],
    policyHeaders: [],
    answerHeaders: [],
    allowBody: false,
    refusals: 'problem',
    timeouts: { connect: 5000, head: 60_000, idle: 300_000 },
    observe: false,
    ...route,
  }
}

export const sketchIntent: Intent = {
  purpose: 'answer refund requests',
  tools: ['crm.customer.read', 'mail.send'],
  resources: ['customer:*'],
  data: ['public', 'internal', 'personal'],
  egress: ['internal', 'partner'],
  budget: { calls: 200 },
  prompt: null,
}

export function sketchAgent(agent: Partial<Agent> = {}): Agent {
  return {
    id: 'spiffe://acme.example/ns/support/sa/refund-agent',
    purpose: 'answer refund requests up to 200 EUR',
    owners: { business: 'refunds@acme.example', security: 'appsec@acme.example', incident: 'oncall@acme.example' },
    reviewers: [],
    autonomy: 'bounded',
    lifecycle: 'live',
    hosting: 'own',
    environment: null,
    validUntil: null,
    approved: { model: null, toolchain: null, until: null },
    intent: sketchIntent,
    ttl: 1_800_000,
    implicit: null,
    labels: {},
    barred: null,
    ...agent,
  }
}

export function sketchRow(row: Partial<TaskRow> = {}): TaskRow {
  return {
    id: 't_01JDZZZZZZZZZZZZZZZZZZZZZZ',
    caller: 'spiffe://acme.example/ns/support/sa/refund-agent',
    agent: 'spiffe://acme.example/ns/support/sa/refund-agent',
    implicit: false,
    state: 'active',
    intent: sketchIntent,
    onBehalfOf: null,
    subjectToken: null,
    opened: 1_789_999_000_000,
    expires: 1_790_001_000_000,
    limit: 1_790_001_000_000,
    session: 'sha256:00',
    revision: 'r1',
    paused: null,
    ended: null,
    parent: null,
    root: 'agent:spiffe://acme.example/ns/support/sa/refund-agent',
    depth: 0,
    ...row,
  }
}

export function sketchCaller(caller: Partial<Caller> = {}): Caller {
  return {
    id: 'spiffe://acme.example/ns/support/sa/refund-agent',
    trustDomain: 'acme.example',
    method: 'jwt-svid',
    confirmed: 'bearer',
    issuer: null,
    expires: 1_790_000_300_000,
    proof: 'sha256:00',
    claims: {},
    ...caller,
  }
}

export function sketchTarget(target: Partial<Target> = {}): Target {
  const body: JudgedBody = { kind: 'none', parsed: undefined, bytes: null, sha256: null, size: 0, judged: true }
  return { route: sketchRoute(), tool: sketchTool(), params: { id: '42' }, resource: 'customer:42', body, debit: { calls: 1 }, ...target }
}

/** A lease of the sketched task and tool. */
export function sketchLeaseRow(row: Partial<LeaseRow> = {}): LeaseRow {
  return {
    id: 'l_01JDZZZZZZZZZZZZZZZZZZZZZZ',
    key: 'a key',
    task: 't_01JDZZZZZZZZZZZZZZZZZZZZZZ',
    caller: 'spiffe://acme.example/ns/support/sa/refund-agent',
    tool: 'crm.customer.read',
    destination: 'https://crm.acme.example/api',
    provider: 'crm',
    scopes: ['customers:read'],
    audience: null,
    state: 'live',
    issued: 1_789_999_990_000,
    expires: 1_790_000_050_000,
    revision: 'r1',
    revocation: 'issuer',
    digest: `sha256:${'ab'.repeat(32)}`,
    sealed: null,
    ...row,
  }
}

export interface QuestionSketch {
  readonly call?: Call
  readonly caller?: Caller
  readonly task?: Task
  readonly target?: Target
}

export function sketchQuestion(question: QuestionSketch = {}): Question {
  return {
    call: question.call ?? sketchCall(),
    caller: question.caller ?? sketchCaller(),
    task: question.task ?? { row: sketchRow(), agent: sketchAgent() },
    target: question.target ?? sketchTarget(),
  }
}

const noSteps = { step: 0, last: [], counts: {}, steps: {} }
const noHosts = { size: 0, times: () => 0 }
const onCourse = { denials: {}, diverged: false, divergence: { score: 0, reasons: [] }, brought: [] }

export function sketchFacts(task: Partial<Facts['task']> = {}, caller: Partial<Facts['caller']> = {}): Facts {
  return {
    task: {
      ...noSteps,
      version: 1,
      spent: {},
      sensitivity: [],
      sources: {},
      hosts: noHosts,
      resources: {},
      repeats: {},
      failures: 0,
      ...onCourse,
      ...task,
    },
    caller: { version: 1, sensitivity: {}, sums: null, ...caller },
  }
}
