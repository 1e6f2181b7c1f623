/** Makes the evidence set of a task out of a ledger folder: its files, signed. */
import { hash } from 'node:crypto'
import { readStatement, type Statement } from '../record/checkpoint-line.ts'
import { includes, type HashOf } from '../record/merkle.ts'
import { readNote, readVerifierKey } from '../record/note.ts'
import { tileHashes } from '../record/tiles.ts'
import { canonicalText } from './canonical.ts'
import { seal, type EvidenceSigner } from './envelope.ts'
import { EvidenceFault } from './fault.ts'
import { gather, type GatheredLine } from './gather.ts'
import { handoversOf } from './handovers.ts'
import { listFiles, manifestPath, type Manifest } from './manifest.ts'
import { hashesFromLines, leafOf, proofsText, readProofs } from './proofs.ts'
import type { SetFiles } from './read-set.ts'
import { extentOf, type Extent } from './regions.ts'
import { reportPage } from './report/report.ts'
import { summarise, type Summary } from './summary/summary.ts'

/** What is known of the rules of a policy revision; canonical JSON can be made of it. */
export type RulesOf = (revision: string) => object | null

export interface ExportOptions {
  /** Ledger folder. */
  readonly dir: string
  readonly task: string
  readonly signer: EvidenceSigner
  /** Who asks for it, such as `person:ada`. */
  readonly by: string
  /** Epoch ms. */
  readonly now: number
  readonly rulesOf: RulesOf
  /** Most bytes of lines. */
  readonly most: number
}

export interface ExportedSet {
  /** `manifest.json` first, the others in the order of their paths. */
  readonly files: SetFiles
  readonly manifest: Manifest
  readonly summary: Summary
  /** What whoever reads it should know of what is not in it. */
  readonly notes: readonly string[]
}

/** Rejects with EvidenceFault when there is nothing of the task, or the ledger is not as its checkpoint says. */
export async function exportSet(options: ExportOptions): Promise<ExportedSet> {
  const { dir, task, signer, by, now, rulesOf, most } = options
  const extent = extentOf(dir)
  const stated = statementOf(extent)
  const lines = paired(await gather(extent, task, most))
  const summary = summarise(
    lines.map(({ line }) => line),
    task,
  )
  const [first, last] = [lines[0], lines.at(-1)]
  if (first === undefined || last === undefined) throw new EvidenceFault('unknown', `no line of the ledger is of ${task}`)
  const made = new Date(now).toISOString()
  const handovers = await handoversOf(extent, signer.verifierKey)
  const files = new Map<string, Uint8Array>([
    ['handovers.ndjson', joined(handovers)],
    ['lines.ndjson', joined(lines.map(({ bytes }) => bytes))],
    ...policyFiles(summary, rulesOf),
    ['proofs.json', Buffer.from(await provenText(lines, extent, stated, dir))],
    ['report.html', Buffer.from(reportPage([{ origin: stated.origin, made, madeBy: by, summary }]))],
    ['summary.json', Buffer.from(canonicalText(summary))],
  ])
  const manifest: Manifest = {
    format: 1,
    task,
    origin: stated.origin,
    made,
    made_by: by.toWellFormed(),
    checkpoint: extent.note,
    key: signer.verifierKey,
    files: listFiles(files),
    lines: { count: lines.length, first: first.line.seq, last: last.line.seq },
    root: summary.root,
    correlation: summary.correlation,
  }
  const envelope = Buffer.from(seal(manifest, readVerifierKey(signer.verifierKey).id, signer))
  return { files: new Map([[manifestPath, envelope], ...files]), manifest, summary, notes: notesOf(extent, summary) }
}

function statementOf({ note }: Extent): Statement {
  const stated = readStatement(readNote(note).text)
  if (stated === null)
    throw new EvidenceFault('damaged', 'the newest checkpoint is of an older ledger format: start this version on it once')
  return stated
}

/** Without outcomes whose decisions were removed with older segments. */
function paired(lines: readonly GatheredLine[]): readonly GatheredLine[] {
  const decided = new Set(lines.flatMap(({ line }) => (line.kind === 'decision' ? [line.id] : [])))
  return lines.filter(({ line }) => line.kind !== 'outcome' || decided.has(line.id))
}

/**
 * The proofs, found to hold: with the hashes of the tiles as they are, with those of tiles that lead to the root or of all lines, else with
 * what follows from the first line that is there.
 */
async function provenText(lines: readonly GatheredLine[], extent: Extent, stated: Statement, dir: string): Promise<string> {
  const asStored = (): HashOf => tileHashes(dir, stated.size)
  const doubted = (): HashOf => tileHashes(dir, stated.size, Buffer.from(stated.root, 'base64'))
  const text =
    proofsThat(lines, stated, asStored) ?? proofsThat(lines, stated, doubted) ?? proofsThat(lines, stated, await fromLines(extent))
  if (text === null) throw new EvidenceFault('damaged', 'the lines are not those that the checkpoint signs: verify the ledger')
  return text
}

async function fromLines(extent: Extent): Promise<() => HashOf> {
  const hashOf = await hashesFromLines(extent)
  return () => hashOf
}

function proofsThat(lines: readonly GatheredLine[], { size, root }: Statement, hashes: () => HashOf): string | null {
  let text: string
  try {
    const seqs = lines.map(({ line }) => line.seq)
    text = proofsText(seqs, { size, root, hashOf: remembering(hashes()) })
  } catch {
    return null
  }
  const { proofs = [], root: top } = readProofs(Buffer.from(text)) ?? {}
  const hold = lines.every(
    ({ line, bytes }, at) => top !== undefined && includes(leafOf(bytes), line.seq - 1, size, proofs[at]?.path ?? [], top),
  )
  return hold ? text : null
}

/** Neighbours share most of their paths: what was found once is kept. */
function remembering(hashOf: HashOf): HashOf {
  const known = new Map<string, Buffer>()
  return (node) => {
    const name = `${node.level}/${node.index}`
    const found = known.get(name) ?? hashOf(node)
    known.set(name, found)
    return found
  }
}

function policyFiles({ policies }: Summary, rulesOf: RulesOf): readonly [string, Uint8Array][] {
  const rows = policies.flatMap(({ revision }): [string, Uint8Array][] => {
    const rules = rulesOf(revision)
    return rules === null ? [] : [[`policy/${policyName(revision)}.json`, Buffer.from(canonicalText(rules))]]
  })
  return rows.toSorted(([a], [b]) => (a < b ? -1 : 1))
}

/** A revision as the name of a file; its digest where it cannot be one. */
export function policyName(revision: string): string {
  return /^\w[\w.@+-]{0,79}$/.test(revision) ? revision : hash('sha256', revision)
}

function joined(lines: readonly Buffer[]): Buffer {
  return Buffer.concat(lines.flatMap((line) => [line, Buffer.of(10)]))
}

function notesOf({ segments, unsigned }: Extent, { tasks, task, counts }: Summary): readonly string[] {
  const own = tasks.find((row) => row.task === task)
  const first = segments[0]?.first ?? 1
  return [
    ...(own !== undefined && (own.state === 'active' || own.state === 'paused') ? [`the task has not ended: it is ${own.state}`] : []),
    ...(counts.open > 0 ? [`${counts.open} permitted calls have no outcome yet`] : []),
    ...(own?.opened == null ? [`the opening of the task is not there: the ledger begins at line ${first}`] : []),
    ...(unsigned > 0 ? [`${unsigned} bytes after the newest checkpoint are not signed yet, and left out`] : []),
  ]
}
