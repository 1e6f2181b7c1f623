/** Kills, wired: what stops, what is looked up for it, and the file that asks for it. They outlive a configuration. */
import type { Authority, AuthorityParts } from './authority.ts'
import { Covering, killed } from './kill/covering.ts'
import { KillFile } from './kill/kill-file.ts'
import { Kills } from './kill/kills.ts'
import type { LedgerEvent } from './record/record.ts'

export interface Stopping {
  readonly kills: Kills
  /** Looks at nothing until it is started; null: no file asks for kills. */
  readonly killFile: KillFile | null
  /** What each call, task and lease may be stopped by. */
  readonly covering: Covering
}

interface Parts extends Pick<Authority, 'revoke' | 'credential' | 'tasks' | 'approvals'> {
  readonly event: (event: LedgerEvent) => Promise<void>
}

/** Makes all three. Agents and routes are those of the configuration in force. */
export function stoppingOf(on: AuthorityParts, parts: Parts): Stopping {
  const { state, inForce } = on
  const covering = new Covering({
    kills: state.kills,
    task: (id) => state.task(id),
    ancestors: (id) => state.ancestors(id),
    route: (name) => inForce()?.standing.again.route(name) ?? null,
    agent: (caller) => inForce()?.standing.agent(caller) ?? null,
  })
  const killFile = killFileOf(on, { engage: (stop) => kills.engage(stop) }, parts.event)
  const kills: Kills = killsOf(on, parts, covering, killFile)
  // what is stopped, nobody need answer for; what was answered is good again once the kill is lifted
  kills.watch((kill, covered) => {
    parts.approvals
      .stopped(`killed by ${kill.id}: ${kill.reason}`, (row) => covering.ofAsk(row).some(covered))
      .catch((error: unknown) =>
        on.log.error({ kill: kill.id, err: error }, 'a kill is in force, and not all that people were asked for it is closed'),
      )
  })
  return { kills, killFile, covering }
}

function killsOf(on: AuthorityParts, { revoke, credential, tasks, event }: Parts, covering: Covering, file: KillFile | null): Kills {
  const { state, clock, newId, inForce, log } = on
  const every = { limit: Number.MAX_SAFE_INTEGER }
  return new Kills({
    kills: state.kills,
    covering,
    clock,
    newId,
    cut: (kill, covered) => revoke.killed(kill, covered, killed(kill)),
    liveTasks: () => (['pending', 'active', 'paused'] as const).flatMap((each) => state.tasks({ state: each, ...every })),
    endTask: (row, by, cause) => tasks.revoke(row, by, cause),
    leases: () => credential.book.all().map(({ row }) => row),
    place: (row) => inForce()?.standing.again.lease(row) ?? null,
    takeBack: (lease, cause) => credential.takeBack(lease, cause, {}),
    standing: (kill) => (file?.asksFor(kill) === true ? 'the kill file still says so: take the line out first' : null),
    event,
    log,
  })
}

/** What is wrong with the file is loud: somebody believes to have stopped something. */
function killFileOf({ killPath: path, log }: AuthorityParts, kills: Pick<Kills, 'engage'>, event: Parts['event']): KillFile | null {
  if (path === null) return null
  return new KillFile({
    path,
    kills,
    failed: (faults) => {
      if (faults === null) return log.info({ file: path }, 'the kill file can be read again')
      log.error({ file: path, faults }, 'the kill file says something that is not in force')
      event({ kind: 'kill.file-failed', by: `file:${path}`, detail: { faults: faults.slice(0, 16) } }).catch((error: unknown) =>
        log.error({ err: error }, 'what is wrong with the kill file could not be written to the ledger'),
      )
    },
  })
}
