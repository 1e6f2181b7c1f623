/** One set, step by step as docs/evidence-format.md lists them ("Verification of a set"). Each throws SetMismatch. */
import { hash } from 'node:crypto'
import { readStatement, type Statement } from '../record/checkpoint-line.ts'
import { KeyRing } from '../record/key-ring.ts'
import { includes } from '../record/merkle.ts'
import { openNote, readVerifierKey, type VerifierKey } from '../record/note.ts'
import { canonicalText } from './canonical.ts'
import { correlationOf, rootOf } from './correlation.ts'
import { isSignedBy, readEnvelope, type Envelope } from './envelope.ts'
import { SetMismatch } from './fault.ts'
import { readLine, taskOf, type EvidenceLine } from './line.ts'
import { manifestPath, readManifest, type Manifest } from './manifest.ts'
import { leafOf, readProofs } from './proofs.ts'
import type { SetFiles } from './read-set.ts'
import { summarise, type Summary } from './summary/summary.ts'

export interface VerifiedPart {
  readonly manifest: Manifest
  readonly summary: Summary
  /** Permitted calls without an outcome. */
  readonly open: number
}

interface SetLine {
  readonly line: EvidenceLine
  readonly bytes: Buffer
}

/** `ring`: the keys that are trusted, of which it learns more from the set; null takes the manifest's own. */
export function verifyPart(files: SetFiles, ring: KeyRing | null): VerifiedPart {
  const { envelope, manifest } = listed(files)
  const stated = signed(files, envelope, manifest, ring)
  const lines = parsed(files, manifest)
  proven(files, lines, stated)
  chained(lines)
  const open = paired(lines)
  const read = lines.map(({ line }) => line)
  correlated(read, manifest)
  const summary = summarise(read, manifest.task)
  if (!Buffer.from(canonicalText(summary)).equals(bytesOf(files, 'summary.json')))
    throw new SetMismatch('summary', 'summary.json', 'it is not what the lines give')
  return { manifest, summary, open }
}

const needed = ['handovers.ndjson', 'lines.ndjson', 'proofs.json', 'report.html', 'summary.json']

function listed(files: SetFiles): { readonly envelope: Envelope; readonly manifest: Manifest } {
  const bytes = files.get(manifestPath)
  if (bytes === undefined) throw new SetMismatch('manifest', manifestPath, 'it is not there')
  const envelope = readEnvelope(bytes)
  const manifest = envelope === null ? null : readManifest(envelope.payload)
  if (envelope === null || manifest === null) throw new SetMismatch('manifest', manifestPath, 'not a signed list of this format')
  for (const { path, sha256, size } of manifest.files) {
    const file = files.get(path)
    if (file === undefined) throw new SetMismatch('manifest', path, 'it is not there')
    if (file.length !== size || hash('sha256', file) !== sha256)
      throw new SetMismatch('manifest', path, 'it is not the file that was signed')
  }
  const known = new Set([manifestPath, ...manifest.files.map(({ path }) => path)])
  for (const path of files.keys()) if (!known.has(path)) throw new SetMismatch('manifest', path, 'it is not in the manifest')
  for (const path of needed) if (!known.has(path)) throw new SetMismatch('manifest', path, 'it is not there')
  return { envelope, manifest }
}

function signed(files: SetFiles, envelope: Envelope, manifest: Manifest, given: KeyRing | null): Statement {
  const wrong = (detail: string, file = manifestPath): SetMismatch => new SetMismatch('signature', file, detail)
  const key = ownKey(manifest, wrong)
  const ring = given ?? new KeyRing(key.text)
  const text = Buffer.from(bytesOf(files, 'handovers.ndjson')).toString()
  if (text !== '' && !text.endsWith('\n')) throw wrong('its last line has no end', 'handovers.ndjson')
  const bad = ring.learn(text === '' ? [] : text.slice(0, -1).split('\n'))
  if (bad !== null) throw wrong(`line ${bad.at + 1}: ${bad.detail}`, 'handovers.ndjson')
  if (!ring.trusts(key)) throw wrong('it is signed by a key that is not trusted')
  if (!isSignedBy(envelope, key)) throw wrong('the signature does not verify')
  let opened: string
  try {
    opened = openNote(manifest.checkpoint, [key]).text
  } catch (error) {
    throw wrong(`the checkpoint: ${error instanceof Error ? error.message : 'malformed'}`)
  }
  const stated = readStatement(opened)
  if (stated === null) throw wrong('the checkpoint is none of this format')
  if (stated.origin !== manifest.origin || key.name !== manifest.origin) throw wrong('ledger, checkpoint and key are of different names')
  return stated
}

