import { resolve } from 'node:path'
import { authority, type Authority } from './authority.ts'
import { secretBytes, secretReader, tokenKey } from './config/keys.ts'
import type { Loaded } from './config/load.ts'
import type { Env } from './config/yaml-text.ts'
import { generateSigningKey, readSigningKey, type SigningKey } from './credential/keys.ts'
import { PolicyInForce } from './decide/in-force.ts'
import type { JudgeTask } from './decide/opening.ts'
import type { Entrypoint } from './decide/engine.ts'
import { measuredBefore, type Measured } from './decide/measured.ts'
import { markerOf } from './decide/stalled.ts'
import { startWatchdog, type Watchdog } from './decide/watchdog.ts'
import type { Where } from './forward/finds.ts'
import type { OwnIdentity } from './identify/own.ts'
import { ProofMemory } from './identify/dpop/proofs.ts'
import { idSource, type NewId } from './id.ts'
import type { EntrySummary } from './record/entry.ts'
import { Reading } from './match/json-keys.ts'
import type { Delivery } from './notify/queue.ts'
import { openLedgerKey, type LedgerKey } from './record/key.ts'
import { pseudonymsOf } from './record/pseudonym.ts'
import type { LedgerEvent } from './record/record.ts'
import { openRecorder, type OpenRecorder } from './record/recorder.ts'
import { makeSeal } from './state/seal.ts'
import { openSqlite, type SqliteState } from './state/sqlite.ts'
import type { AgentRegistry } from './task/agents.ts'
import type { Sample } from './trace-context.ts'
import { startTracing, type Tracing } from './trace/tracing.ts'
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
  /** Who looks after evaluations, when somebody does already. It is not closed with the rest. */
  readonly watchdog?: Watchdog
  /** Held when all but the agents' listeners is open; calls are taken after it. Never rejects. Absent: none is held. */
  readonly rehearse?: (on: Foundation) => Promise<void>
}

/** What outlives a configuration: state, ledger, leases, open work. */
export interface Foundation extends Authority {
  readonly env: Env
  readonly version: string
  readonly clock: () => number
  readonly newId: NewId
  readonly log: Log
  readonly state: SqliteState
  readonly recorder: OpenRecorder
  readonly signingKey: SigningKey
  /** `iss` of what Countersign signs. */
  readonly issuer: string
  /** DPoP proofs that were used: a reload must not make them new. */
  readonly proofs: ProofMemory
  /** What judges; it is empty until the first bundle is activated. */
  readonly policy: PolicyInForce
  /** Spans of calls; null: none are made. */
  readonly tracing: Tracing | null
  /** Which calls are traced; null: none. */
  readonly sample: Sample | null
  /** What earlier processes on this state measured of policies. */
  readonly measured: Measured
  /** Ends this process when an evaluation does not end. */
  readonly watchdog: Watchdog
  readonly inForce: () => InForce | null
}

/** What of the wiring in force the foundation looks up when it is needed; there is none while it is laid. */
export interface InForce {
  readonly judgeTask: JudgeTask
  readonly standing: Standing
  readonly loaded: Loaded
  readonly agents: AgentRegistry
  /** The SVID of our own; null when no source gives one. */
  readonly own: () => OwnIdentity | null
  /** Whether an agent is registered for this SPIFFE ID. */
  readonly registered: (caller: string) => boolean
  readonly observe: (summary: EntrySummary) => void
  readonly told: (event: LedgerEvent) => void
  readonly delivered: (notifier: string, delivery: Delivery) => void
  /** An evaluation took longer than its budget. */
  readonly slow: (entrypoint: Entrypoint) => void
  /** An answer held the credential that was lent to its call. */
  readonly echoed: (found: { readonly route: string; readonly where: Where }) => void
  /** Spans that no receiver will have. */
  readonly spansDropped: (count: number) => void
}

