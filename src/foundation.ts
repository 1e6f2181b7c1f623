import { resolve } from 'node:path'
import { stateKey, tokenKey } from './config/keys.ts'
import type { Env, Loaded } from './config/load.ts'
import { generateSigningKey, readSigningKey, type SigningKey } from './credential/keys.ts'
import { makeCredential, type CredentialStage } from './credential/lend.ts'
import { PolicyInForce } from './decide/in-force.ts'
import type { JudgeTask } from './decide/opening.ts'
import { Permit } from './decide/permit.ts'
import type { Entrypoint } from './decide/engine.ts'
import { markerOf } from './decide/stalled.ts'
import { startWatchdog, type Watchdog } from './decide/watchdog.ts'
import { ProofMemory } from './identify/dpop/proofs.ts'
import { idSource, type NewId } from './id.ts'
import type { EntrySummary } from './record/entry.ts'
import { Reading } from './match/json-keys.ts'
import { Notices } from './notify/notices.ts'
import type { Delivery } from './notify/queue.ts'
import { openLedgerKey } from './record/key.ts'
import type { LedgerEvent } from './record/record.ts'
import { openRecorder, type OpenRecorder } from './record/recorder.ts'
import { openSink } from './record/registry.ts'
import { makeRejudge, type Rejudge } from './rejudge.ts'
import { Revoke } from './revoke.ts'
import { makeSeal } from './state/seal.ts'
import { openSqlite, type SqliteState } from './state/sqlite.ts'
import type { Seal } from './state/state.ts'
import { Tasks } from './task/tasks.ts'
import type { Standing } from './verdict.ts'

