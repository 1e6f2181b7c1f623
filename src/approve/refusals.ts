/** What an agent is told of its approvals: a handle and what to do, never who may answer nor what they said. */
import type { Call } from '../listen/call.ts'
import { Refusal, type ApprovalHandle } from '../refusal.ts'
import type { ApprovalRow } from '../state/approvals.ts'

/** Nobody has answered yet. `why`: what policy asks for. `call` is null where a person asks, by the admin port. */
export function required(call: Call | null, why: readonly { readonly message_agent: string }[], row: ApprovalRow): Refusal {
  const reasons = [...new Set(why.map(({ message_agent }) => message_agent))]
  return new Refusal('approve.required', { reasons, retry: 'after-approval', approval: handle(call, row) })
}

/** How long a no and a silence count, ms. */
export interface Decay {
  readonly declined: number
  readonly unanswered: number
}

/** The refusal of a call that people said no to, or nothing, a short while ago; null: it may be asked. `now` in epoch ms. */
export function declinedOrLate(call: Call | null, row: ApprovalRow, now: number, { declined, unanswered }: Decay): Refusal | null {
  const { state, closed, granted } = row
  if (closed === null) return null
  const approval = handle(call, row)
  const takenBack = state === 'withdrawn' && closed.by.startsWith('person:')
  if ((state === 'declined' || takenBack) && now < closed.at + declined)
    return new Refusal('approve.declined', { reasons: [sentences[state]], approval })
  // one that was approved and not used in time may be asked for again at once
  const wait = closed.at + unanswered - now
  if (state !== 'expired' || granted !== null || wait <= 0) return null
  const headers = { 'Retry-After': String(Math.max(1, Math.ceil(wait / 1000))) }
  return new Refusal('approve.expired', { reasons: [sentences.expired], retry: 'later', headers, approval })
}

/** What became of an approval, as its agent may know it. */
export const sentences: Readonly<Record<ApprovalRow['state'], string>> = {
  pending: 'a person has to answer',
  approved: 'make the same call again',
  declined: 'a person declined it',
  expired: 'nobody answered in time',
  redeemed: 'it was used',
  withdrawn: 'it was taken back',
}

/** Where the agent asks how it stands: on the shared port. A person asks on the admin port. */
function handle(call: Call | null, { id, expires }: ApprovalRow): ApprovalHandle {
  return { id, status: call === null ? `/v1/approvals/${id}` : statusOf(call, id), expires: new Date(expires).toISOString() }
}

function statusOf({ scheme, host, address }: Call, id: string): string {
  const path = `/.countersign/v1/approvals/${id}`
  // a route of its own port or Host is all that is served there
  return address.prefix === '' ? path : `${scheme}://${host}${path}`
}
