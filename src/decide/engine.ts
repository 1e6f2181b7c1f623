/** What judges: one activated policy, whatever runs it. */

export type Entrypoint = 'countersign/decision' | 'countersign/task'

/** One activated policy. Synchronous and free of side effects: the same input gives the same result. */
export interface Engine {
  /** Revision of the policy, as its bundle states it. */
  readonly revision: string
  /**
   * Evaluates one entrypoint on JSON text.
   * Answers the result document already parsed (`undefined` when policy gave none), or throws EngineFailure.
   */
  evaluate(entrypoint: Entrypoint, inputText: string): unknown
}

/** The engine could not evaluate; the call ends as `decide.unavailable`. */
export class EngineFailure extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'EngineFailure'
  }
}
