import { dirname, resolve } from 'node:path'
import { makeAdmin } from './admin/admin.ts'
import { makeHealth } from './admin/health.ts'
import { localKey } from './admin/local-key.ts'
import { makeMetrics } from './admin/metrics.ts'
import { serve, type Serving } from './admin/serve.ts'
import { personTasks } from './admin/tasks.ts'
import { placeOf } from './config/catalogue.ts'
import { stateKey, tokenKey } from './config/keys.ts'
import type { Env, Loaded } from './config/load.ts'
import { generateSigningKey, readSigningKey } from './credential/keys.ts'
import { makeCredential } from './credential/lend.ts'
import { Permit } from './decide/permit.ts'
import { idSource } from './id.ts'
import { listen, type Listening } from './listen/proxy.ts'
import { openLedgerKey } from './record/key.ts'
import { openRecorder } from './record/recorder.ts'
import { openSink } from './record/registry.ts'
import type { EntrySummary } from './record/entry.ts'
import { codes } from './refusal.ts'
import { Revoke } from './revoke.ts'
import { makeSeal } from './state/seal.ts'
import { openSqlite, type SqliteState } from './state/sqlite.ts'
import { watchExpiry } from './task/clock.ts'
import { Tasks } from './task/tasks.ts'
import { listenOptions, wire, type Foundation, type Log, type Wiring } from './wire.ts'

/** What a sidecar is given from outside. */
export interface Surroundings {
  readonly env: Env
  readonly log: Log
  readonly version: string
  /** Epoch ms; the system's by default. */
  readonly clock?: () => number
}

/** A running Countersign. */
export interface Sidecar {
  /** Listener name → port; `health` and `admin` among them. */
  readonly ports: ReadonlyMap<string, number>
  readonly ledger: { readonly folder: string; readonly key: string }
  readonly foundation: Foundation
  /** Why calls cannot be served now; empty when they can. */
  notReady(): readonly string[]
  /** Swaps a checked configuration in; rejects, and keeps the old one, when it cannot be wired. */
  reload(loaded: Loaded): Promise<void>
  /** Counts an attempt to reload. */
  reloaded(ok: boolean): void
  /** Drains, takes every lease back, closes the ledger. */
  close(): Promise<void>
}

/** Opens state and ledger, deals with what an earlier process left, wires the stages and listens. Rejects when a part cannot be had. */
export async function openSidecar(loaded: Loaded, around: Surroundings): Promise<Sidecar> {
  const house = await furnish(loaded, around)
  try {
    return await house.open()
  } catch (error) {
    await house.close()
    throw error
  }
}

async function furnish(loaded: Loaded, around: Surroundings): Promise<House> {
  const { config, folder } = loaded
  const { log, env, version } = around
  const clock = around.clock ?? Date.now
  const newId = idSource(clock)
  const { credential, record, task, listen: ports } = config
  const at = (path: string): string => resolve(folder, path)
  const dir = at(record.ledger.path)
  const key = openLedgerKey({ path: at(record.ledger.key?.file ?? `${record.ledger.path}.key`), dir, log })
  const seal = task.state.key === undefined ? null : makeSeal(stateKey(at(task.state.key.file)))
  const signingKey = await (credential.key === undefined ? generateSigningKey() : readSigningKey(tokenKey(at(credential.key.file))))
  const state = openSqlite({ path: at(task.state.path), clock, memory: task.memory, synced: record.ledger.durability === 'synced' })
  let house: House | null = null
  try {
    const recorder = await openRecorder({
      dir,
      ledgerId: key.name,
      key: key.key,
      labels: { id: key.name, version, ...record.labels },
      durability: record.ledger.durability,
      quota: record.ledger.quota,
      segmentBytes: record.ledger.segment,
      clock,
      newId,
      log,
      flushState: () => state.flush(),
      sinks: record.sinks.map((sink) => openSink(sink, { log })),
      sinkOffsets: {
        read: async (sink) => Number(state.note(sink) ?? Number.NaN) || null,
        write: async (sink, seq) => state.putNote(sink, String(seq)),
      },
      observe: (summary) => house?.observe(summary),
    })
    const revoke: Revoke = new Revoke((id, cause) => lender.revokeTask(id, cause))
    const event: Foundation['recorder']['event'] = (told) => {
      house?.metrics.event(told.kind)
      return recorder.event(told)
    }
    const tasks = new Tasks({
      state,
      clock,
      newId,
      seal,
      revision: () => house?.wiring.policy.revision ?? '',
      judge: (question) => (house ?? unfinished()).wiring.judgeTask(question),
      event,
      ended: (id, cause) => revoke.taskEnded(id, cause),
    })
    const lender = makeCredential({
      providers: new Map(),
      state,
      seal,
      subjectToken: (row) => tasks.subjectToken(row),
      clock,
      newId,
      check: (permit) => Permit.check(permit),
      event,
      log,
    })
    const issuer = credential.issuer ?? `http://${ports.health.at}`
    house = new House(
      loaded,
      around,
      { env, clock, newId, log, state, recorder, revoke, tasks, credential: lender, signingKey, issuer },
      state,
    )
    return house
  } catch (error) {
    state.close()
    throw error
  }
}

