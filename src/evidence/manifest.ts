/** The signed list of what a set holds. */
import { hash } from 'node:crypto'
import { isRecord, type JsonRecord } from '../author/json-path.ts'
import { readCanonical } from './canonical.ts'
import { readCorrelation, type Correlation } from './correlation.ts'

export interface ListedFile {
  readonly path: string
  /** Hex. */
  readonly sha256: string
  /** Bytes. */
  readonly size: number
}

export interface Manifest {
  readonly format: 1
  readonly task: string
  /** The ledger's name. */
  readonly origin: string
  /** RFC 3339. */
  readonly made: string
  readonly made_by: string
  /** A signed note: all lines of the set are before it. */
  readonly checkpoint: string
  /** Verifier key. */
  readonly key: string
  readonly files: readonly ListedFile[]
  readonly lines: { readonly count: number; readonly first: number; readonly last: number }
  readonly root: string
  readonly correlation: Correlation
}

export const manifestPath = 'manifest.json'

/** What the manifest says of files, in the order of their paths. */
export function listFiles(files: ReadonlyMap<string, Uint8Array>): readonly ListedFile[] {
  return [...files]
    .map(([path, bytes]) => ({ path, sha256: hash('sha256', bytes), size: bytes.length }))
    .toSorted((a, b) => (a.path < b.path ? -1 : 1))
}

/** Reads the payload of an envelope; null when it is no canonical JSON of exactly these members. */
export function readManifest(payload: Uint8Array): Manifest | null {
  const value = readCanonical(payload)
  if (!isRecord(value) || Object.keys(value).length !== 11 || value['format'] !== 1) return null
  const { task, origin, made, made_by: madeBy, checkpoint, key, root } = value
  const texts = [task, origin, made, madeBy, checkpoint, key, root]
  const [files, lines, correlation] = [readFiles(value['files']), readCount(value['lines']), readCorrelation(value['correlation'])]
  if (!texts.every((text) => typeof text === 'string') || files === null || lines === null || correlation === null) return null
  const [named = '', from = '', when = '', by = '', note = '', own = '', began = ''] = texts
  return {
    format: 1,
    task: named,
    origin: from,
    made: when,
    made_by: by,
    checkpoint: note,
    key: own,
    files,
    lines,
    root: began,
    correlation,
  }
}

/** Whether a path stays inside, and is no hidden one. */
export function isSetPath(path: string): boolean {
  return /^[\w./@+-]{1,255}$/.test(path) && path.split('/').every((piece) => piece !== '' && !piece.startsWith('.'))
}

function readFiles(value: unknown): readonly ListedFile[] | null {
  if (!Array.isArray(value)) return null
  const files: ListedFile[] = []
  let before = ''
  for (const one of value as readonly unknown[]) {
    if (!isRecord(one) || Object.keys(one).length !== 3) return null
    const { path, sha256, size } = one
    if (typeof path !== 'string' || !isSetPath(path) || path <= before || path === manifestPath) return null
    if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256) || typeof size !== 'number') return null
    files.push({ path, sha256, size })
    before = path
  }
  return files
}

function readCount(value: unknown): Manifest['lines'] | null {
  if (!isRecord(value) || Object.keys(value).length !== 3) return null
  const { count, first, last }: JsonRecord = value
  if (![count, first, last].every((number) => Number.isSafeInteger(number))) return null
  return { count: Number(count), first: Number(first), last: Number(last) }
}
