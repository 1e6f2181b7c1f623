import { resolve } from 'node:path'
import { makeMetrics } from './admin/metrics.ts'
import { serve, type Serving } from './admin/serve.ts'
import { placeOf } from './config/catalogue.ts'
import type { Loaded } from './config/load.ts'
import { places, sameStanding } from './config/outdated.ts'
import { declaredAgents } from './config/registration.ts'
import type { Policy } from './decide/in-force.ts'
import { closeFoundation, layFoundation, type Foundation, type InForce, type Surroundings } from './foundation.ts'
import { Lapses, type LapsesOptions } from './lapses.ts'
import { listen, type Listening } from './listen/proxy.ts'
import { listenOptions } from './listeners.ts'
import { measured, measureOf } from './measured.ts'
import type { PolicyFeed } from './policy.ts'
import { policyEvents, PolicyFeeds } from './policy-feeds.ts'
import { adminPort, healthPort } from './ports.ts'
import { notReady } from './readiness.ts'
import type { EntrySummary } from './record/entry.ts'
import { tellStalled } from './stall.ts'
import { watchExpiry } from './task/clock.ts'
import { upstreamIdentity, type Trust } from './trust.ts'
import { wire, type Wiring } from './wire.ts'

/** A running Countersign. */
export interface Sidecar {
  /** Listener name → port; `health` and `admin` among them. */
  readonly ports: ReadonlyMap<string, number>
  readonly ledger: { readonly folder: string; readonly key: string }
  readonly foundation: Foundation
  /** Why calls cannot be served now; empty when they can. */
  notReady(): readonly string[]
  /** Who vouches for whom at present; a reload may replace it. */
  trust(): Trust
  /** Swaps a checked configuration in; rejects, and keeps the old one, when it cannot be wired. */
  reload(loaded: Loaded): Promise<void>
  /** Counts an attempt to reload. */
  reloaded(ok: boolean): void
  /** Drains, takes every lease back, closes the ledger. */
  close(): Promise<void>
}

/** Opens state and ledger, deals with what an earlier process left, wires the stages and listens. Rejects when a part cannot be had. */
export async function openSidecar(loaded: Loaded, around: Surroundings): Promise<Sidecar> {
  let house: House | null = null
  const foundation = await layFoundation(loaded, around, () => house?.inForce ?? null)
  try {
    house = new House(loaded, around, foundation)
    return await house.open()
  } catch (error) {
    if (house) await house.close()
    else await closeFoundation(foundation)
    throw error
  }
}

/** How long a reload waits for new identity sources to load, ms; calls go on under the old ones meanwhile. */
const sourcesGetReady = 5000
/** What a receiver of spans gets for the last of them, ms. */
const spansGrace = 1000

/** The long-lived parts and the wiring in force. */
class House implements Sidecar {
  readonly foundation: Foundation
  readonly ledger: Sidecar['ledger']
  readonly metrics: ReturnType<typeof makeMetrics>
  /** Written by `reload` only; a call takes it once. */
  wiring: Wiring
  /** Of that wiring; made with it, for every call looks at it. */
  inForce: InForce
  readonly #expiry: ReturnType<typeof watchExpiry>
  readonly #lapses: Lapses
  readonly #feeds: PolicyFeeds
  /** The trust of a configuration that is being swapped in; null: that of the wiring in force counts. */
  #arriving: Trust | null = null
  /** The last judgement of all open work. */
  #judged: Promise<unknown> = Promise.resolve()
  #listening: Listening | null = null
  readonly #rehearse: Surroundings['rehearse']
  #admin: Serving | null = null
  #health: Serving | null = null
  #closing = false