function unfinished(): never {
  throw new Error('a task was judged before the stages were wired')
}

/** The long-lived parts and the wiring in force. */
class House implements Sidecar {
  readonly foundation: Foundation
  readonly ledger: Sidecar['ledger']
  readonly metrics: ReturnType<typeof makeMetrics>
  /** Written by `reload` only; a call takes it once. */
  wiring: Wiring
  readonly #state: SqliteState
  readonly #expiry: ReturnType<typeof watchExpiry>
  #listening: Listening | null = null
  #admin: Serving | null = null
  #health: Serving | null = null
  #closing = false

  constructor(loaded: Loaded, around: Surroundings, foundation: Foundation, state: SqliteState) {
    const { clock, log, recorder, tasks } = foundation
    this.foundation = foundation
    this.#state = state
    this.ledger = { folder: resolve(loaded.folder, loaded.config.record.ledger.path), key: recorder.publicKey() }
    this.wiring = wire(loaded, foundation)
    this.metrics = makeMetrics({
      version: around.version,
      inFlight: () => this.#listening?.inFlight ?? 0,
      ready: () => this.notReady().length === 0,
      ledgerSize: () => recorder.position().seq,
      policyRevision: () => this.wiring.policy.revision,
    })
    this.#expiry = watchExpiry({
      state,
      clock,
      every: 1000,
      expire: (row) => tasks.expire(row),
      failed: (error, task) => log.error({ task, cause: error instanceof Error ? error.message : 'unknown' }, 'a task could not be ended'),
    })
  }

  async open(): Promise<Sidecar> {
    const { credential, recorder } = this.foundation
    const { loaded, policy, providers } = this.wiring
    await credential.change(providers)
    await credential.sweep()
    await this.#expiry.sweep()
    await recorder.event({ kind: 'policy.activated', by: 'countersign', detail: { revision: policy.revision, sha256: policy.digest } })
    this.#health = await serve(placeOf(loaded.config.listen.health.at), this.#healthPort())
    this.#admin = await serve(placeOf(loaded.config.admin.at), this.#adminPort())
    this.#listening = await listen(listenOptions(loaded, this.foundation, (call) => this.wiring.handle(call)))
    return this
  }

  get ports(): ReadonlyMap<string, number> {
    return new Map([...(this.#listening?.ports ?? []), ['admin', this.#admin?.port ?? 0], ['health', this.#health?.port ?? 0]])
  }

  notReady(): readonly string[] {
    const why: string[] = []
    if (this.#closing) why.push('shutting down')
    if (this.#listening === null) why.push('not listening yet')
    if (this.foundation.recorder.failed) why.push('the ledger cannot be written')
    if (!this.wiring.sources.some((source) => source.ready())) why.push('no identity source has keys yet')
    return why
  }

  async reload(loaded: Loaded): Promise<void> {
    const before = this.wiring
    const [wanted, present] = [places(loaded), places(before.loaded)]
    const fixed = Object.keys(wanted).filter((part) => wanted[part] !== present[part])
    if (fixed.length > 0) throw new Error(`a change of ${fixed.join(', ')} takes a restart; the configuration before stays in force`)
    const { credential, recorder, log } = this.foundation
    const next = wire(loaded, this.foundation)
    try {
      await this.#listening?.reconfigure(listenOptions(loaded, this.foundation, (call) => this.wiring.handle(call)))
    } catch (error) {
      next.close()
      throw error
    }
    this.wiring = next
    before.close()
    before.forward.reconfigure([])
    await credential.change(next.providers)
    await recorder.event({
      kind: 'config.reloaded',
      by: 'countersign',
      detail: { revision: next.policy.revision, before: before.policy.revision },
    })
    log.info({ file: loaded.file, policy: next.policy.revision }, 'the configuration was swapped in')
  }

  reloaded(ok: boolean): void {
    this.metrics.reload(ok)
  }

  async close(): Promise<void> {
    this.#closing = true
    this.#expiry.stop()
    await this.#listening?.drain(this.wiring.loaded.config.listen.drain)
    this.foundation.revoke.shutdown()
    await this.wiring.forward.close()
    await this.foundation.credential.close()
    await this.#admin?.close()
    await this.#health?.close()
    this.wiring.close()
    await this.foundation.recorder.close()
    this.#state.close()
  }

  observe(summary: EntrySummary): void {
    const { route, tool, effect, code, status, durationMs, stageMs } = summary
    this.metrics.observe({
      route,
      tool,
      effect,
      code,
      fault: code === null ? null : codes[code].fault,
      statusClass: status === null ? null : `${Math.floor(status / 100)}xx`,
      seconds: durationMs / 1000,
      evalSeconds: stageMs.decide === undefined ? null : stageMs.decide / 1000,
    })
  }

  #healthPort(): Parameters<typeof serve>[1] {
    return makeHealth({
      notReady: () => this.notReady(),
      metrics: () => this.metrics.text(),
      jwks: () => this.foundation.signingKey.publicKeys(),
      ledgerKey: () => this.foundation.recorder.publicKey(),
      introspect: () => this.wiring.introspect,
    })
  }

  #adminPort(): Parameters<typeof serve>[1] {
    const { loaded } = this.wiring
    const { state, recorder, tasks } = this.foundation
    const { admin, task } = loaded.config
    const file = resolve(loaded.folder, admin.key?.file ?? `${dirname(task.state.path)}/admin.key`)
    return makeAdmin({
      key: localKey(file),
      tasks: personTasks(state, tasks),
      clearSensitivity: async (caller, by, reason) => {
        await recorder.event({ kind: 'caller.sensitivity-cleared', caller, by: `person:${by}`, detail: { reason } })
        await state.clearSensitivity(caller)
      },
      tail: (fromSeq, follow, signal) => recorder.tail({ fromSeq, follow, signal }),
      newest: () => recorder.position().seq,
      status: () => ({
        ready: this.notReady().length === 0,
        not_ready: this.notReady(),
        ports: Object.fromEntries(this.ports),
        policy: this.wiring.policy.revision,
        ledger: { position: recorder.position().seq, key: recorder.publicKey() },
        calls: this.#listening?.inFlight ?? 0,
        leases: this.foundation.credential.sizes(),
      }),
    })
  }
}

/** What only a restart can change. */
function places({ config, folder }: Loaded): Readonly<Record<string, string>> {
  const at = (path: string): string => resolve(folder, path)
  return {
    'task.state': at(config.task.state.path),
    'record.ledger': at(config.record.ledger.path),
    admin: config.admin.at,
    'listen.health': config.listen.health.at,
  }
}
