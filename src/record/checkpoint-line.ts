/** Checkpoint lines of ledger format 2, as far as each can be judged by itself. */

import { hash } from 'node:crypto'
import type { Problem } from './fault.ts'
import { edgeNodes, rootOf } from './merkle.ts'
import type { VerifierKey } from './note.ts'
import { fromBase64, openOwnNote, readNote, readVerifierKey } from './note.ts'

/** What the signed text of a checkpoint states. Hashes are canonical base64 of 32 bytes. */
export interface Statement {
  readonly origin: string
  /** Lines before the checkpoint. */
  readonly size: number
  /** Root of the tree over them. */
  readonly root: string
  /** Hash of the last of them: the head of the chain. */
  readonly chain: string
  /** RFC 3339. */
  readonly time: string
  readonly durability: string
  /** Hash of the checkpoint's own line up to the note. */
  readonly record: string
}

/** The members of a checkpoint line, of which nothing is verified yet. */
export interface CheckpointLine {
  readonly seq: number
  /** Hex. */
  readonly prev: string
  readonly format: unknown
  /** The key that the line says it is signed with. */
  readonly key: VerifierKey
  /** The key that follows, on a checkpoint that hands over. */
  readonly next: VerifierKey | null
  readonly note: string
  readonly edge: unknown
  readonly open: unknown
  readonly openFrom: unknown
  /** The whole line. */
  readonly text: string
}

/** Reads the text of a checkpoint; null when it is not of this form. */
export function readStatement(text: string): Statement | null {
  const [origin = '', size = '', root = '', ...extra] = text.split('\n')
  const [chain, time, durability, record] = ['chain', 'time', 'durability', 'record'].map((word, at) => {
    const line = extra[at] ?? ''
    return line.startsWith(`${word} `) ? line.slice(word.length + 1) : ''
  }) as [string, string, string, string]
  if (extra.length !== 5 || extra[4] !== '' || origin === '' || !/^(0|[1-9]\d{0,15})$/.test(size)) return null
  if (![root, chain, record].every((one) => fromBase64(one)?.length === 32)) return null
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(time) || !/^(written|synced)$/.test(durability)) return null
  return { origin, size: Number(size), root, chain, time, durability, record }
}

/** Takes the line of a checkpoint apart. The line must be JSON with `seq` and `prev` as its place gives them. */
export function readCheckpointLine(text: string, { seq, prev }: { readonly seq: number; readonly prev: string }): CheckpointLine | Problem {
  const own = (JSON.parse(text) as { custom: { countersign: Record<string, unknown> } }).custom.countersign
  const { format, edge, open, open_from: openFrom, checkpoint: note } = own
  if (typeof note !== 'string') return { fault: 'signature', detail: 'a checkpoint line without a signed note' }
  try {
    const key = readVerifierKey(textOf(own['key']))
    const next = Object.hasOwn(own, 'next') ? readVerifierKey(textOf(own['next'])) : null
    return { seq, prev, format, key, next, note, edge, open, openFrom, text }
  } catch (error) {
    return { fault: 'signature', detail: `the key that the line states: ${messageOf(error)}` }
  }
}

/** Do the keys that the line states sign it, each as it should? Null when they do. Whether they are trusted is another matter. */
export function signatureFault({ key, next, note }: CheckpointLine): string | null {
  if (next !== null && (next.name !== key.name || next.text === key.text)) return 'the key that follows is of another name, or the same key'
  try {
    openOwnNote(note, next === null ? [key] : [key, next])
    return null
  } catch (error) {
    return messageOf(error)
  }
}

/** What the line states, and the hashes of its edge; or, as text, what of it is not as it should be. */
export function checkedStatement(line: CheckpointLine): { readonly stated: Statement; readonly edge: readonly Buffer[] } | string {
  const { seq, prev, format, key, note, text } = line
  let stated: Statement | null
  try {
    stated = readStatement(readNote(note).text)
  } catch (error) {
    return messageOf(error)
  }
  if (format !== 2) return 'the checkpoint is not of format 2'
  if (stated === null) return 'the note is not a checkpoint'
  if (stated.origin !== key.name) return 'the checkpoint is of another ledger'
  if (stated.size !== seq - 1) return `the checkpoint states ${stated.size} lines before it`
  if (stated.chain !== Buffer.from(prev, 'hex').toString('base64')) return 'the line before this checkpoint is not the one that was signed'
  const marker = ',"checkpoint":"'
  const at = text.lastIndexOf(marker) + marker.length
  if (stated.record !== hash('sha256', text.slice(0, at), 'base64') || text.slice(at) !== `${note.replaceAll('\n', '\\n')}"}}}`)
    return 'the checkpoint line is not the one that was signed'
  const edge = readEdge(line.edge)
  if (edge?.length !== edgeNodes(stated.size).length || rootOf(edge).toString('base64') !== stated.root)
    return 'the edge that the line states is not that of the root that was signed'
  return { stated, edge }
}

function readEdge(value: unknown): readonly Buffer[] | null {
  if (!Array.isArray(value)) return null
  const hashes = (value as readonly unknown[]).map((one) => (typeof one === 'string' ? fromBase64(one) : null))
  return hashes.every((one) => one?.length === 32) ? (hashes as readonly Buffer[]) : null
}

function textOf(value: unknown): string {
  if (typeof value !== 'string') throw new Error('it is not there')
  return value
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
