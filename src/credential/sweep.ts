import { Secret } from '../secret.ts'
import type { LeaseRow } from '../state/leases.ts'
import type { Seal, State } from '../state/state.ts'
import type { CredentialProvider } from './credential.ts'
import { handlePurpose } from './issuing.ts'
import { revokerOf, type LeaseEnds } from './lease-ends.ts'

export interface SweepOptions {
  readonly state: State
  readonly seal: Seal | null
  readonly ends: LeaseEnds
  /** Epoch ms. */
  readonly clock: () => number
  readonly provider: (name: string) => CredentialProvider | undefined
  /** True for leases of this process. */
  readonly known: (lease: string) => boolean
}

/**
 * Deals with the leases of an earlier process. Their values died with it, so none can be used again, whether its task lives on or not:
 * each is revoked when its handle can be opened, left to its expiry when that is all that was ever promised, else recorded as an orphan.
 */
export async function sweep(options: SweepOptions): Promise<void> {
  const rows = await options.state.leases({ states: ['issuing', 'live', 'revoking'] })
  await Promise.all(rows.filter((row) => !options.known(row.id)).map((row) => settle(row, options)))
}

async function settle(row: LeaseRow, { seal, ends, provider, clock }: SweepOptions): Promise<void> {
  const found = provider(row.provider)
  const standing = found?.standing ?? row.revocation === 'discard'
  const revoke = row.revocation === 'issuer' ? revokerOf(found, openHandle(row, seal)) : null
  const cause = row.ending?.cause ?? 'a crash'
  if (row.digest !== null && clock() >= row.expires) return ends.take({ row, revoke, standing, cause })
  // the issuer was being asked when the process died: whether it answered, nobody knows
  if (found === undefined && row.revocation === 'issuer')
    return ends.orphan(row, 'a crash, and its provider is gone from the configuration')
  if (row.state === 'issuing' && revoke === null) return ends.orphan(row, 'a crash while it was issued')
  if (row.revocation === 'issuer' && revoke === null) return ends.orphan(row, 'a crash, and no way to revoke it is left')
  return ends.take({ row, revoke, standing, cause })
}

function openHandle(row: LeaseRow, seal: Seal | null): Secret | null {
  if (row.sealed === null || seal === null) return null
  try {
    return new Secret(seal.open(row.sealed, handlePurpose(row.id)))
  } catch {
    // sealed with another key: there is no way to the handle, and the row will say so
    return null
  }
}
