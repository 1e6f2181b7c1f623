/** The policy in force: which one judges now, and whether it still may. It outlives configurations; sources put bundles into it. */

import type { Order } from './bundle/order.ts'
import { EngineFailure, type Engine } from './engine.ts'

/** One activated policy and where it came from. */
export interface Policy {
  readonly engine: Engine & { close(): void }
  readonly revision: string
  /** SHA-256 of the bundle, hex. */
  readonly digest: string
  /** `content` of the bundle: packed or signed anew it is the same policy. */
  readonly content: string
  /** What the engine is made of besides the bundle, as text. */
  readonly made: string
  /** Path or URL. */
  readonly source: string
  /** True when it came from what was kept on disk, not from the source itself. */
  readonly kept: boolean
  /** Id of the key that signed it; null when nobody did. */
  readonly signedBy: string | null
  readonly order: Order | null
  /** Epoch ms. */
  readonly activated: number
}

/** How long a policy may judge. */
export interface Validity {
  /** When its source last confirmed it, epoch ms. */
  readonly confirmed: number
  /** Ms since then. */
  since(): number
  /** Why it may not judge any more; null while it may. */
  lapsed(): string | null
}

/** Why the newest look at a source, or the newest bundle, came to nothing. */
export interface PolicyFault {
  /** unreachable: the source gave none. bundle: malformed or not signed as it must be. backwards: older than one before. age: signed too long ago. activation: the engine would not take it. */
  readonly reason: 'unreachable' | 'bundle' | 'backwards' | 'age' | 'activation'
  readonly message: string
  /** Of the bundle; null when there was none. */
  readonly sha256: string | null
  /** Null when it could not be read or is not believed. */
  readonly revision: string | null
  readonly source: string
}

/** For admin status, metrics and readiness. */
export interface PolicyStatus {
  readonly policy: Omit<Policy, 'engine' | 'made' | 'content'> | null
  readonly mark: string | null
  /** Epoch ms. */
  readonly confirmed: number | null
  /** Ms since it was confirmed. */
  readonly age: number | null
  /** Why nothing judges at present; null when a policy does. */
  readonly lapsed: string | null
  readonly fault: PolicyFault | null
}

/** Who is told. Called in the tick of the change; must not throw. */
export interface PolicyWatcher {
  /** Another policy is in force; calls that were judged keep theirs. */
  changed(next: Policy, before: Policy | null): void
  /** A look or a bundle came to nothing. `first`: not said of this bundle, or of this trouble, before. */
  failed(fault: PolicyFault, first: boolean): void
  /** The policy in force may not judge any more; told once until it may again. */
  stale(policy: Policy, why: string): void
}

const absent = 'no policy has been activated yet'

const nobody: PolicyWatcher = { changed: () => undefined, failed: () => undefined, stale: () => undefined }

/** Holds one policy and swaps it whole: what judges is looked up once per judgement, so no judgement spans two. */
export class PolicyInForce {
  #policy: Policy | null = null
  #validity: Validity | null = null
  #mark: string | null = null
  #fault: PolicyFault | null = null
  #stale = false
  #watcher: PolicyWatcher = nobody

  /** One watcher; the one before is told no more. */
  watch(watcher: PolicyWatcher): void {
    this.#watcher = watcher
  }

  /** What judges now. Throws EngineFailure when nothing does. */
  engine(): Engine {
    const policy = this.#policy
    if (policy === null) throw new EngineFailure(this.#fault === null ? absent : `${absent}: ${this.#fault.message}`)
    const lapsed = this.lapsed()
    if (lapsed !== null) throw new EngineFailure(lapsed)
    return policy.engine
  }

  get policy(): Policy | null {
    return this.#policy
  }

  /** Revision in force; empty while there is none. */
  get revision(): string {
    return this.#policy?.revision ?? ''
  }

  /**
   * Puts a policy into force, with the mark of its source. The one before lets go of what it keeps ready; calls that it judged keep it.
   * The same content again is not a change, however it was packed or signed: its new origin and validity count, the engine and the name
   * that its decisions stand under stay. So who serves bundles cannot have all open work judged again as often as he likes.
   */
  take(next: Policy, validity: Validity | null, mark: string | null): void {
    const before = this.#policy
    const same = before !== null && before.content === next.content && before.made === next.made
    this.#policy = same ? { ...next, engine: before.engine, revision: before.revision, activated: before.activated } : next
    this.#validity = validity
    this.#fault = null
    this.#mark = mark
    if (same && next.engine !== before.engine) next.engine.close()
    if (same) return void this.lapsed()
    this.#watcher.changed(next, before)
    before?.engine.close()
    this.lapsed()
  }

  /** Its source still has it. */
  confirmed(mark: string | null): void {
    this.#mark = mark
    this.#fault = null
    this.lapsed()
  }

  failed(fault: PolicyFault, first: boolean): void {
    this.#fault = fault
    this.#watcher.failed(fault, first)
    this.lapsed()
  }

  /** Why the policy may not judge; null while it may, and while there is none. Whoever asks first after it has lapsed has it told. */
  lapsed(): string | null {
    const why = this.#validity?.lapsed() ?? null
    const told = this.#stale
    this.#stale = why !== null
    if (why !== null && !told && this.#policy !== null) this.#watcher.stale(this.#policy, why)
    return why
  }

  status(): PolicyStatus {
    const policy = this.#policy
    const validity = this.#validity
    return {
      policy: policy === null ? null : shown(policy),
      mark: this.#mark,
      confirmed: validity?.confirmed ?? null,
      age: validity?.since() ?? null,
      lapsed: policy === null ? absent : this.lapsed(),
      fault: this.#fault,
    }
  }

  close(): void {
    this.#policy?.engine.close()
  }
}

function shown({ engine: _engine, made: _made, content: _content, ...rest }: Policy): Omit<Policy, 'engine' | 'made' | 'content'> {
  return rest
}
