/** A caller, its agent, a clock that is set by hand, and the state and verbs of tasks around them. */
import type { Caller } from '../../src/identify/identify.ts'
import { idSource } from '../../src/id.ts'
import { Refusal } from '../../src/refusal.ts'
import { openSqlite, type SqliteState } from '../../src/state/sqlite.ts'
import type { MintRequest } from '../../src/state/mint.ts'
import type { Intent, Seal, TaskRow } from '../../src/state/state.ts'
import { agentRegistry, type Agent, type AgentRegistry } from '../../src/task/agents.ts'
import { Delegation } from '../../src/task/delegation.ts'
import type { TaskEvent } from '../../src/task/events.ts'
import { refusedBy, type AskPeople, type TaskQuestion, type TaskVerdict } from '../../src/task/question.ts'
import { Tasks } from '../../src/task/tasks.ts'

export const noon = 1_790_000_000_000
export const minute = 60_000
export const agentId = 'spiffe://acme.example/ns/support/sa/refund-agent'
export const otherId = 'spiffe://acme.example/ns/support/sa/other-agent'

export function sketchCaller(id = agentId): Caller {
  return {
    id,
    trustDomain: 'acme.example',
    method: 'jwt-svid',
    confirmed: 'bearer',
    issuer: null,
    expires: noon + 60 * minute,
    proof: 'sha256:00',
    claims: {},
  }
}

export function sketchIntent(change: Partial<Intent> = {}): Intent {
  return {
    purpose: 'answer refund requests',
    tools: ['crm.*', 'mail.send'],
    resources: ['customer:*', 'order:*'],
    data: ['public', 'internal', 'personal'],
    egress: ['internal', 'partner'],
    budget: { calls: 200, refunds_eur: 200 },
    prompt: null,
    ...change,
  }
}

export function sketchAgent(change: Partial<Agent> = {}): Agent {
  return {
    id: agentId,
    purpose: 'answer refund requests up to 200 EUR',
    owners: { business: 'refunds@acme.example', security: 'appsec@acme.example', incident: 'oncall@acme.example' },
    reviewers: [],
    autonomy: 'bounded',
    lifecycle: 'live',
    hosting: 'own',
    environment: null,
    validUntil: null,
    approved: { model: null, toolchain: null, until: null },
    intent: sketchIntent(),
    ttl: 30 * minute,
    implicit: null,
    labels: {},
    barred: null,
    ...change,
  }
}

export function sketchRow(change: Partial<TaskRow> = {}): TaskRow {
  return {
    id: 't_01JDZZZZZZZZZZZZZZZZZZZZZZ',
    caller: agentId,
    agent: agentId,
    implicit: false,
    state: 'active',
    intent: sketchIntent(),
    onBehalfOf: null,
    subjectToken: null,
    opened: noon,
    expires: noon + 30 * minute,
    limit: noon + 30 * minute,
    session: 'sha256:00',
    revision: 'r1',
    paused: null,
    ended: null,
    parent: null,
    root: `agent:${agentId}`,
    depth: 0,
    ...change,
  }
}

/** A mint of one call on what the state says now. */
export function mintOn(
  state: SqliteState,
  row: Pick<TaskRow, 'id' | 'caller'>,
  now: number,
  change: Partial<MintRequest> = {},
): MintRequest {
  const facts = state.facts(row.id, row.caller)
  return {
    task: row.id,
    caller: row.caller,
    seen: { task: facts.task.version, caller: facts.caller.version },
    now,
    step: { tool: 'crm.customer.read', effect: 'read', egress: 'internal', at: now },
    host: 'crm.acme.example:443',
    repeat: 'digest',
    data: [],
    debit: { calls: 1 },
    ...change,
  }
}

export interface TaskRig {
  now: number
  registry: AgentRegistry
  verdict: Pick<TaskVerdict, 'effect'> & { readonly reasons: readonly { readonly rule: string; readonly message_agent: string }[] }
  /** Answers what policy asks people about; until it is set, nobody does. */
  askPeople: AskPeople
  ledger: 'writable' | 'full'
  readonly state: SqliteState
  readonly tasks: Tasks
  readonly delegation: Delegation
  /** How often a task may be handed on. */
  depth: number
  /** Workloads that are killed. */
  readonly stopped: Set<string>
  /** Callers that were told of what others read. */
  readonly raised: string[]
  readonly events: TaskEvent[]
  readonly questions: TaskQuestion[]
  readonly ended: string[]
  readonly paused: string[]
  readonly clock: () => number
}

export interface TaskRigOptions {
  readonly agents?: readonly Agent[]
  readonly seal?: Seal
  readonly openPerCaller?: number
}

export function taskRig(options: TaskRigOptions = {}): TaskRig {
  const clock = (): number => rig.now
  const state = openSqlite({ path: ':memory:', clock })
  const tasks = new Tasks({
    state,
    clock,
    newId: idSource(clock),
    revision: () => 'r1',
    judge: (question) => {
      rig.questions.push(question)
      const { effect, reasons } = rig.verdict
      return { effect, reasons: reasons.map((one) => ({ ...one, severity: 'medium', controls: [] })), revision: 'r1' }
    },
    ask: (...asked) => rig.askPeople(...asked),
    event: async (event) => {
      if (rig.ledger === 'full') throw new Error('the ledger is full')
      rig.events.push(event)
    },
    ended: async (task, cause) => {
      rig.ended.push(`${task} ${cause}`)
    },
    paused: ({ id, state: is }) => void rig.paused.push(`${id} ${is}`),
    seal: options.seal ?? null,
    ...(options.openPerCaller === undefined ? {} : { openPerCaller: options.openPerCaller }),
  })
  const delegation = new Delegation({
    state,
    tasks,
    clock,
    newId: idSource(clock),
    revision: () => 'r1',
    event: async (event) => {
      if (rig.ledger === 'full') throw new Error('the ledger is full')
      rig.events.push(event)
    },
    agent: (id) => rig.registry.find(id),
    stopped: (caller) => (rig.stopped.has(caller) ? new Refusal('kill.engaged') : null),
    depth: () => rig.depth,
    raised: (told) => rig.raised.push(...told.map(({ caller }) => caller)),
  })
  const rig: TaskRig = {
    now: noon,
    registry: agentRegistry(options.agents ?? [sketchAgent()]),
    verdict: { effect: 'allow', reasons: [] },
    askPeople: async (_question, verdict) => {
      throw refusedBy(verdict, 'approve.required')
    },
    ledger: 'writable',
    state,
    tasks,
    delegation,
    depth: 4,
    stopped: new Set(),
    raised: [],
    events: [],
    questions: [],
    ended: [],
    paused: [],
    clock,
  }
  return rig
}