function ownKey(manifest: Manifest, wrong: (detail: string) => SetMismatch): VerifierKey {
  try {
    const key = readVerifierKey(manifest.key)
    if (key.text === manifest.key) return key
  } catch {
    // told below
  }
  throw wrong('its key is no verifier key')
}

function parsed(files: SetFiles, { lines: stated }: Manifest): readonly SetLine[] {
  const bytes = Buffer.from(bytesOf(files, 'lines.ndjson'))
  const lines: SetLine[] = []
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(10, start)
    const piece = bytes.subarray(start, end < 0 ? bytes.length : end)
    const line = end < 0 ? null : readLine(piece)
    const last = lines.at(-1)?.line.seq ?? 0
    if (line === null) throw new SetMismatch('parse', 'lines.ndjson', `what follows line ${last} is no line of a ledger`, last + 1)
    if (line.seq <= last) throw new SetMismatch('sequence', 'lines.ndjson', `it comes after line ${last}`, line.seq)
    lines.push({ line, bytes: piece })
    start = end + 1
  }
  const [first, last] = [lines[0]?.line.seq, lines.at(-1)?.line.seq]
  if (lines.length === 0 || stated.count !== lines.length || stated.first !== first || stated.last !== last)
    throw new SetMismatch('manifest', manifestPath, 'it counts other lines than are there')
  return lines
}

function proven(files: SetFiles, lines: readonly SetLine[], { size, root }: Statement): void {
  const file = 'proofs.json'
  const found = readProofs(bytesOf(files, file))
  if (found === null) throw new SetMismatch('proof', file, 'not a list of proofs in canonical JSON')
  if (found.size !== size || found.root.toString('base64') !== root) throw new SetMismatch('proof', file, 'it is for another checkpoint')
  for (const [at, { line, bytes }] of lines.entries()) {
    const proof = found.proofs[at]
    if (proof?.seq !== line.seq || !includes(leafOf(bytes), line.seq - 1, size, proof.path, found.root))
      throw new SetMismatch('proof', 'lines.ndjson', 'this line is not shown to be in the ledger', line.seq)
  }
  if (found.proofs.length !== lines.length) throw new SetMismatch('proof', file, 'it proves more lines than are there')
}

function chained(lines: readonly SetLine[]): void {
  for (const [at, { line }] of lines.entries()) {
    const before = lines[at - 1]
    if (before?.line.seq === line.seq - 1 && hash('sha256', before.bytes) !== line.prev)
      throw new SetMismatch('chain', 'lines.ndjson', 'it does not hold the hash of the line before it', line.seq)
  }
}

/** Gives how many calls are open. */
function paired(lines: readonly SetLine[]): number {
  const open = new Set<string>()
  const seen = new Set<string>()
  for (const { line } of lines) {
    if (line.kind === 'outcome' && !open.delete(line.id))
      throw new SetMismatch('pairing', 'lines.ndjson', 'an outcome without a decision before it', line.seq)
    if (line.kind !== 'decision') continue
    if (seen.has(line.id)) throw new SetMismatch('pairing', 'lines.ndjson', 'a second decision of the same call', line.seq)
    seen.add(line.id)
    open.add(line.id)
  }
  return open.size
}

function correlated(lines: readonly EvidenceLine[], { task, root, correlation }: Manifest): void {
  if (!lines.some((line) => taskOf(line) === task)) throw new SetMismatch('manifest', manifestPath, 'no line is of its task')
  if (root !== rootOf(lines, task)) throw new SetMismatch('correlation', manifestPath, 'the task began with somebody else')
  if (canonicalText(correlation) !== canonicalText(correlationOf(lines, task)))
    throw new SetMismatch('correlation', manifestPath, 'roots, traces, transactions and tasks are not those of the lines')
}

function bytesOf(files: SetFiles, path: string): Uint8Array {
  return files.get(path) ?? new Uint8Array()
}
