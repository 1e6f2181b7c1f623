import { noDuties } from '../../src/decide/duties.ts'
import { Permit } from '../../src/decide/permit.ts'
import type { Decision } from '../../src/decide/decide.ts'
import { idSource } from '../../src/id.ts'
import { makeCredential, type CredentialOptions, type CredentialStage } from '../../src/credential/lend.ts'
import type { CredentialProvider, Issued, Lease, Placement, Wanted } from '../../src/credential/credential.ts'
import type { LeaseEvent } from '../../src/credential/lease-event.ts'
import { Refusal } from '../../src/refusal.ts'
import { Secret } from '../../src/secret.ts'
import { openSqlite, type SqliteState } from '../../src/state/sqlite.ts'
import type { LeaseRow } from '../../src/state/leases.ts'
import type { TaskRow } from '../../src/state/state.ts'
import { KeptLog, TestClock } from './identity-rig.ts'
import type { Agent } from '../../src/task/agents.ts'
import { noEngine } from './engine.ts'
import {
  sketchAgent,
  sketchCall,
  sketchCaller,
  sketchFacts,
  sketchQuestion,
  sketchRoute,
  sketchRow,
  sketchTarget,
  sketchTool,
} from './question.ts'

/** One request to a fake issuer, answered when the test says so. */
export interface Asked {
  readonly wanted: Wanted
  readonly signal: AbortSignal
  readonly prepared: Secret | null
  give(issued?: Partial<Issued>): void
  fail(error: unknown): void
}

/** An issuer in memory. `auto` answers at once; without it the test answers each request. */
export class FakeIssuer implements CredentialProvider {
  readonly type = 'fake'
  placement: Placement = { in: 'header', name: 'authorization', prefix: 'Bearer ' }
  standing = false
  offer = {
    scopes: ['a', 'b', 'c'] as readonly string[],
    audiences: ['https://crm.acme.example', 'https://other.acme.example'],
    ttl: 60_000,
    subject: false,
  }
  auto = true
  readonly asked: Asked[] = []
  readonly renewals: Renewing[] = []
  /** Handles that `revoke` was called with. */
  readonly revoked: string[] = []
  /** What the next revocations end with; when empty they succeed. */
  readonly revocations: (() => Promise<void>)[] = []
  /** What an automatic answer differs in. */
  answer: Partial<Issued> = {}
  floor = 0
  prepare?: NonNullable<CredentialProvider['prepare']>
  renew?: NonNullable<CredentialProvider['renew']>
  readonly #clock: () => number
  readonly #journal: string[]
  #count = 0

  constructor(clock: () => number, journal: string[]) {
    this.#clock = clock
    this.#journal = journal
  }

  /** Names what could take back what comes: from now on `prepare` gives a handle for each lease. */
  prepares(): void {
    this.prepare = async ({ lease }) => {
      this.#journal.push('prepared')
      return new Secret(`canary-prepared-${lease}`)
    }
  }

  /** Lets credentials live on from now on, as the test answers. */
  renews(): void {
    this.renew = (handle, ttl, signal) =>
      new Promise((resolve, reject) => {
        this.#journal.push('issuer asked to renew')
        this.renewals.push({ handle: handle.reveal(), ttl, signal, give: (expires) => resolve({ expires }), fail: reject })
      })
  }