/** Opens state and ledger and closes what a crash left open. Rejects, with nothing left open, when a part cannot be had. */
export async function layFoundation(loaded: Loaded, around: Surroundings, inForce: () => InForce | null): Promise<Foundation> {
  const { config, folder } = loaded
  const { log, env } = around
  const clock = around.clock ?? Date.now
  const newId = idSource(clock)
  const at = (path: string): string => resolve(folder, path)
  const { credential, record, task, listen } = config
  const killPath = task.kill_file === undefined ? null : at(task.kill_file)
  const seal = task.state.key === undefined ? null : makeSeal(secretBytes(at(task.state.key.file)))
  const signingKey = await (credential.key === undefined ? generateSigningKey() : readSigningKey(tokenKey(at(credential.key.file))))
  const key = openLedgerKey({ path: at(record.ledger.key?.file ?? `${record.ledger.path}.key`), dir: at(record.ledger.path), log })
  const tracing = tracingOf(loaded, around, key.name, inForce)
  const state = openSqlite({ path: at(task.state.path), clock, memory: task.memory, synced: record.ledger.durability === 'synced' })
  try {
    const policy = new PolicyInForce()
    const recorder = await openLedger(loaded, around, { key, clock, newId, state, policy, inForce, tracing })
    const issuer = credential.issuer ?? `http://${listen.health.at.replace(/^(0\.0\.0\.0|\[::\])/, '127.0.0.1')}`
    return {
      env,
      version: around.version,
      clock,
      newId,
      log,
      state,
      recorder,
      signingKey,
      issuer,
      proofs: new ProofMemory(clock()),
      policy,
      tracing,
      sample: tracing?.sample ?? null,
      measured: measuredBefore(
        { read: () => state.note('policy.measured'), write: (text) => state.putNote('policy.measured', text) },
        around.version,
      ),
      watchdog: around.watchdog ?? startWatchdog({ stall: config.decide.evaluation.stall, marker: markerOf(at(task.state.path)), log }),
      inForce,
      ...authority({ clock, newId, log, state, recorder, seal, issuer, signingKey, policy, inForce, killPath }),
    }
  } catch (error) {
    state.close()
    throw error
  }
}

/** Lets go of all of it, in order. */
export async function closeFoundation({ approvalNotices, credential, notices, recorder, state, watchdog }: Foundation): Promise<void> {
  await watchdog.close()
  await credential.close()
  await notices.close()
  await approvalNotices.close()
  await recorder.close()
  state.close()
}

function tracingOf(
  { config, folder }: Loaded,
  { env, log, version }: Surroundings,
  id: string,
  inForce: () => InForce | null,
): Tracing | null {
  const { traces, labels } = config.record
  if (traces === undefined) return null
  const url = new URL(traces.url)
  if (url.pathname === '/') url.pathname = '/v1/traces'
  const { token } = traces
  const read = secretReader(folder, env)
  return startTracing({
    url,
    ratio: traces.ratio,
    token: token === undefined ? null : () => read(token),
    resource: { 'service.name': 'countersign', 'service.version': version, 'service.instance.id': id, ...labels },
    version,
    fetch,
    log,
    dropped: (count) => inForce()?.spansDropped(count),
  })
}
/** Ms; a sink that hangs must not hold up the end of the process, for its offset says where it goes on. */
const longestFlush = 5000

interface LedgerParts {
  readonly key: LedgerKey
  readonly clock: () => number
  readonly newId: NewId
  readonly state: SqliteState
  readonly policy: PolicyInForce
  readonly inForce: () => InForce | null
  readonly tracing: Tracing | null
}

function openLedger({ config, folder }: Loaded, { log, version }: Surroundings, parts: LedgerParts): Promise<OpenRecorder> {
  const { key, clock, newId, state, policy, inForce, tracing } = parts
  const { ledger, labels, pseudonyms } = config.record
  return openRecorder({
    dir: resolve(folder, ledger.path),
    ledgerId: key.name,
    key: key.key,
    labels: { id: key.name, version, ...labels },
    durability: ledger.durability,
    quota: ledger.quota,
    segmentBytes: ledger.segment,
    keep: ledger.keep,
    checkpointMs: ledger.checkpoint,
    heartbeatMs: ledger.heartbeat,
    previous: key.previous,
    clock,
    newId,
    log,
    flushState: () => state.flush(),
    sinkGrace: Math.min(config.listen.drain, longestFlush),
    sinkOffsets: {
      read: async (sink) => offsetOf(state.note(`sink.${sink}`)),
      write: async (sink, seq) => state.putNote(`sink.${sink}`, String(seq)),
    },
    // one that may not judge any more still says what is masked
    policy: () => policy.policy?.engine ?? null,
    parseJson: (text) => new Reading(text).value(),
    registered: (caller) => inForce()?.registered(caller) ?? false,
    observe: (summary) => inForce()?.observe(summary),
    pseudonym: pseudonymsOf(secretBytes(resolve(folder, pseudonyms?.key.file ?? `${ledger.path}.pseudonyms.key`))),
    traced: tracing === null ? undefined : (call) => tracing.take(call),
  })
}

/** Null for what is no offset: 0 is one, of a sink that has taken nothing yet. */
function offsetOf(note: string | null): number | null {
  return note !== null && /^\d{1,15}$/.test(note) ? Number(note) : null
}
