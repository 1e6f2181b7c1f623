/** What is told of tasks, and who acts on them. */
import type { PausedBy } from '../state/state.ts'

/** An event of a task, as the ledger takes it. */
export interface TaskEvent {
  readonly kind:
    | `task.${'opened' | 'handed-on' | 'paused' | 'resumed' | 'reauthorised' | 'completed' | 'revoked' | 'expired'}`
    | `grant.${'withdrawn' | 'expired'}`
  readonly task: string
  readonly caller: string
  /** A SPIFFE ID, `person:<name>`, `rule:<id>` or `clock`. */
  readonly by: string
  readonly detail: Readonly<Record<string, unknown>>
}

/** Who pauses or ends a task. */
export interface Actor {
  readonly kind: PausedBy
  /** As the ledger names it: a SPIFFE ID, `person:<name>`, `rule:<id>`. */
  readonly name: string
  /** How a person came in; what came by the local key is a name that nobody has proven. */
  readonly method?: string
}

/** Who acts, and how they came in where that was said. */
export interface ActedBy {
  readonly name: string
  readonly method?: string | undefined
}