/** Takes one line for the operator: members first, then the sentence. */
export interface Log {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** What a sidecar is given from outside. */
export interface Surroundings {
  readonly env: Env
  readonly log: Log
  readonly version: string
  /** Epoch ms; the system's by default. */
  readonly clock?: () => number
}

/** What outlives a configuration: state, ledger, leases, open work. */
export interface Foundation {
  readonly env: Env
  readonly clock: () => number
  readonly newId: NewId
  readonly log: Log
  readonly state: SqliteState
  readonly recorder: OpenRecorder
  readonly revoke: Revoke
  /** To be called whenever a fact that open work rests on has changed. */
  readonly rejudge: Rejudge
  readonly tasks: Tasks
  readonly credential: CredentialStage
  /** What policy tells, to the ledger and to notifiers. */
  readonly notices: Notices
  readonly signingKey: SigningKey
  /** `iss` of what Countersign signs. */
  readonly issuer: string
  /** DPoP proofs that were used: a reload must not make them new. */
  readonly proofs: ProofMemory
  /** What judges; it is empty until the first bundle is activated. */
  readonly policy: PolicyInForce
  /** Ends this process when an evaluation does not end. */
  readonly watchdog: Watchdog
  readonly inForce: () => InForce | null
}

/** What of the wiring in force the foundation looks up when it is needed; there is none while it is laid. */
export interface InForce {
  readonly judgeTask: JudgeTask
  readonly standing: Standing
  readonly loaded: Loaded
  /** Whether an agent is registered for this SPIFFE ID. */
  readonly registered: (caller: string) => boolean
  readonly observe: (summary: EntrySummary) => void
  readonly told: (event: LedgerEvent) => void
  readonly delivered: (notifier: string, delivery: Delivery) => void
  /** An evaluation took longer than its budget. */
  readonly slow: (entrypoint: Entrypoint) => void
}

/** Opens state and ledger and closes what a crash left open. Rejects, with nothing left open, when a part cannot be had. */
export async function layFoundation(loaded: Loaded, around: Surroundings, inForce: () => InForce | null): Promise<Foundation> {
  const { config, folder } = loaded
  const { log, env } = around
  const clock = around.clock ?? Date.now
  const newId = idSource(clock)
  const at = (path: string): string => resolve(folder, path)
  const { credential, record, task, listen } = config
  const seal = task.state.key === undefined ? null : makeSeal(stateKey(at(task.state.key.file)))
  const signingKey = await (credential.key === undefined ? generateSigningKey() : readSigningKey(tokenKey(at(credential.key.file))))
  const state = openSqlite({ path: at(task.state.path), clock, memory: task.memory, synced: record.ledger.durability === 'synced' })
  try {
    const policy = new PolicyInForce()
    const recorder = await openLedger(loaded, around, { clock, newId, state, policy, inForce })
    const issuer = credential.issuer ?? `http://${listen.health.at.replace(/^(0\.0\.0\.0|\[::\])/, '127.0.0.1')}`
    return {
      env,
      clock,
      newId,
      log,
      state,
      recorder,
      signingKey,
      issuer,
      proofs: new ProofMemory(clock()),
      policy,
      watchdog: startWatchdog({ stall: config.decide.evaluation.stall, marker: markerOf(at(task.state.path)), log }),
      inForce,
      ...authority({ clock, newId, log, state, recorder, seal, issuer, policy, inForce }),
    }
  } catch (error) {
    state.close()
    throw error
  }
}

interface LedgerParts {
  readonly clock: () => number
  readonly newId: NewId
  readonly state: SqliteState
  readonly policy: PolicyInForce
  readonly inForce: () => InForce | null
}

function openLedger({ config, folder }: Loaded, { log, version }: Surroundings, parts: LedgerParts): Promise<OpenRecorder> {
  const { clock, newId, state, policy, inForce } = parts
  const { ledger, labels, sinks } = config.record
  const dir = resolve(folder, ledger.path)
  const key = openLedgerKey({ path: resolve(folder, ledger.key?.file ?? `${ledger.path}.key`), dir, log })
  return openRecorder({
    dir,
    ledgerId: key.name,
    key: key.key,
    labels: { id: key.name, version, ...labels },
    durability: ledger.durability,
    quota: ledger.quota,
    segmentBytes: ledger.segment,
    clock,
    newId,
    log,
    flushState: () => state.flush(),
    sinks: sinks.map((sink) => openSink(sink, { log })),
    sinkOffsets: {
      read: async (sink) => Number(state.note(sink) ?? Number.NaN) || null,
      write: async (sink, seq) => state.putNote(sink, String(seq)),
    },
    // one that may not judge any more still says what is masked
    policy: () => policy.policy?.engine ?? null,
    parseJson: (text) => new Reading(text).value(),
    registered: (caller) => inForce()?.registered(caller) ?? false,
    observe: (summary) => inForce()?.observe(summary),
  })
}

interface AuthorityParts extends LedgerParts {
  readonly log: Log
  readonly recorder: OpenRecorder
  readonly seal: Seal | null
  readonly issuer: string
}

/** Tasks, their leases and their open work: parts that end each other; and what policy tells of them. */
function authority(parts: AuthorityParts): Pick<Foundation, 'revoke' | 'rejudge' | 'tasks' | 'credential' | 'notices'> {
  const { clock, newId, log, state, recorder, seal, issuer, policy, inForce } = parts
  const event = (told: LedgerEvent): Promise<void> => {
    inForce()?.told(told)
    return recorder.event(told)
  }
  const revoke: Revoke = new Revoke((task, cause) => credential.revokeTask(task, cause))
  const revision = (): string => policy.revision
  const tasks = new Tasks({
    state,
    clock,
    newId,
    seal,
    revision,
    judge: (question) => (inForce() ?? unwired()).judgeTask(question),
    event,
    ended: (task, cause, caller) => revoke.taskEnded(task, cause, caller),
    paused: ({ id, caller }) => void rejudge({ cause: 'pause', task: id, caller }),
  })
  const credential = makeCredential({
    providers: new Map(),
    state,
    seal,
    subjectToken: (row) => tasks.subjectToken(row),
    clock,
    newId,
    check: (permit) => Permit.check(permit),
    event,
    issued: ({ revision: under, task, caller }) => {
      if (under !== revision()) void rejudge({ cause: 'policy', task, caller })
    },
    log,
  })
  const rejudge = rejudgeOf(parts, { revoke, credential, revision, event })
  const count = (notifier: string, delivery: Delivery): void => inForce()?.delivered(notifier, delivery)
  return { revoke, rejudge, tasks, credential, notices: new Notices({ event, clock, newId, source: issuer, log, count }) }
}

interface RejudgeParts extends Pick<Foundation, 'revoke' | 'credential'> {
  readonly revision: () => string
  readonly event: (event: LedgerEvent) => Promise<void>
}

/** Judges open work again by the wiring in force, on the state as it is. */
function rejudgeOf(parts: AuthorityParts, { revoke, credential, revision, event }: RejudgeParts): Rejudge {
  const { state, clock, log, inForce } = parts
  const { book } = credential
  return makeRejudge({
    revoke,
    standing: () => inForce()?.standing ?? null,
    revision,
    task: (id) => state.task(id),
    facts: (task, caller) => state.facts(task, caller),
    clock,
    tasksOf: (caller) => (['active', 'paused'] as const).flatMap((each) => state.tasks({ caller, state: each }).map(({ id }) => id)),
    leases: (tasks) => (tasks === undefined ? book.all() : tasks.flatMap((task) => book.ofTask(task))).map(({ row }) => row),
    isOut: (lease) => book.has(lease),
    takeBack: (lease, cause, why) => credential.takeBack(lease, cause, why),
    event,
    log,
  })
}

function unwired(): never {
  throw new Error('a task was judged before the stages were wired')
}
