import { parseSpiffeId } from '../spiffe-id.ts'
import type { SpiffeId } from '../spiffe-id.ts'
import { messageOf, printable, WorkloadApiFault } from './fault.ts'

/** What the messages of every profile have in common: IDs, keys of bundles, hints. */

/** The answer breaks the specification; the message it came in is discarded (Workload API §4.5). */
export function malformed(why: string): WorkloadApiFault {
  return new WorkloadApiFault('malformed', why)
}

/** A mandatory field with its default value makes the whole message worthless (Workload API §4.5). */
export function mandatory(filled: boolean, field: string): void {
  if (!filled) throw malformed(`the mandatory field ${field} is empty`)
}

/** The ID of a workload: one with a path (X509-SVID §3.1). */
export function workloadId(text: string): SpiffeId {
  const id = spiffeId(text)
  if (id.path === '') throw malformed(`${id.id} is the ID of a trust domain, not of a workload`)
  return id
}

/** The name of the trust domain whose ID is the key of a bundle. */
export function trustDomainKey(text: string): string {
  const id = spiffeId(text)
  if (id.path !== '') throw malformed(`a bundle stands under ${id.id}, which is not the ID of a trust domain`)
  return id.trustDomain
}

/** Of SVIDs with the same hint the first counts (Workload API §5.2.1, §6.2.1, §7.2.1); an empty hint is none. */
export function firstOfEachHint<Svid extends { readonly hint: string }>(svids: readonly Svid[]): readonly Svid[] {
  const seen = new Set<string>()
  return svids.filter(({ hint }) => {
    if (hint === '') return true
    if (seen.has(hint)) return false
    seen.add(hint)
    return true
  })
}

function spiffeId(text: string): SpiffeId {
  try {
    return parseSpiffeId(text)
  } catch (error) {
    throw malformed(`"${printable(text)}" is not a SPIFFE ID: ${messageOf(error)}`)
  }
}
