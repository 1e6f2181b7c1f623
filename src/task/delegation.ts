/** Hand-offs: a task gives a narrower child of itself to another workload, by a grant that this one alone can redeem, once. */
import { createHash, randomBytes } from 'node:crypto'
import type { NewId } from '../id.ts'
import type { Caller } from '../identify/identify.ts'
import type { Call } from '../listen/call.ts'
import { Refusal } from '../refusal.ts'
import { Secret } from '../secret.ts'
import type { GrantRow } from '../state/grants.ts'
import type { Raised } from '../state/mint.ts'
import type { State, TaskRow } from '../state/state.ts'
import { notLive, type Agent } from './agents.ts'
import { withdrawn } from './cascade.ts'
import { linkOf } from './chain.ts'
import { milliseconds, narrow, type AskedTask } from './intent.ts'
import { intersect } from './intersect.ts'
import type { TaskEvent } from './events.ts'
import { taskRow } from './opening.ts'
import { answeredBy } from './question.ts'
import type { Tasks } from './tasks.ts'

export interface DelegationOptions {
  readonly state: State
  readonly tasks: Pick<Tasks, 'judge' | 'inRoom' | 'session'>
  readonly clock: () => number
  readonly newId: NewId
  readonly revision: () => string
  readonly event: (event: TaskEvent) => Promise<void>
  /** The registration of a workload as it is now; null when there is none. */
  readonly agent: (id: string) => Agent | null
  /** Why a workload, or what it would do within a task, is stopped; null when it is not. */
  readonly stopped: (caller: string, agent: Agent | null, task: TaskRow) => Refusal | null
  /** How often a task may be handed on; 0: not at all. */
  readonly depth: () => number
  /** Told of callers that know more than before. */
  readonly raised: (raised: readonly Raised[]) => void
}

/** A grant with the token that is shown once. */
export interface Offered {
  readonly grant: GrantRow
  readonly token: Secret
}

/** How long a grant waits to be redeemed when nobody says, ms. */
const usualWait = 300_000
const mostOpen = 64
const longestId = 2048
/** One workload, never a pattern. */
const oneWorkload = /^spiffe:\/\/[a-z0-9._-]+(\/[A-Za-z0-9._-]+)+$/

export class Delegation {
  readonly #options: DelegationOptions

  constructor(options: DelegationOptions) {
    this.#options = options
  }

