/** Verifies evidence sets, single and merged, by docs/evidence-format.md: with nothing but the files and the public keys. */
import { hash } from 'node:crypto'
import type { Fault } from '../record/fault.ts'
import { KeyRing } from '../record/key-ring.ts'
import { canonicalText } from './canonical.ts'
import { unconnected, union, type Correlation } from './correlation.ts'
import { SetMismatch } from './fault.ts'
import { manifestPath } from './manifest.ts'
import { mergedPath, readMerged } from './merged.ts'
import { filesUnder, type SetFiles } from './read-set.ts'
import { verifyPart, type VerifiedPart } from './verify-part.ts'

/** The first thing that is wrong. */
export interface BadRecord {
  readonly file: string
  /** Number of the ledger line; null where the fault is of the file. */
  readonly seq: number | null
  readonly fault: Fault
  readonly detail: string
}

export interface SetReport {
  readonly ok: boolean
  readonly kind: 'set' | 'merged'
  /** False: there was no key, so nobody is shown to stand behind it. */
  readonly signed: boolean
  readonly parts: readonly PartReport[]
  readonly firstBad: BadRecord | null
}

/** One set that verified. */
export interface PartReport {
  /** Folder in a merged set; empty for a single one. */
  readonly path: string
  readonly task: string
  /** The ledger's name. */
  readonly origin: string
  readonly made: string
  readonly madeBy: string
  readonly lines: number
  /** Permitted calls without an outcome. */
  readonly open: number
}

/** `keys`: verifier keys that are trusted, one a line; null checks everything but whose signature it is. Throws an Error for a malformed key. */
export function verifySet(files: SetFiles, keys: readonly string[] | null): SetReport {
  const parts: PartReport[] = []
  const kind = files.has(mergedPath) ? 'merged' : 'set'
  const report = { kind, signed: keys !== null, parts } as const
  // a key that cannot be read is a mistake of who asks, not of the set
  const ring = (): KeyRing | null => (keys === null ? null : new KeyRing(keys))
  ring()
  try {
    if (kind === 'set') parts.push(reported('', verifyPart(files, ring())))
    else verifyMerged(files, ring, parts)
    return { ...report, ok: true, firstBad: null }
  } catch (error) {
    if (!(error instanceof SetMismatch)) throw error
    const { file, seq, fault, message } = error
    return { ...report, ok: false, firstBad: { file, seq, fault, detail: message } }
  }
}

function verifyMerged(files: SetFiles, ring: () => KeyRing | null, done: PartReport[]): void {
  const merged = readMerged(files.get(mergedPath) ?? new Uint8Array())
  if (merged === null) throw new SetMismatch('manifest', mergedPath, 'not a list of merged sets in canonical JSON')
  const correlations: Correlation[] = []
  for (const { path, origin, task, sha256 } of merged.parts) {
    const own = filesUnder(files, path)
    const signed = own.get(manifestPath)
    if (signed === undefined || hash('sha256', signed) !== sha256)
      throw new SetMismatch('manifest', `${path}${manifestPath}`, 'it is not the one that was merged')
    const part = within(path, () => verifyPart(own, ring()))
    if (part.manifest.origin !== origin || part.manifest.task !== task)
      throw new SetMismatch('manifest', mergedPath, `${path} is of another ledger or task than it says`)
    correlations.push(part.manifest.correlation)
    done.push(reported(path, part))
  }
  const foreign = [...files.keys()].find(
    (path) => path !== mergedPath && path !== 'report.html' && !merged.parts.some((part) => path.startsWith(part.path)),
  )
  if (foreign !== undefined) throw new SetMismatch('manifest', foreign, 'a file that no part has')
  const apart = unconnected(correlations)
  if (apart !== null)
    throw new SetMismatch('correlation', merged.parts[apart]?.path ?? '', 'it shares no root, trace or transaction with the other parts')
  if (canonicalText(union(correlations)) !== canonicalText(merged.correlation))
    throw new SetMismatch('correlation', mergedPath, 'the correlation is not that of its parts')
}

/** What is wrong in a part is named by where that stands in the whole. */
function within(path: string, verify: () => VerifiedPart): VerifiedPart {
  try {
    return verify()
  } catch (error) {
    if (!(error instanceof SetMismatch)) throw error
    throw new SetMismatch(error.fault, `${path}${error.file}`, error.message, error.seq)
  }
}

function reported(path: string, { manifest, open }: VerifiedPart): PartReport {
  const { task, origin, made, made_by: madeBy, lines } = manifest
  return { path, task, origin, made, madeBy, lines: lines.count, open }
}