  constructor(loaded: Loaded, { version, rehearse }: Surroundings, foundation: Foundation) {
    this.#rehearse = rehearse
    const { clock, log, recorder, state, tasks } = foundation
    this.foundation = foundation
    this.ledger = { folder: resolve(loaded.folder, loaded.config.record.ledger.path), key: recorder.publicKey() }
    this.wiring = wire(loaded, foundation)
    this.inForce = this.#enforced(this.wiring)
    const of = (): ReturnType<LapsesOptions['of']> => ({ config: this.wiring.loaded.config, agents: this.wiring.agents.agents })
    this.#lapses = new Lapses({ clock, log, of, ended: () => this.#judgeAgain('lapse') })
    const ready = (): boolean => this.notReady().length === 0
    const running = {
      version,
      foundation,
      wiring: () => this.wiring,
      lapses: () => this.#lapses.list(),
      inFlight: () => this.inFlight,
      share: () => this.#listening?.share ?? 1,
      ready,
    }
    this.metrics = makeMetrics(measured(running))
    this.#feeds = new PolicyFeeds(foundation, () => upstreamIdentity(this.#arriving ?? this.wiring.trust, clock))
    foundation.policy.watch(
      policyEvents({
        recorder,
        log,
        told: (event) => this.metrics.event(event.kind),
        failed: (reason) => this.metrics.policy.failed(reason),
        changed: (next, before) => this.#policyChanged(next, before),
      }),
    )
    this.#expiry = watchExpiry({
      state,
      clock,
      every: 1000,
      expire: (row) => tasks.expire(row),
      expireGrant: (grant) => foundation.delegation.expire(grant),
      failed: (error, task) =>
        log.error({ task, cause: error instanceof Error ? error.message : 'unknown' }, 'a task or grant could not be ended'),
    })
  }

  async open(): Promise<Sidecar> {
    const { approvalNotices, credential, notices, recorder } = this.foundation
    const { loaded, providers, notifiers, telling, sinks } = this.wiring
    await recorder.changeSinks(sinks)
    notices.change(notifiers)
    await credential.change(providers)
    await credential.sweep()
    await this.foundation.kills.resume()
    await this.foundation.killFile?.start()
    await this.#expiry.sweep()
    await this.foundation.approvals.sweep()
    this.foundation.approvals.start()
    await approvalNotices.change(telling)
    const keep = await this.#declare(loaded)
    keep()
    this.#lapses.tell()
    await tellStalled(loaded, this.foundation, (kind) => this.metrics.event(kind))
    await this.#feeds.start(loaded)
    this.#health = await serve(placeOf(loaded.config.listen.health.at), healthPort(this))
    this.#admin = await serve(placeOf(loaded.config.admin.at), adminPort(this))
    await this.#rehearse?.(this.foundation)
    this.#listening = await listen(listenOptions(this.wiring, this.foundation, (call) => this.wiring.handle(call)))
    return this
  }

  get ports(): ReadonlyMap<string, number> {
    return new Map([...(this.#listening?.ports ?? []), ['admin', this.#admin?.port ?? 0], ['health', this.#health?.port ?? 0]])
  }

  /** Calls that have begun and not ended. */
  get inFlight(): number {
    return this.#listening?.inFlight ?? 0
  }

  notReady(): readonly string[] {
    return notReady({
      closing: this.#closing,
      listening: this.#listening,
      foundation: this.foundation,
      trust: this.wiring.trust,
    })
  }

  trust(): Trust {
    return this.wiring.trust
  }

  async reload(loaded: Loaded): Promise<void> {
    const before = this.wiring
    const [wanted, present] = [places(loaded.config), places(before.loaded.config)]
    const fixed = Object.keys(wanted).filter((part) => wanted[part] !== present[part])
    if (fixed.length > 0) throw new Error(`a change of ${fixed.join(', ')} takes a restart; the configuration before stays in force`)
    const { credential, notices, recorder, log, policy } = this.foundation
    const revision = policy.revision
    const next = wire(loaded, this.foundation, before)
    let feed: PolicyFeed | null = null
    let keep = (): void => {}
    try {
      await next.trust.settled(sourcesGetReady)
      this.#arriving = next.trust
      feed = await this.#feeds.prepare(loaded)
      keep = await this.#declare(loaded)
      await this.#listening?.reconfigure(listenOptions(next, this.foundation, (call) => this.wiring.handle(call)))
    } catch (error) {
      await this.#feeds.drop(feed)
      next.close(before)
      throw error
    } finally {
      this.#arriving = null
    }
    this.wiring = next
    this.inForce = this.#enforced(next)
    keep()
    this.#lapses.tell()
    const looked = this.#feeds.swap(feed, loaded)
    if (!sameStanding(loaded.config, before.loaded.config)) this.#judgeAgain('configuration')
    this.foundation.watchdog.setStall(loaded.config.decide.evaluation.stall)
    before.close(next)
    before.forward.reconfigure([])
    notices.change(next.notifiers)
    await this.foundation.approvalNotices.change(next.telling)
    await credential.change(next.providers)
    await recorder.changeSinks(next.sinks)
    await looked
    await recorder.event({
      kind: 'config.reloaded',
      by: 'countersign',
      detail: { revision: policy.revision, before: revision },
    })
    await this.#judged
    log.info({ file: loaded.file, policy: policy.revision }, 'the configuration was swapped in')
  }

  reloaded(ok: boolean): void {
    this.metrics.reload(ok)
  }

  async close(): Promise<void> {
    this.#closing = true
    this.#expiry.stop()
    for (const waits of [this.foundation.holds, this.foundation.line]) waits.close()
    this.foundation.approvals.close()
    await this.foundation.killFile?.close()
    this.#lapses.stop()
    await this.#listening?.drain(this.wiring.loaded.config.listen.drain)
    this.foundation.revoke.shutdown()
    await this.foundation.kills.settled()
    await this.wiring.forward.close()
    await this.foundation.credential.close() // upstreams may still ask about leases while they are taken back
    await this.#judged
    for (const port of [this.#admin, this.#health]) await port?.close()
    this.wiring.close(null)
    await this.#feeds.close()
    await this.foundation.notices.close()
    await this.foundation.approvalNotices.close()
    await this.foundation.watchdog.close()
    await this.foundation.tracing?.close(spansGrace)
    await this.foundation.recorder.close()
    this.foundation.state.close()
  }

  /** Writes down what files declare; what it resolves with keeps that, once it is in force. */
  #declare(loaded: Loaded): Promise<() => void> {
    const { registrations, state, log } = this.foundation
    const declared = declaredAgents(loaded)
    for (const { agent, file } of declared) {
      if (!state.registrations.registration(agent.id)?.declared) continue
      log.warn(
        { code: 'CS1607', agent: agent.id, file },
        'an agent that the admin API registered is declared in a file now: the file counts',
      )
    }
    return registrations.declare(declared)
  }

  /** In the tick of the swap: what is still open was judged by the policy before. */
  #policyChanged(_next: Policy, before: Policy | null): void {
    if (before !== null) this.#judgeAgain('policy')
  }

  /** What is open was permitted by what held before: it goes on only if what holds now lets it. */
  #judgeAgain(cause: 'policy' | 'configuration' | 'lapse'): void {
    this.#judged = this.foundation.rejudge({ cause })
  }

  #enforced(wiring: Wiring): InForce {
    const { agents, trust } = wiring
    return {
      ...wiring,
      own: () => trust.own,
      registered: (caller) => agents.find(caller) !== null,
      observe: (summary) => this.#observe(summary),
      told: (event) => this.metrics.told(event),
      delivered: (notifier, delivery) => this.metrics.notice(notifier, delivery),
      slow: (entrypoint) => this.metrics.slow(entrypoint),
      echoed: (found) => this.metrics.echoed(found),
      spansDropped: (count) => this.metrics.spansDropped(count),
    }
  }

  #observe(summary: EntrySummary): void {
    this.metrics.observe(measureOf(summary))
  }
}