  /**
   * Offers what `body` asks for, within the task, to the workload it names (`to`). Left out: what the task itself may. Throws decide.denied
   * with every reason why not, task.ended, task.paused, listen.overloaded, record.failed.
   */
  async offer(parent: TaskRow, body: Readonly<Record<string, unknown>>): Promise<Offered> {
    const { state, clock, newId, event } = this.#options
    this.#checkActive(parent)
    const { to, expires: wait, ...asked } = body
    const left = parent.expires - clock()
    const narrowed = narrow(asked, { intent: parent.intent, ttl: left }, 'this task')
    const reasons = 'reasons' in narrowed ? [...narrowed.reasons] : []
    const waits = readWait(wait, left, reasons)
    const receiver = typeof to === 'string' && to.length <= longestId && oneWorkload.test(to) ? to : null
    if (receiver === null || this.#notLive(receiver) !== null || this.#stopped(receiver, parent) !== null)
      reasons.push('to must be the SPIFFE ID of an agent that is registered, live and not stopped')
    this.#checkDepth(parent, reasons)
    if (receiver === null || 'reasons' in narrowed || reasons.length > 0) throw new Refusal('decide.denied', { reasons })
    if (state.grants.open(parent.id).length >= mostOpen)
      throw new Refusal('listen.overloaded', { reasons: [`at most ${mostOpen} grants of a task may be open at once`] })
    const token = new Secret(randomBytes(32).toString('base64url'))
    const { intent, ttl } = narrowed.asked
    const [id, offered] = [newId('g'), clock()]
    const of = { id, task: parent.id, from: parent.caller, to: receiver, intent, ttl, offered, expires: offered + waits }
    const grant: GrantRow = { ...of, state: 'offered', digest: digestOf(token), child: null }
    await event({
      kind: 'task.handed-on',
      task: parent.id,
      caller: parent.caller,
      by: parent.caller,
      detail: this.#handedOn(parent, grant),
    })
    if (!(await state.grants.offer(grant))) throw this.#gone(await state.task(parent.id))
    return { grant, token }
  }

  /** Takes a grant back that nobody redeemed. Throws task.unknown for one that this task does not offer any more. */
  async withdraw(task: TaskRow, id: string, by: string): Promise<GrantRow> {
    const { state, event } = this.#options
    const offered = await state.grants.grant(id)
    const grant = offered?.task === task.id ? await state.grants.withdraw(id) : null
    if (grant === null) throw new Refusal('task.unknown', { reasons: ['no such grant is open'] })
    await event(withdrawn(grant, by, 'withdrawn by the task that offered it'))
    return grant
  }

  /** Nobody redeemed it in time. Rejects with `record.failed`. */
  async expire({ id }: GrantRow): Promise<void> {
    const { state, event } = this.#options
    const grant = await state.grants.expire(id)
    if (grant === null) return
    const detail = { grant: id, to: grant.to, cause: 'nobody redeemed it in time' }
    await event({ kind: 'grant.expired', task: grant.task, caller: grant.from, by: 'clock', detail })
  }

  /**
   * Opens the child that a grant is for: only for the workload it names, once, within its parent and the receiver's own registration, and
   * judged first. Throws decide.denied, what `ask` of the tasks throws, task.ended, task.paused, task.agent-not-live, listen.overloaded, record.failed.
   */
  redeem(receiver: Receiver, id: unknown, token: unknown): Promise<TaskRow> {
    return this.#options.tasks.inRoom(receiver.caller.id, async () => {
      const { state, clock } = this.#options
      const grant = typeof id === 'string' && id.length <= 64 ? await state.grants.grant(id) : null
      const digest = typeof token === 'string' && token.length <= 256 ? digestOf(new Secret(token)) : null
      const unfit = unfitness(grant, receiver.caller.id, digest, clock())
      // one answer for whatever is wrong: who guesses learns nothing
      if (grant === null || digest === null || unfit !== null) throw noGrant(unfit ?? 'no token')
      const parent = await state.task(grant.task)
      if (parent === null || parent.ended !== null) throw this.#gone(parent)
      return this.#open(receiver, { grant, parent, digest })
    })
  }

  async #open({ caller, agent, call }: Receiver, { grant, parent, digest }: Redeemed): Promise<TaskRow> {
    const { state, tasks, clock, newId, event, revision, raised } = this.#options
    const { intent, ttl } = this.#agreed(agent, grant, parent)
    const chain = [...(parent.chain ?? []), linkOf(parent)]
    const id = newId('t')
    const question = { action: 'open', caller, agent, intent, ttl, delegation: { root: parent.root, chain } } as const
    const asker = { by: caller.id, call: call ?? null, task: parent, opens: id, grant: grant.id, onBehalfOf: parent.onBehalfOf }
    const approval = await tasks.judge(question, asker)
    const now = clock()
    const beginning = { caller, agent, intent, ttl, implicit: false, subject: null }
    const about = { id, now, revision: revision(), session: tasks.session(caller), subjectToken: null, chain }
    const { onBehalfOf, root, depth, correlation } = parent
    const of = { onBehalfOf, root, depth: depth + 1, parent: parent.id, grant: grant.id, ...(correlation && { correlation }) }
    const row: TaskRow = { ...taskRow(beginning, about), ...of, state: 'pending' }
    const answer = await state.openChild(row, { grant: grant.id, to: caller.id, digest, now })
    if (!answer.opened) throw answer.why === 'grant' ? noGrant('redeemed, withdrawn or expired meanwhile') : new Refusal(answer.why)
    raised(answer.raised)
    try {
      await event({
        kind: 'task.opened',
        task: row.id,
        caller: caller.id,
        by: caller.id,
        detail: { ...openedBy(row, grant), ...answeredBy(approval) },
      })
    } catch (error) {
      await state.endTask(row.id, 'revoked', { at: clock(), cause: 'its opening could not be recorded', by: 'countersign' })
      throw error
    }
    const active = await state.activateTask(row.id)
    if (active === null) throw this.#gone(await state.task(row.id))
    return active
  }

  /** What the grant gives, as far as the parent and both registrations go today. */
  #agreed(agent: Agent, grant: GrantRow, parent: TaskRow): AskedTask {
    const reasons: string[] = []
    this.#checkActive(parent)
    this.#checkDepth(parent, reasons)
    const agreed = intersect({ intent: grant.intent, ttl: grant.ttl }, agent, parent.expires - this.#options.clock())
    if (agreed.intent.tools.length === 0) reasons.push('this agent is registered for none of the tools that were handed on')
    if (reasons.length > 0) throw new Refusal('decide.denied', { reasons })
    return agreed
  }

  #handedOn(parent: TaskRow, grant: GrantRow): Readonly<Record<string, unknown>> {
    const { purpose, ...scope } = grant.intent
    const detail = { grant: grant.id, to: grant.to, purpose, ...scope, ttl: grant.ttl, root: parent.root, on_behalf_of: parent.onBehalfOf }
    return { ...detail, depth: parent.depth + 1, expires: grant.expires, revision: this.#options.revision() }
  }

  #checkActive(task: TaskRow): void {
    if (task.ended !== null || task.expires <= this.#options.clock()) throw new Refusal('task.ended')
    if (task.state !== 'active') throw new Refusal('task.paused')
    const dead = this.#notLive(task.caller)
    if (dead !== null) throw new Refusal('task.agent-not-live', { reasons: ['the agent that hands on is not live'], detail: dead })
    const stopped = this.#stopped(task.caller, task)
    if (stopped !== null) throw stopped
  }

  /** Why this workload does nothing within the task. */
  #stopped(caller: string, task: TaskRow): Refusal | null {
    const { agent, stopped } = this.#options
    return stopped(caller, agent(caller), task)
  }

  #checkDepth(parent: TaskRow, reasons: string[]): void {
    const most = this.#options.depth()
    if (parent.depth + 1 > most)
      reasons.push(most === 0 ? 'tasks may not be handed on' : `a task may be handed on ${most} times and no more`)
  }

  #notLive(id: string): string | null {
    const agent = this.#options.agent(id)
    return agent === null ? `no agent is registered for ${id}` : notLive(agent, this.#options.clock())
  }

  #gone(row: TaskRow | null): Refusal {
    return new Refusal(row !== null && row.ended === null ? 'task.paused' : 'task.ended', {
      reasons: ['the task that hands on is not active'],
    })
  }
}

