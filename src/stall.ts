import { resolve } from 'node:path'
import type { Loaded } from './config/load.ts'
import { markerOf, readMarker, removeMarker } from './decide/stalled.ts'
import type { Foundation } from './foundation.ts'

/**
 * Writes `policy.stalled` when an earlier process was ended for an evaluation that did not end. What that process left is removed once
 * it is in the ledger; rejects, and keeps it, when it cannot be written.
 */
export async function tellStalled(
  { config, folder }: Loaded,
  { recorder, log }: Pick<Foundation, 'recorder' | 'log'>,
  told: (kind: string) => void,
): Promise<void> {
  const marker = markerOf(resolve(folder, config.task.state.path))
  const stalled = readMarker(marker)
  if (stalled === null) return
  const kind = 'policy.stalled'
  const { digest, ...detail } = stalled
  await recorder.event({ kind, by: 'countersign', detail: { ...detail, ...(digest !== undefined && { sha256: digest }) } })
  told(kind)
  log.error({ code: 'CS1713', stalled }, 'the process before this one was ended: an evaluation of policy did not end')
  removeMarker(marker)
}