  issue(wanted: Wanted, signal: AbortSignal, prepared: Secret | null = null): Promise<Issued> {
    this.#journal.push('issuer asked')
    return new Promise((resolve, reject) => {
      const give = (issued: Partial<Issued> = {}): void => resolve({ ...this.#usual(wanted), ...this.answer, ...issued })
      this.asked.push({ wanted, signal, prepared, give, fail: reject })
      if (this.auto) give()
    })
  }

  async revoke(handle: Secret): Promise<void> {
    this.revoked.push(handle.reveal())
    await this.revocations.shift()?.()
  }

  #usual(wanted: Wanted): Issued {
    const text = `canary-secret-${++this.#count}`
    return {
      secret: new Secret(text),
      expires: this.#clock() + wanted.ttl,
      scopes: wanted.scopes,
      handle: new Secret(`canary-handle-${this.#count}`),
      revocation: 'issuer',
      excess: null,
    }
  }
}

/** One request to let a credential live on, answered when the test says so. */
export interface Renewing {
  readonly handle: string
  readonly ttl: number
  readonly signal: AbortSignal
  /** Epoch ms. */
  give(expires: number): void
  fail(error: unknown): void
}

export interface PermitSketch {
  readonly revision?: string
  readonly facts?: Decision['facts']
  readonly agent?: Partial<Agent>
  readonly task?: Partial<TaskRow>
  readonly caller?: string
  readonly tool?: string
  readonly credential?: Decision['credential']
  /** Provider that the route names; null for a route without a credential. */
  readonly provider?: string | null
  readonly origin?: string
  readonly signal?: AbortSignal
}

export function decisionFor(sketch: PermitSketch = {}): Decision {
  const caller = sketch.caller ?? sketchCaller().id
  const usual = sketchRoute()
  const route = sketchRoute({
    credential: sketch.provider === undefined ? 'crm' : sketch.provider,
    to: { ...usual.to, origin: sketch.origin ?? usual.to.origin },
  })
  const question = sketchQuestion({
    call: sketchCall(sketch.signal ? { signal: sketch.signal } : {}),
    caller: sketchCaller({ id: caller }),
    task: { row: sketchRow({ caller, ...sketch.task }), agent: sketchAgent(sketch.agent) },
    target: sketchTarget({ route, tool: sketchTool({ name: sketch.tool ?? 'crm.customer.read' }) }),
  })
  return {
    question,
    effect: 'allow',
    observed: null,
    reasons: [],
    refusedBy: [],
    obligations: [],
    duties: noDuties,
    approval: null,
    deferral: null,
    credential: sketch.credential ?? null,
    labels: {},
    revision: sketch.revision ?? 'r1',
    engine: noEngine,
    facts: sketch.facts ?? sketchFacts(),
    now: question.call.received,
    inputText: '{}',
    resultText: '{}',
    evalNs: 0,
  }
}

export function permitFor(sketch: PermitSketch = {}): Permit {
  return Permit.mint(decisionFor(sketch), () => {})
}

/** The credential stage over a fake issuer, real state in memory and a clock that stands still. */
export class CredentialRig {
  readonly clock = new TestClock()
  readonly log = new KeptLog()
  /** What happened, in order: rows as they were written, requests to the issuer, events. */
  readonly journal: string[] = []
  readonly events: LeaseEvent[] = []
  /** Whether the ledger cannot be written. */
  fails = false
  readonly issuer = new FakeIssuer(this.clock.now, this.journal)
  readonly state: SqliteState
  readonly stage: CredentialStage

  constructor(options: Partial<CredentialOptions> & { readonly path?: string } = {}) {
    const { path, ...given } = options
    this.state = journaled(openSqlite({ path: path ?? ':memory:', clock: this.clock.now }), this.journal)
    this.stage = makeCredential({
      providers: new Map<string, CredentialProvider>([['crm', this.issuer]]),
      state: this.state,
      seal: null,
      subjectToken: () => null,
      within: () => 30_000,
      clock: this.clock.now,
      ticks: this.clock.now,
      newId: idSource(this.clock.now),
      check: (permit) => Permit.check(permit),
      event: async (event) => {
        if (this.fails) throw new Refusal('record.failed')
        this.journal.push(event.kind)
        this.events.push(event)
      },
      log: this.log,
      ...given,
    })
  }

  /** Opens the task that a permit is for, once. */
  open(task: Partial<TaskRow> = {}): void {
    const row = sketchRow(task)
    if (this.state.task(row.id) === null) this.state.openTask(row)
  }

  /** A lease for a call of an open task. */
  async lease(sketch: PermitSketch = {}): Promise<Lease> {
    this.open({ ...sketch.task, ...(sketch.caller === undefined ? {} : { caller: sketch.caller }) })
    const lease = await this.stage.credential(permitFor(sketch))
    if (lease === null) throw new Error('the route has no credential')
    return lease
  }

  row(id: string): LeaseRow {
    const row = this.state.lease(id)
    if (row === null) throw new Error(`no row of lease ${id}`)
    return row
  }

  rows(): readonly LeaseRow[] {
    return this.state.leases({})
  }

  kinds(): readonly string[] {
    return this.events.map(({ kind }) => kind)
  }
}

function journaled(state: SqliteState, journal: string[]): SqliteState {
  const put = state.putLease.bind(state)
  const change = state.changeLease.bind(state)
  state.putLease = (row) => {
    put(row)
    journal.push(`row ${row.state}`)
  }
  state.changeLease = (id, from, to) => {
    const row = change(id, from, to)
    if (row !== null && to.state !== undefined) journal.push(`row ${to.state}`)
    else if (row !== null) journal.push(`row ${row.state}: ${Object.keys(to).join(', ')}`)
    return row
  }
  return state
}
