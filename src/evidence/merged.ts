/** The list of what was merged. */
import { isRecord } from '../author/json-path.ts'
import { readCanonical } from './canonical.ts'
import { readCorrelation, type Correlation } from './correlation.ts'

export interface MergedPart {
  /** Name of its ledger. */
  readonly origin: string
  /** `parts/<n>/`. */
  readonly path: string
  /** Of its `manifest.json`, hex. */
  readonly sha256: string
  readonly task: string
}

export interface Merged {
  readonly format: 1
  readonly kind: 'merged'
  /** RFC 3339. */
  readonly made: string
  readonly parts: readonly MergedPart[]
  readonly correlation: Correlation
}

export const mergedPath = 'merged.json'

/** Parts are in the order of their origins, then of their tasks. */
export function isBefore(one: Pick<MergedPart, 'origin' | 'task'>, other: Pick<MergedPart, 'origin' | 'task'>): boolean {
  return one.origin === other.origin ? one.task < other.task : one.origin < other.origin
}

/** Reads `merged.json`; null when it is not of that form, or its parts are not numbered and in order. */
export function readMerged(bytes: Uint8Array): Merged | null {
  const value = readCanonical(bytes)
  if (!isRecord(value) || Object.keys(value).length !== 5 || value['format'] !== 1 || value['kind'] !== 'merged') return null
  const { made, parts } = value
  const correlation = readCorrelation(value['correlation'])
  if (typeof made !== 'string' || !Array.isArray(parts) || parts.length === 0 || correlation === null) return null
  const read: MergedPart[] = []
  for (const [at, part] of (parts as readonly unknown[]).entries()) {
    if (!isRecord(part) || Object.keys(part).length !== 4) return null
    const { origin, path, sha256, task } = part
    if (typeof origin !== 'string' || path !== `parts/${at + 1}/` || typeof sha256 !== 'string' || typeof task !== 'string') return null
    const last = read.at(-1)
    if (last !== undefined && !isBefore(last, { origin, task })) return null
    read.push({ origin, path, sha256, task })
  }
  return { format: 1, kind: 'merged', made, parts: read, correlation }
}
