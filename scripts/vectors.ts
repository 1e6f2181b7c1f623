/**
 * Makes the published vectors of the ledger format anew: `node scripts/vectors.ts`. Each is a folder in docs/vectors/ledger, and the table
 * in docs/vectors/README.md says what a verifier finds in it. The keys are made here and forgotten: only their public halves are kept.
 */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { LedgerWriter, sha256, signedNote, writerKey } from '../test/support/ledger-writer.ts'

interface Vector {
  readonly name: string
  readonly shows: string
  readonly writer: LedgerWriter
  /** Segments that are there, by their place; all when not given. */
  readonly from?: number
  readonly keys?: string
  readonly kept?: string
  /** Told to the verifier as the first line. */
  readonly begins?: number
  readonly fault?: string
  readonly record?: number
  /** Changes the lines of the files after they were signed. */
  readonly edit?: (lines: string[], first: number) => string[]
}

const root = join(import.meta.dirname, '../docs/vectors')
const name = 'ledger.example/vectors'
const exits: Readonly<Record<string, number>> = {
  parse: 10,
  order: 11,
  sequence: 11,
  chain: 12,
  checkpoint: 13,
  signature: 14,
  pairing: 15,
  truncated: 16,
}

/** Three short segments; the key is handed over in the second one where it is said. */
function written(more: { readonly handOver?: boolean; readonly prune?: number } = {}): LedgerWriter {
  const writer = new LedgerWriter(name)
  for (let at = 0; at < 3; at++) {
    writer.segment()
    writer.calls(2)
    if (at === 1) writer.checkpoint(more.handOver === true ? writerKey(name) : null)
  }
  if (more.prune !== undefined)
    writer.event('ledger.pruned', { first: writer.segments[more.prune]?.first, lines: 1, bytes: 1, cause: 'age' })
  writer.checkpoint()
  return writer
}

function whole(): Vector[] {
  const [open, rotated, late, kept] = [written(), written({ handOver: true }), written({ handOver: true }), written()]
  const firstKey = String(JSON.parse(rotated.lines[0] ?? '').custom.countersign.key)
  open.decision('c_open')
  kept.calls(1)
  const pruned = written({ prune: 1 })
  const archived = written()
  return [
    { name: 'whole', shows: 'three segments, nothing wrong', writer: written() },
    { name: 'open', shows: 'a call without an outcome after the last checkpoint is no fault', writer: open },
    { name: 'rotated', shows: 'the key is handed over; the old one is trusted', writer: rotated, keys: firstKey },
    { name: 'rotated-new-key', shows: 'the same kind, and the new key alone is trusted', writer: late },
    { name: 'pruned', shows: 'the oldest segment was removed, as the ledger says', writer: pruned, from: 1 },
    { name: 'archived', shows: 'the oldest segment is elsewhere', writer: archived, from: 1, begins: archived.segments[1]?.first ?? 0 },
    { name: 'doubled', shows: 'members that are there twice: the last counts', writer: doubled() },
    { name: 'kept', shows: 'holds the checkpoint that was kept elsewhere', writer: kept, kept: kept.note },
  ]
}

/** A line that is only in its place by the last of its doubled members, at each depth. */
function doubled(): LedgerWriter {
  const writer = written()
  const prev = sha256(writer.lines.at(-1) ?? '').toString('hex')
  const own = `"seq":1,"kind":"outcome","seq":${writer.size + 1},"prev":"sha256:${prev}","kind":"event","event":"x","by":"countersign","detail":{}`
  const first = '"custom":{"countersign":{"seq":1,"prev":"none","kind":"decision"}}'
  writer.put(`{"decision_id":1,${first},"timestamp":"2026-09-01T00:00:00Z","decision_id":"e_doubled","custom":{"countersign":{${own}}}}`)
  writer.checkpoint()
  return writer
}

const changed = (seq: number, change: (line: string) => string) => (lines: string[], first: number) =>
  lines.map((line, at) => (first + at === seq ? change(line) : line))
const signed = (change: Parameters<LedgerWriter['checkpoint']>[1]): { readonly writer: LedgerWriter; readonly record: number } => {
  const writer = written()
  writer.decision('c_open')
  return { record: writer.checkpoint(null, change), writer }
}

