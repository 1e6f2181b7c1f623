/** What people are asked, wired to what their answers allow and to who waits for them; it outlives a configuration. */
import { Approvals } from './approve/approvals.ts'
import { makeChainOf } from './approve/chain.ts'
import { Holds } from './approve/hold.ts'
import { covers } from './approve/objective.ts'
import type { AuthorityParts, Authority } from './authority.ts'
import type { LedgerEvent } from './record/record.ts'
import { readLine } from './task/intent.ts'
import { Turns } from './task/turns.ts'
import type { ApprovalRow } from './state/approvals.ts'

export interface ApprovingParts extends Pick<Authority, 'revoke' | 'credential'> {
  readonly event: (event: LedgerEvent) => Promise<void>
}

export function openApprovals(parts: AuthorityParts, more: ApprovingParts): Pick<Authority, 'approvals' | 'holds'> {
  const { state, clock, newId, log, inForce } = parts
  const approvals = new Approvals({
    book: state.approvals,
    clock,
    newId,
    turns: new Turns(),
    task: (id) => state.task(id),
    chainOf: makeChainOf((id) => state.task(id)),
    owners: (caller) => ({ ...inForce()?.standing.agent(caller)?.owners }),
    event: more.event,
    revoke: (row) => revoke(row, more),
    readLine,
    log,
  })
  const holds = new Holds({
    watch: (listener) => approvals.watch(listener),
    read: (id) => approvals.read(id),
    most: () => inForce()?.loaded.config.approve.held_per_caller ?? 0,
  })
  return { approvals, holds }
}

/** What was allowed by it is cut at once; then every lease is taken back that a call under it may have used. */
async function revoke(row: ApprovalRow, { revoke: open, credential }: ApprovingParts): Promise<void> {
  const { id, task, tool, objective } = row
  open.approvalWithdrawn(id)
  const used = (lent: string): boolean => (objective === null ? lent === tool : covers(objective, lent))
  const lent = credential.book.ofTask(task).filter((held) => used(held.row.tool))
  await Promise.all(lent.map((held) => credential.takeBack(held.row.id, 'approval', {})))
}
