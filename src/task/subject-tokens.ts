/** The tokens that prove on whose behalf tasks act: sealed in the row, or in memory only. */
import { Secret } from '../secret.ts'
import type { Seal, TaskRow } from '../state/state.ts'

export class SubjectTokens {
  readonly #seal: Seal | null
  /** Task id → token, only without a seal. Written by `keep` and `forget`. */
  readonly #kept = new Map<string, Secret>()

  constructor(seal: Seal | null) {
    this.#seal = seal
  }

  /** Text for the row of a task; null: it is to be kept in memory. */
  sealed(task: string, token: Secret): string | null {
    return this.#seal?.seal(token.reveal(), purpose(task)) ?? null
  }

  keep(task: string, token: Secret): void {
    this.#kept.set(task, token)
  }

  /** Null when none was given or it is gone. */
  of(row: TaskRow): Secret | null {
    if (row.subjectToken === null || this.#seal === null) return this.#kept.get(row.id) ?? null
    return new Secret(this.#seal.open(row.subjectToken, purpose(row.id)))
  }

  forget(task: string): void {
    this.#kept.delete(task)
  }
}

function purpose(task: string): string {
  return `task.subject:${task}`
}