function faulty(): Vector[] {
  const gone = written()
  const [cut, thief] = [written(), written()]
  const [unpaired, behind, unsigned] = [written(), written(), written()]
  const lost = unpaired.outcome('c_never')
  unpaired.checkpoint()
  const later = written()
  later.calls(2)
  later.checkpoint()
  const short = written()
  const older = String(JSON.parse(behind.lines[0] ?? '').custom.countersign.checkpoint)
  const other = older.slice(0, older.lastIndexOf('\n\n') + 1).replace(/\n0\n.*\n/, `\n4\n${Buffer.alloc(32, 1).toString('base64')}\n`)
  const stated = { fault: 'truncated', writer: short, kept: later.note }
  return [
    { name: 'parse', shows: 'a line is not JSON', writer: written(), fault: 'parse', record: 4, edit: changed(4, (line) => line.slice(1)) },
    {
      name: 'order',
      shows: 'a segment is missing',
      writer: gone,
      fault: 'order',
      record: gone.segments[1]?.first ?? 0,
      edit: (lines, first) => (first === gone.segments[1]?.first ? [] : lines),
    },
    {
      name: 'sequence',
      shows: 'a line is missing',
      writer: written(),
      fault: 'sequence',
      record: 3,
      edit: (lines, first) => (first === 1 ? lines.toSpliced(2, 1) : lines),
    },
    {
      name: 'chain',
      shows: 'a line was changed',
      writer: written(),
      fault: 'chain',
      record: 3,
      edit: changed(3, (line) => line.replace('side-1', 'side-2')),
    },
    {
      name: 'chain-prev',
      shows: 'a line that names another before it',
      writer: written(),
      fault: 'chain',
      record: 3,
      edit: changed(3, (line) => line.replace(/"prev":"sha256:../, '"prev":"sha256:00')),
    },
    {
      name: 'checkpoint-root',
      shows: 'signed over another tree',
      fault: 'checkpoint',
      ...signed({ text: (text) => text.replace(/\n[^\n]{44}\n/, `\n${Buffer.alloc(32, 7).toString('base64')}\n`) }),
    },
    {
      name: 'checkpoint-edge',
      shows: 'an edge that is not that of the root',
      fault: 'checkpoint',
      ...signed({ members: (own) => ({ ...own, edge: [] }) }),
    },
    {
      name: 'checkpoint-kept',
      shows: 'the checkpoint that was kept states another tree',
      writer: behind,
      kept: signedNote(name, other, [behind.key]),
      fault: 'checkpoint',
      record: 4,
    },
    { name: 'signature', shows: 'another key is trusted', writer: thief, keys: writerKey(name).text, fault: 'signature', record: 1 },
    {
      name: 'signature-note',
      shows: 'a checkpoint is not signed by the key that it states',
      fault: 'signature',
      ...signed({ keys: [writerKey(name)] }),
    },
    { name: 'pairing', shows: 'an outcome without a decision', writer: unpaired, fault: 'pairing', record: lost },
    {
      name: 'pairing-open',
      shows: 'a checkpoint leaves an open call out',
      fault: 'pairing',
      ...signed({ members: (own) => ({ ...own, open: [] }) }),
    },
    { name: 'truncated', shows: 'the oldest segment is gone, and nothing says why', writer: cut, from: 1, fault: 'truncated', record: 1 },
    {
      name: 'truncated-end',
      shows: 'the last line has no end',
      writer: unsigned,
      fault: 'truncated',
      record: unsigned.size,
      edit: (lines, first) => (first === unsigned.segments[2]?.first ? [...lines.slice(0, -1), `${lines.at(-1)}\u0000`] : lines),
    },
    { name: 'truncated-excused', shows: 'the head is cut, and an unsigned line excuses it', ...excused(), fault: 'truncated', record: 1 },
    { name: 'truncated-kept', shows: 'goes back behind the checkpoint that was kept', ...stated, record: short.size + 1, ...rolledBack() },
  ]
}

function excused(): { readonly writer: LedgerWriter; readonly from: number } {
  const writer = written()
  writer.event('ledger.pruned', { first: writer.segments[1]?.first, lines: 1, bytes: 1, cause: 'age' })
  return { writer, from: 1 }
}

/** A ledger as it was before lines that a kept checkpoint covers. */
function rolledBack(): Pick<Vector, 'writer' | 'kept' | 'record' | 'edit'> {
  const writer = written()
  const end = writer.size
  writer.calls(2)
  writer.checkpoint()
  return { writer, kept: writer.note, record: end + 1, edit: (lines, first) => lines.filter((_line, at) => first + at <= end) }
}

function save({ name: own, writer, from = 0, keys, kept, edit }: Vector): void {
  const dir = join(root, 'ledger', own)
  mkdirSync(dir, { recursive: true })
  for (const { first, lines } of writer.segments.slice(from)) {
    const edited = edit?.([...lines], first) ?? lines
    // a line that is to have no end is marked by a NUL
    const text = edited.map((line) => (line.endsWith('\u0000') ? line.slice(0, -1) : `${line}\n`)).join('')
    if (text !== '') writeFileSync(join(dir, `${String(first).padStart(12, '0')}.ndjson`), text)
  }
  writeFileSync(join(dir, 'ledger.pub'), `${keys ?? writer.key.text}\n`)
  if (kept !== undefined) writeFileSync(join(dir, 'kept.txt'), kept)
}

function row({ name: own, shows, kept, begins, fault, record }: Vector): string {
  const more = [...(kept === undefined ? [] : ['`--checkpoint kept.txt`']), ...(begins === undefined ? [] : [`\`--from ${begins}\``])]
  const verdict = fault === undefined ? '| intact | 0 | |' : `| \`${fault}\` | ${exits[fault]} | ${record} |`
  return `| ${own} | ${more.join(' ')} ${verdict} ${shows} |`
}

const vectors = [...whole(), ...faulty()]
rmSync(join(root, 'ledger'), { recursive: true, force: true })
for (const vector of vectors) save(vector)
const page = readFileSync(join(root, 'README.md'), 'utf8')
const [begin, end] = ['<!-- ledgers -->', '<!-- /ledgers -->']
const table = `${begin}\n| folder | more arguments | verdict | exit | record | shows |\n| --- | --- | --- | --- | --- | --- |\n${vectors.map(row).join('\n')}\n${end}`
writeFileSync(join(root, 'README.md'), page.slice(0, page.indexOf(begin)) + table + page.slice(page.indexOf(end) + end.length))
