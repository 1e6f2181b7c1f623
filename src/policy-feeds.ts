/** The source of policy at work, and its change with a configuration. */
import type { Loaded } from './config/load.ts'
import type { Policy, PolicyWatcher } from './decide/in-force.ts'
import type { Foundation } from './foundation.ts'
import type { UpstreamIdentity } from './forward/svid.ts'
import { openFeed, tellUnjudged, type PolicyFeed } from './policy.ts'
import type { LedgerEvent } from './record/record.ts'

/** Owns the feed of the configuration in force. A source that a new configuration did not change goes on living. */
export class PolicyFeeds {
  readonly #on: Foundation
  readonly #identity: () => UpstreamIdentity | null
  #current: PolicyFeed | null = null

  /** `identity`: asked for each connection to a bundle server with `tls: svid`. */
  constructor(on: Foundation, identity: () => UpstreamIdentity | null) {
    this.#on = on
    this.#identity = identity
  }

  /** The first source. A server that cannot be had makes nothing fail: nothing judges until it can. Rejects for a path without a good bundle, and with `record.failed`. */
  async start(loaded: Loaded): Promise<void> {
    const next = openFeed(loaded, this.#on, this.#identity, null)
    this.#current = next
    try {
      await next.feed.prepare({ must: false })
    } catch (error) {
      throw explained(error)
    }
    // what cannot be written down must not begin
    await this.#on.recorder.event({ kind: 'policy.source', by: 'countersign', detail: { source: next.feed.kind } })
    next.feed.begin()
  }

  /** Gets the source of another configuration ready to be swapped in. Rejects, with nothing changed, when it gives nothing that may judge. */
  async prepare(loaded: Loaded): Promise<PolicyFeed> {
    const next = openFeed(loaded, this.#on, this.#identity, this.#current)
    if (next === this.#current) return next
    // both may keep what they have in one place, and what comes in between must not be undone
    await this.#current?.feed.hold()
    try {
      await next.feed.prepare({ must: true })
    } catch (error) {
      await this.drop(next)
      throw explained(error)
    }
    return next
  }

  /**
   * Puts it into force, in this tick. A source that stays is looked at again instead, for whoever reloads may have replaced what is there;
   * resolves when a path was. Never rejects.
   */
  swap(next: PolicyFeed, loaded: Loaded): Promise<void> {
    const before = this.#current
    if (next === before) {
      const { policy, log } = this.#on
      // whoever judges was looked at when it was opened; the tools may be new
      if (policy.policy !== null) tellUnjudged(policy.policy.engine, loaded, log)
      const looked = next.feed.look()
      return next.feed.kind === 'url' ? Promise.resolve() : looked
    }
    this.#current = next
    next.feed.begin()
    return before?.feed.close() ?? Promise.resolve()
  }

  /** Lets go of one that was got ready for nothing. */
  async drop(next: PolicyFeed | null): Promise<void> {
    if (next === null || next === this.#current) return
    await next.feed.close()
    this.#current?.feed.release()
  }

  async close(): Promise<void> {
    await this.#current?.feed.close()
    this.#on.policy.close()
  }
}

function explained(error: unknown): Error {
  return new Error(`decide.bundle: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
}

export interface PolicyEventOptions extends Pick<Foundation, 'recorder' | 'log'> {
  /** Counts an event. */
  readonly told: (event: LedgerEvent) => void
  readonly failed: (reason: Parameters<PolicyWatcher['failed']>[0]['reason']) => void
  /** After each swap, in its tick. */
  readonly changed: (next: Policy, before: Policy | null) => void
}

/** Writes what happens to the policy into the ledger, ahead of the first decision by another one. */
export function policyEvents({ recorder, log, told, failed, changed }: PolicyEventOptions): PolicyWatcher {
  const event = (kind: string, detail: LedgerEvent['detail']): void => {
    const line: LedgerEvent = { kind, by: 'countersign', detail }
    told(line)
    recorder.event(line).catch((error: unknown) => {
      log.error({ kind, why: error instanceof Error ? error.message : 'unknown' }, 'an event of the policy could not be recorded')
    })
  }
  return {
    changed(next, before) {
      const { revision, digest, source, kept, signedBy, order } = next
      const detail = { revision, before: before?.revision ?? null, sha256: digest, source, signed_by: signedBy, order }
      event('policy.activated', { ...detail, ...(kept ? { kept } : {}) })
      log.info(detail, kept ? 'the policy that was kept is in force' : 'a policy is in force')
      changed(next, before)
    },
    failed({ reason, message, sha256, revision, source }, first) {
      failed(reason)
      if (first && sha256 !== null) event('policy.rejected', { why: message, reason, revision, sha256, source })
    },
    stale({ revision, digest, source }, why) {
      event('policy.stale', { why, revision, sha256: digest, source })
      log.error({ revision, source, why }, 'the policy may not judge any more: calls are refused')
    },
  }
}
