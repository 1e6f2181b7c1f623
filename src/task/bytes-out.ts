/** `bytes_out`: what a body that streams with no announced length spends, counted before each piece of it leaves. */
import { Refusal } from '../refusal.ts'
import type { State } from '../state/state.ts'
import type { Task } from './task.ts'

/** Takes the bytes that are about to leave; gives why they must not. */
export type Meter = (bytes: number) => Refusal | null

/** The meter of a call under this task; null where nobody limited what it may send. A length that is known is debited with the permit. */
export function bytesMeter(state: Pick<State, 'spend'>, { row }: Task): Meter | null {
  if (!Object.hasOwn(row.intent.budget, 'bytes_out')) return null
  return (bytes) => {
    const over = state.spend(row.id, { bytes_out: bytes })
    return over === null ? null : new Refusal('task.budget', { reasons: ['its bytes out are spent'], detail: over })
  }
}