/** Who redeems a grant, and by which request. */
export interface Receiver {
  readonly caller: Caller
  readonly agent: Agent
  /** Absent: no agent waits for the answer. */
  readonly call?: Call
}

interface Redeemed {
  readonly grant: GrantRow
  readonly parent: TaskRow
  readonly digest: string
}

/** Why a grant is not one for this receiver and token, for the operator's record. */
function unfitness(grant: GrantRow | null, to: string, digest: string | null, now: number): string | null {
  if (grant === null) return 'no such grant'
  if (grant.to !== to) return `${grant.id} is for ${grant.to}`
  if (grant.digest !== digest) return `${grant.id}: another token`
  if (grant.state !== 'offered') return `${grant.id} is ${grant.state}`
  return grant.expires <= now ? `${grant.id} has expired` : null
}

function noGrant(detail: string): Refusal {
  return new Refusal('decide.denied', { reasons: ['no such grant is open to this agent'], detail })
}

/** Under which authority, from whom, and with which approved scope (CS-TASK-1). */
function openedBy(row: TaskRow, grant: GrantRow): Readonly<Record<string, unknown>> {
  const { purpose, ...scope } = row.intent
  const through = { parent: row.parent, grant: grant.id, from: grant.from, depth: row.depth, chain: row.chain?.map(({ party }) => party) }
  const detail = { agent: row.agent, implicit: false, purpose, ...scope, on_behalf_of: row.onBehalfOf, root: row.root }
  return { ...detail, ...through, expires: row.expires, revision: row.revision }
}

function readWait(asked: unknown, longest: number, reasons: string[]): number {
  if (asked === undefined) return Math.min(usualWait, longest)
  const wait = typeof asked === 'number' ? asked : milliseconds(asked)
  if (!Number.isInteger(wait) || wait < 1) reasons.push('expires must be a duration such as 30s or 10m, or milliseconds')
  else if (wait > longest) reasons.push('expires is longer than this task lives')
  return wait
}

function digestOf(token: Secret): string {
  return `sha256:${createHash('sha256').update(token.reveal()).digest('base64url')}`
}
