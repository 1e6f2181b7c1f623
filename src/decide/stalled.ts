/** What the watchdog of an earlier process left behind. */

import { readFileSync, rmSync } from 'node:fs'

/** The evaluation that a process was ended for. */
export interface Stalled {
  readonly entrypoint: string
  readonly revision: string
  /** SHA-256 of the policy bundle. */
  readonly digest: string
  /** Epoch ms when it was first seen. */
  readonly since: number
  /** How long it was watched, ms. */
  readonly ms: number
}

/** Where the marker of a state file stands. */
export function markerOf(state: string): string {
  return `${state}.stalled`
}

/** Reads a marker; null when there is none. What a cut-off write left of one is taken as far as it goes. */
export function readMarker(path: string): Partial<Stalled> | null {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
  try {
    const { entrypoint, revision, digest, since, ms }: Partial<Record<keyof Stalled, unknown>> = JSON.parse(text) ?? {}
    return {
      ...(typeof entrypoint === 'string' && { entrypoint: entrypoint.slice(0, 64) }),
      ...(typeof revision === 'string' && { revision: revision.slice(0, 128) }),
      ...(typeof digest === 'string' && { digest: digest.slice(0, 64) }),
      ...(typeof since === 'number' && { since }),
      ...(typeof ms === 'number' && { ms }),
    }
  } catch {
    return {}
  }
}

export function removeMarker(path: string): void {
  rmSync(path, { force: true })
}
