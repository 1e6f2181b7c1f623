/** What was approved, by whom and until when: once that has lapsed, it is refused. */
import { Refusal } from '../refusal.ts'
import type { Route } from './route.ts'
import type { Tool } from './tools.ts'

/** A person's or a team's word for a route, a tool or a credential. */
export interface Approval {
  readonly by: string
  /** Epoch ms; null: it does not lapse. */
  readonly until: number | null
}

/** Who answers for the credential of a route. */
export interface Lender {
  readonly owner: string | null
  readonly approved: Approval | null
}

/**
 * Why a call by this tool may not go on at `now` (epoch ms): an approval that it rests on has lapsed; null when none has.
 * What leads to an upstream is `forward.forbidden-address`, what credentials it `credential.unavailable`: the operator must act.
 */
export function lapsed({ route, tool }: { readonly route: Route; readonly tool: Tool }, now: number): Refusal | null {
  if (isOver(route.approved, now)) return refusal('forward.forbidden-address', 'its route', `route "${route.name}"`, route.approved)
  if (isOver(tool.approved, now)) return refusal('forward.forbidden-address', 'this tool', `tool "${tool.name}"`, tool.approved)
  const lender = route.lender?.approved
  if (isOver(lender, now)) return refusal('credential.unavailable', 'its credential', `provider "${route.credential ?? ''}"`, lender)
  return null
}

function isOver(approval: Approval | null | undefined, now: number): approval is Approval {
  return approval?.until !== undefined && approval.until !== null && approval.until <= now
}

function refusal(
  code: 'forward.forbidden-address' | 'credential.unavailable',
  what: string,
  name: string,
  { by, until }: Approval,
): Refusal {
  const at = until === null ? '' : ` at ${new Date(until).toISOString()}`
  return new Refusal(code, { reasons: [`the approval of ${what} has lapsed`], detail: `the approval of ${name} by ${by} lapsed${at}` })
}
