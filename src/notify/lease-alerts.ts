/** Tells people of credentials that cannot be taken back. */
import type { Answerable, CallNotice } from '../approve/oblige.ts'
import type { LeaseEvent } from '../credential/lease-event.ts'
import type { LeaseRow } from '../state/leases.ts'

export interface LeaseAlertsOptions {
  readonly notify: (notice: CallNotice) => Promise<void>
  readonly row: (lease: string) => LeaseRow | null
  /** Names of notifiers. */
  readonly to: () => readonly string[]
  /** Whoever answers now for the agent, the route and the provider of a lease. */
  readonly answering: (row: LeaseRow) => Answerable
  /** Epoch ms. */
  readonly clock: () => number
  readonly log: { error(fields: object, message: string): void }
}

/** What is told, by the kind of the event. */
const said: Readonly<Partial<Record<LeaseEvent['kind'], string>>> = {
  'lease.revocation-failed': 'could not be taken back yet',
  'lease.revocation-overdue': 'should have been taken back by now',
  'lease.orphaned': 'cannot be taken back by anybody: only its expiry ends it',
}

const minute = 60_000

/**
 * One alert for each provider and kind in a minute; the next one says how many leases it was about besides. So an issuer that is down while
 * a thousand tasks end fills nobody's inbox; the ledger has a line for each lease.
 */
export class LeaseAlerts {
  readonly #options: LeaseAlertsOptions
  /** Kind and provider → when it was told (epoch ms), and how many were not since. Written by `told`. */
  readonly #last = new Map<string, { readonly at: number; more: number }>()

  constructor(options: LeaseAlertsOptions) {
    this.#options = options
  }

  /** To be called once the event is in the ledger. Never throws, and nobody waits for it. */
  told(event: LeaseEvent): void {
    const words = said[event.kind]
    const row = words === undefined ? null : this.#options.row(String(event.detail['id']))
    if (words === undefined || row === null) return
    const now = this.#options.clock()
    const key = `${event.kind}\n${row.provider}`
    const last = this.#last.get(key)
    if (last !== undefined && now >= last.at && now - last.at < minute) {
      last.more++
      return
    }
    this.#last.set(key, { at: now, more: 0 })
    const more = last === undefined || last.more === 0 ? '' : `; ${last.more} more of this provider since the last alert`
    this.#tell(row, `credential ${row.id} of provider ${row.provider} ${words}${whyOf(event)}${more}`)
  }

  #tell(row: LeaseRow, message: string): void {
    const { notify, to, answering, log } = this.#options
    const { id, task, caller, tool } = row
    const about = { message, effect: 'deny', decision: id, task, caller, tool, owners: answering(row), by: 'countersign' } as const
    for (const one of to())
      notify({ to: one, ...about }).catch(() =>
        log.error({ lease: id, notifier: one }, 'an alert about a lease could not be written to the ledger'),
      )
  }
}

/** Why it failed, in the words of the provider that asked: never the issuer's. */
function whyOf({ detail }: LeaseEvent): string {
  const why = detail['why']
  return typeof why === 'string' ? `: ${why}` : ''
}
