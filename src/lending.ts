/** Leases, wired to who is told of them; it outlives a configuration. */
import type { Answerable, CallNotice } from './approve/oblige.ts'
import type { AuthorityParts } from './authority.ts'
import { makeCredential, type CredentialOptions, type CredentialStage } from './credential/lend.ts'
import { Permit } from './decide/permit.ts'
import type { InForce } from './foundation.ts'
import { LeaseAlerts } from './notify/lease-alerts.ts'
import { ledgerOnly } from './notify/registry.ts'
import type { LedgerEvent } from './record/record.ts'
import type { LeaseRow } from './state/leases.ts'

export interface LendingParts extends Pick<CredentialOptions, 'subjectToken' | 'issued'> {
  readonly event: (event: LedgerEvent) => Promise<void>
  readonly notify: (notice: CallNotice) => Promise<void>
}

/** The credential stage without providers yet; what cannot be taken back is told to people. */
export function openLending(parts: AuthorityParts, { event, notify, ...more }: LendingParts): CredentialStage {
  const { state, seal, clock, newId, log, inForce } = parts
  const alerts = new LeaseAlerts({
    notify,
    row: (id) => state.lease(id),
    to: () => alerted(inForce()),
    answering: (row) => answering(row, inForce()),
    clock,
    log,
  })
  return makeCredential({
    providers: new Map(),
    state,
    seal,
    clock,
    newId,
    log,
    within: () => inForce()?.loaded.config.credential.revocation.within ?? Number.POSITIVE_INFINITY,
    check: (permit) => Permit.check(permit),
    event: async (told) => {
      await event(told)
      alerts.told(told)
    },
    ...more,
  })
}

/** Those that the configuration names, else every notifier there is, else the ledger. */
function alerted(now: InForce | null): readonly string[] {
  if (now === null) return [ledgerOnly]
  const { credential, decide } = now.loaded.config
  const all = Object.keys(decide.notifiers)
  return credential.revocation.notify ?? (all.length === 0 ? [ledgerOnly] : all)
}

function answering(row: LeaseRow, now: InForce | null): Answerable {
  const { business = null, security = null, incident = null } = now?.standing.agent(row.caller)?.owners ?? {}
  const route = now?.standing.again.lease(row)?.route.owner ?? null
  const credential = now?.loaded.config.credential.providers[row.provider]?.owner ?? null
  return { business, security, incident, route, credential }
}
