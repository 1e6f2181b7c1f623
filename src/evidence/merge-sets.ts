/** Puts sets of several ledgers side by side, each as it is. */
import { hash } from 'node:crypto'
import { canonicalText } from './canonical.ts'
import { unconnected, union } from './correlation.ts'
import { EvidenceFault, SetMismatch } from './fault.ts'
import { manifestPath } from './manifest.ts'
import { isBefore, mergedPath, readMerged, type Merged } from './merged.ts'
import { filesUnder, type SetFiles } from './read-set.ts'
import { reportPage } from './report/report.ts'
import { verifyPart, type VerifiedPart } from './verify-part.ts'

/** A set, and what whoever gave it calls it. */
export interface NamedSet {
  readonly name: string
  readonly files: SetFiles
}

interface Part extends VerifiedPart, NamedSet {}

/**
 * Merges single sets, and the parts of merged ones. `now`: epoch ms. Throws EvidenceFault for a set that is not whole, that is given twice,
 * or that shares nothing with the others; whose signatures they bear is for whoever verifies them.
 */
export function mergeSets(given: readonly NamedSet[], now: number): SetFiles {
  const whole = given.flatMap((set) => singles(set)).map(wholePart)
  const correlations = whole.map(({ manifest }) => manifest.correlation)
  const apart = unconnected(correlations)
  if (apart !== null)
    throw new EvidenceFault('input', `correlation: ${whole[apart]?.name ?? ''} shares no root, trace or transaction with those before it`)
  const parts = whole.toSorted((a, b) => (isBefore(a.manifest, b.manifest) ? -1 : 1))
  checkPlaces(parts)
  const merged: Merged = {
    format: 1,
    kind: 'merged',
    made: new Date(now).toISOString(),
    parts: parts.map(({ manifest: { origin, task }, files }, at) => {
      return { origin, path: pathOf(at), sha256: hash('sha256', files.get(manifestPath) ?? ''), task }
    }),
    correlation: union(correlations),
  }
  const about = parts.map(({ manifest: { origin, made, made_by: madeBy }, summary }) => ({ origin, made, madeBy, summary }))
  return new Map([
    [mergedPath, Buffer.from(canonicalText(merged))],
    ...parts.flatMap(({ files }, at) => [...files].map(([path, bytes]): [string, Uint8Array] => [`${pathOf(at)}${path}`, bytes])),
    ['report.html', Buffer.from(reportPage(about))],
  ])
}

function pathOf(at: number): string {
  return `parts/${at + 1}/`
}

function singles({ name, files }: NamedSet): readonly NamedSet[] {
  const list = files.get(mergedPath)
  if (list === undefined) return [{ name, files }]
  const merged = readMerged(list)
  if (merged === null) throw new EvidenceFault('input', `${name} is no merged set of this format`)
  return merged.parts.map(({ path }) => ({ name: `${name}/${path}`, files: filesUnder(files, path) }))
}

function wholePart(set: NamedSet): Part {
  try {
    return { ...set, ...verifyPart(set.files, null) }
  } catch (error) {
    if (!(error instanceof SetMismatch)) throw error
    throw new EvidenceFault('input', `${set.name} is not whole: ${error.fault}: ${error.file}: ${error.message}`)
  }
}

function checkPlaces(parts: readonly Part[]): void {
  if (parts.length < 2) throw new EvidenceFault('input', 'give two sets at least')
  for (const [at, { name, manifest }] of parts.entries()) {
    const before = parts[at - 1]
    if (before !== undefined && !isBefore(before.manifest, manifest))
      throw new EvidenceFault('input', `${before.name} and ${name} are of the same task of the same ledger: give the newer alone`)
  }
}
