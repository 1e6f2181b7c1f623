/** What judges: one activated policy, whatever runs it. */

import type { Framed } from './frame.ts'

/** What may be asked of policy. A bundle answers the first two; the others are there or not, see `Engine.answers`. */
export type Entrypoint =
  | 'countersign/decision'
  | 'countersign/task'
  | 'countersign/continue'
  | 'countersign/response'
  | 'system/log/mask'
  | 'system/log/drop'

/** All of them; what is numbered by it keeps this order. */
export const entrypoints: readonly Entrypoint[] = [
  'countersign/decision',
  'countersign/task',
  'countersign/continue',
  'countersign/response',
  'system/log/mask',
  'system/log/drop',
]

/** One activated policy. Synchronous and free of side effects: the same input gives the same result. */
export interface Engine {
  /** Revision of the policy, as its bundle states it. */
  readonly revision: string
  /** Whether the policy has this entrypoint. */
  answers(entrypoint: Entrypoint): boolean
  /**
   * Evaluates one entrypoint on JSON text, which may come in its parts too.
   * Answers the result document already parsed (`undefined` when policy gave none), or throws EngineFailure.
   */
  evaluate(entrypoint: Entrypoint, inputText: string, framed?: Framed): unknown
  /** What `evaluate` would answer, where that is known without an evaluation; throws what it would. Absent: nothing ever is. */
  known?(entrypoint: Entrypoint, framed: Framed): { readonly document: unknown } | undefined
}

/** The engine could not evaluate; the call ends as `decide.unavailable`. */
export class EngineFailure extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'EngineFailure'
  }
}
