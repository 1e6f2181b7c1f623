/** Ends tasks, and grants of them, whose time has passed, also when nobody calls. */
import type { GrantRow } from '../state/grants.ts'
import type { State, TaskRow } from '../state/state.ts'

export interface ExpiryOptions {
  readonly state: Pick<State, 'overdueTasks' | 'grants'>
  readonly clock: () => number
  /** Milliseconds between two sweeps. */
  readonly every: number
  /** Ends one task; its failure is told to `failed` and the task is tried again at the next sweep. */
  readonly expire: (row: TaskRow) => Promise<unknown>
  /** Ends one grant of a task that goes on. */
  readonly expireGrant: (grant: GrantRow) => Promise<unknown>
  readonly failed: (error: unknown, task: string) => void
}

export interface ExpiryWatch {
  /** Ends what is overdue now; resolves when all of it was tried. Two sweeps never run at once. */
  sweep(): Promise<void>
  stop(): void
}

/** Sweeps until stopped; its timer does not keep the process alive. */
export function watchExpiry(options: ExpiryOptions): ExpiryWatch {
  let running: Promise<void> | null = null
  const sweep = (): Promise<void> =>
    (running ??= sweepOnce(options).finally(() => {
      running = null
    }))
  const timer = setInterval(() => void sweep(), options.every)
  timer.unref()
  return { sweep, stop: () => clearInterval(timer) }
}

async function sweepOnce({ state, clock, expire, expireGrant, failed }: ExpiryOptions): Promise<void> {
  const overdue = await state.overdueTasks(clock())
  const ids = new Set(overdue.map(({ id }) => id))
  // what was handed on ends with what it came from
  const roots = overdue.filter(({ parent }) => parent === null || !ids.has(parent))
  // side by side: one issuer that is slow to revoke does not keep the next task alive
  await Promise.all(roots.map((row) => expire(row).catch((error: unknown) => failed(error, row.id))))
  // those of a task that has just ended were withdrawn with it
  const late = state.grants.overdue(clock())
  await Promise.all(late.map((grant) => expireGrant(grant).catch((error: unknown) => failed(error, grant.task))))
}
