import type { Foundation } from './foundation.ts'
import type { Listening } from './listen/proxy.ts'
import type { Trust } from './trust.ts'

/** What readiness hangs on. */
export interface Readiness {
  readonly closing: boolean
  readonly listening: Pick<Listening, 'lapsed'> | null
  readonly foundation: Pick<Foundation, 'recorder' | 'policy'>
  readonly trust: Pick<Trust, 'sources'>
}

/** Why calls cannot be served now; empty when they can. */
export function notReady({ closing, listening, foundation: { recorder, policy }, trust }: Readiness): readonly string[] {
  const why: string[] = []
  if (closing) why.push('shutting down')
  if (listening === null) why.push('not listening yet')
  for (const name of listening?.lapsed ?? []) why.push(`the listener ${name} has no certificate to serve with`)
  if (recorder.failed) why.push('the ledger cannot be written')
  const { lapsed } = policy.status()
  if (lapsed !== null) why.push(`no policy judges: ${lapsed}`)
  if (!trust.sources.some((source) => source.ready())) why.push('no identity source has keys yet')
  return why
}
