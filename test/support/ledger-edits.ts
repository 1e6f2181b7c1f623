import * as fc from 'fast-check'
import { LedgerWriter, sha256, signedNote, writerKey } from './ledger-writer.ts'

/** What someone who can write the folder of a ledger, and has not its key, could do to it. */

export interface File {
  readonly name: string
  readonly bytes: Buffer
}
export type Segments = readonly File[]

/** A ledger with a handing over, that ends with a checkpoint, and what an attacker may have beside it. */
export interface History {
  readonly keys: readonly string[]
  readonly segments: Segments
  readonly lines: readonly string[]
  /** Number of the first line of each segment. */
  readonly firsts: readonly number[]
  /** A checkpoint over all lines but the last. */
  readonly kept: string
  /** Lines of another node of the same name whose key is another. */
  readonly foreign: readonly string[]
}

export interface Edit {
  readonly kind: string
  readonly segments: Segments
  /** The record that must be named, or the few of which one must be. */
  readonly bad: readonly number[]
  /** Must it be found, and the same record be named, without a checkpoint from elsewhere? */
  readonly alone: boolean
}

type Made = Omit<Edit, 'kind'>

const name = 'ledger.acme.example/one'

export function history(): History {
  const writer = new LedgerWriter(name)
  const keys = [writer.key.text]
  for (let at = 0; at < 4; at++) {
    writer.segment()
    writer.calls(5)
    writer.checkpoint(at === 1 ? writerKey(name) : null)
    writer.event('task.opened', { task: `t_${at}`, note: 'said "kind":"checkpoint", "next":"x"' })
    writer.calls(3)
  }
  keys.push(writer.key.text)
  writer.decision('c_open')
  writer.checkpoint()
  const other = new LedgerWriter(name)
  for (let at = 0; at < 4; at++) {
    other.segment()
    other.calls(12)
  }
  const firsts = writer.segments.map((one) => one.first)
  return { keys, segments: filesOf(writer.lines, firsts), lines: writer.lines, firsts, kept: writer.note, foreign: other.lines }
}

/** The files of these lines, cut where the segments begin. */
function filesOf(lines: readonly string[], firsts: readonly number[]): File[] {
  return firsts.map((first, at) => {
    const own = lines.slice(first - 1, (firsts[at + 1] ?? lines.length + 1) - 1)
    return { name: fileName(first), bytes: Buffer.from(own.map((line) => `${line}\n`).join('')) }
  })
}

function fileName(first: number): string {
  return `${String(first).padStart(12, '0')}.ndjson`
}

/** The segments with one line exchanged for others, which go where it was. */
function exchanged({ segments, firsts, lines }: History, seq: number, by: readonly string[]): Segments {
  const at = firsts.findLastIndex((first) => first <= seq)
  const first = firsts[at] ?? 1
  const own = lines.slice(first - 1, (firsts[at + 1] ?? lines.length + 1) - 1).toSpliced(seq - first, 1, ...by)
  return segments.map((file, n) => (n === at ? { ...file, bytes: Buffer.from(own.map((line) => `${line}\n`).join('')) } : file))
}

/** Chains lines anew from one on, as whoever has no key could. */
function rechained(lines: readonly string[], from: number): string[] {
  const out = lines.slice(0, from)
  for (const line of lines.slice(from)) {
    const prev = out.length === 0 ? '0'.repeat(64) : sha256(out.at(-1) ?? '').toString('hex')
    out.push(line.replace(/"seq":\d+,"prev":"sha256:[0-9a-f]{64}"/, `"seq":${out.length + 1},"prev":"sha256:${prev}"`))
  }
  return out
}

const isCheckpoint = (line: string) => line.includes('"path":"countersign/checkpoint"')
const checkpointFrom = ({ lines }: History, seq: number) => lines.findIndex((line, at) => at >= seq - 1 && isCheckpoint(line)) + 1
const lineOf = (from: History, seq: number) => from.lines[seq - 1] ?? ''
const anySeq = ({ lines }: History) => fc.integer({ min: 1, max: lines.length })
const found = (segments: Segments, ...bad: readonly number[]): Made => ({ segments, bad, alone: true })

function flip(from: History): fc.Arbitrary<Made> {
  return fc.tuple(anySeq(from), fc.nat(), fc.nat(7)).map(([seq, place, bit]) => {
    const at = from.firsts.findLastIndex((first) => first <= seq)
    const first = from.firsts[at] ?? 1
    const before = from.lines.slice(first - 1, seq - 1).reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0)
    const bytes = Buffer.from(from.segments[at]?.bytes ?? '')
    const offset = before + (place % (Buffer.byteLength(lineOf(from, seq)) + 1))
    bytes.writeUInt8(bytes.readUInt8(offset) ^ (1 << bit), offset)
    return found(
      from.segments.map((file, n) => (n === at ? { ...file, bytes } : file)),
      seq,
    )
  })
}

/** A line that is not the last may go unseen where nothing that was signed follows it: the kept checkpoint covers it. */
function removed(from: History): fc.Arbitrary<Made> {
  return anySeq(from).map((seq) => {
    const last = from.lines.length
    const next = (from.firsts as number[]).includes(seq) && (from.firsts as number[]).includes(seq + 1)
    return { segments: exchanged(from, seq, []), bad: next ? [seq, seq + 1] : [seq], alone: seq !== last }
  })
}

function repeated(from: History): fc.Arbitrary<Made> {
  return anySeq(from).map((seq) => found(exchanged(from, seq, [lineOf(from, seq), lineOf(from, seq)]), seq + 1))
}

function swapped(from: History): fc.Arbitrary<Made> {
  return fc
    .tuple(anySeq(from), anySeq(from))
    .filter(([a, b]) => a !== b)
    .map(([a, b]) => {
      const lines = from.lines.with(a - 1, lineOf(from, b)).with(b - 1, lineOf(from, a))
      // in the first place of the first file, a later number only says that lines before it are gone
      return found(filesOf(lines, from.firsts), Math.min(a, b))
    })
}

function cut(from: History): fc.Arbitrary<Made> {
  return fc.tuple(anySeq(from), fc.nat()).map(([seq, place]) => {
    const at = from.firsts.findLastIndex((first) => first <= seq)
    const before = from.lines.slice((from.firsts[at] ?? 1) - 1, seq - 1).reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0)
    const inLine = place % (Buffer.byteLength(lineOf(from, seq)) + 1)
    const segments = from.segments
      .slice(0, at + 1)
      .map((file, n) => (n === at ? { ...file, bytes: file.bytes.subarray(0, before + inLine) } : file))
    return { segments, bad: [seq], alone: inLine > 0 }
  })
}

/** The head, or the middle, is gone, by whole segments or within one. */
function gone(from: History): fc.Arbitrary<Made> {
  const whole = fc.nat(from.firsts.length - 2).chain((at) =>
    fc.integer({ min: 1, max: from.firsts.length - 1 - at }).map((count) => {
      const bad = from.firsts[at] ?? 1
      return found(from.segments.toSpliced(at, count), bad)
    }),
  )
  const within = fc
    .tuple(anySeq(from), fc.integer({ min: 2, max: 6 }))
    .filter(([seq, count]) => seq + count < from.lines.length)
    .map(([seq, count]) => {
      const kept = from.lines.map((line, at) => (at >= seq - 1 && at < seq - 1 + count ? null : line))
      const segments = from.segments.map((file, n) => {
        const first = from.firsts[n] ?? 1
        const own = kept.slice(first - 1, (from.firsts[n + 1] ?? kept.length + 1) - 1).filter((line) => line !== null)
        return { ...file, bytes: Buffer.from(own.map((line) => `${line}\n`).join('')) }
      })
      return found(segments, seq)
    })
  return fc.oneof(whole, within)
}

function spliced(from: History): fc.Arbitrary<Made> {
  return fc.tuple(anySeq(from), fc.boolean()).map(([seq, replace]) => {
    const strange = from.foreign[seq - 1] ?? from.foreign[0] ?? ''
    // where the strange line comes after the last: the line before it is what its `prev` does not fit
    return found(exchanged(from, seq, replace ? [strange] : [lineOf(from, seq), strange]), replace ? seq : seq + 1)
  })
}

/** Whole segments of another node in the places of ours. */
function strangeSegments(from: History): fc.Arbitrary<Made> {
  return fc.nat(from.firsts.length - 1).map((at) => {
    const first = from.firsts[at] ?? 1
    const end = (from.firsts[at + 1] ?? from.lines.length + 1) - 1
    const checkpoint = from.foreign.slice(first - 1, end).findIndex(isCheckpoint) + first
    const segments = filesOf(
      [...from.lines.slice(0, first - 1), ...from.foreign.slice(first - 1, end), ...from.lines.slice(end)],
      from.firsts,
    )
    return found(segments, first, checkpoint)
  })
}

function segmentsSwapped(from: History): fc.Arbitrary<Made> {
  const at = () => fc.nat(from.firsts.length - 1)
  return fc
    .tuple(at(), at())
    .filter(([a, b]) => a < b)
    .map(([a, b]) => {
      const [one, two] = [from.segments[a], from.segments[b]] as [File, File]
      const segments = from.segments.with(a, { ...one, bytes: two.bytes }).with(b, { ...two, bytes: one.bytes })
      return found(segments, from.firsts[a] ?? 1)
    })
}

function renamed(from: History): fc.Arbitrary<Made> {
  return fc
    .tuple(fc.nat(from.firsts.length - 1), fc.integer({ min: 0, max: 400 }))
    .filter(([, to]) => !(from.firsts as number[]).includes(to))
    .map(([at, to]) => {
      const rows = from.segments
        .map(({ bytes }, n) => ({
          bytes,
          named: n === at ? to : (from.firsts[n] ?? 1),
          first: from.firsts[n] ?? 1,
          end: from.firsts[n + 1] ?? from.lines.length + 1,
        }))
        .toSorted((a, b) => a.named - b.named)
      const segments = rows.map(({ named, bytes }) => ({ name: fileName(named), bytes }))
      const [head] = rows
      // the first file read begins where it is not named, or else the first after which the name is not the next number
      if (head !== undefined && head.named !== head.first) return found(segments, Math.min(head.first, Math.max(head.named, 1)))
      return found(segments, rows.find(({ end }, n) => rows[n + 1]?.named !== end)?.end ?? 0)
    })
}

/** Changed, and chained anew to where the next signature tells. */
function rewritten(from: History): fc.Arbitrary<Made> {
  return anySeq(from)
    .filter((seq) => !isCheckpoint(lineOf(from, seq)) && seq < from.lines.length)
    .map((seq) => {
      const lines = rechained(from.lines.with(seq - 1, lineOf(from, seq).replace('side-1', 'side-2')), seq)
      return found(filesOf(lines, from.firsts), checkpointFrom(from, seq))
    })
}

/** Signed anew with another key of the same name, from one line on. */
function resigned(from: History): fc.Arbitrary<Made> {
  return fc.tuple(anySeq(from), fc.boolean()).map(([seq, state]) => {
    const thief = writerKey(name)
    const at = checkpointFrom(from, seq)
    const line = lineOf(from, at)
    const note = String(JSON.parse(line).custom.countersign.checkpoint)
    const key = String(JSON.parse(line).custom.countersign.key)
    const start = line.slice(0, line.lastIndexOf(',"checkpoint":"') + 15)
    const own = state ? start.replace(key, thief.text) : start
    const text = note.slice(0, note.lastIndexOf('\n\n') + 1).replace(/record .*/, `record ${sha256(own).toString('base64')}`)
    const forged = `${own}${signedNote(name, text, [thief]).replaceAll('\n', '\\n')}"}}}`
    return found(filesOf(rechained(from.lines.with(at - 1, forged), at), from.firsts), at)
  })
}

/** The signed note of an older checkpoint, or its whole line, in the place of a later one. */
function replayed(from: History): fc.Arbitrary<Made> {
  const all = from.lines.flatMap((line, at) => (isCheckpoint(line) ? [at + 1] : []))
  return fc.tuple(fc.nat(all.length - 2), fc.nat(all.length - 2), fc.boolean()).map(([a, b, whole]) => {
    const [old, at] = [all[Math.min(a, b)] ?? 1, all[Math.max(a, b) + 1] ?? 1]
    const [older, line] = [lineOf(from, old), lineOf(from, at)]
    const marker = (text: string) => text.lastIndexOf(',"checkpoint":"')
    return found(exchanged(from, at, [whole ? older : line.slice(0, marker(line)) + older.slice(marker(older))]), at)
  })
}

/** An older state of the whole ledger: nothing in it is wrong, and only who kept a checkpoint can tell. */
function rolledBack(from: History): fc.Arbitrary<Made> {
  return fc
    .constantFrom(...from.lines.flatMap((line, at) => (isCheckpoint(line) && at + 1 < from.lines.length ? [at + 1] : [])))
    .map((seq) => ({
      segments: filesOf(
        from.lines.slice(0, seq),
        from.firsts.filter((first) => first <= seq),
      ),
      bad: [seq + 1],
      alone: false,
    }))
}

/** The head is cut off, and an event that would excuse it is put at the end by whoever cut it. */
function excused(from: History): fc.Arbitrary<Made> {
  return fc.integer({ min: 1, max: from.firsts.length - 1 }).map((at) => {
    const first = from.firsts[at] ?? 1
    const event = { event: 'ledger.pruned', by: 'countersign', detail: { first, lines: first - 1, bytes: 1, cause: 'age' } }
    const prev = sha256(from.lines.at(-1) ?? '').toString('hex')
    const own = { seq: from.lines.length + 1, prev: `sha256:${prev}`, kind: 'event', ...event }
    const line = JSON.stringify({ decision_id: 'e_x', custom: { countersign: own } })
    return found(filesOf([...from.lines, line], from.firsts).slice(at), 1)
  })
}

/** A hash of the edge, the root or the listing of a checkpoint is another. */
function tree(from: History): fc.Arbitrary<Made> {
  return anySeq(from).map((seq) => {
    const at = checkpointFrom(from, seq)
    const line = lineOf(from, at)
    const [hash] = /[A-Za-z0-9+/]{43}=/.exec(line.slice(line.indexOf(`"edge":`))) ?? ['']
    return found(exchanged(from, at, [line.replace(hash, Buffer.alloc(32, 9).toString('base64'))]), at)
  })
}

/** White space that changes nothing for a reader of JSON. */
function spaced(from: History): fc.Arbitrary<Made> {
  return fc.tuple(anySeq(from), fc.constantFrom(' ', '\t', '\r'), fc.nat(3)).map(([seq, space, where]) => {
    const line = lineOf(from, seq)
    const places = [`${space}${line}`, `${line}${space}`, line.replace('":{', `":${space}{`), line.replace('"seq":', `"seq":${space}`)]
    return found(exchanged(from, seq, [places[where] ?? '']), seq)
  })
}

/** All checkpoints are taken out and the rest is chained anew, under names that fit. */
function bared(from: History): fc.Arbitrary<Made> {
  return fc.nat(from.lines.length - 1).map((take) => {
    const bare = rechained(
      from.lines.filter((line, at) => !isCheckpoint(line) && at >= take % 7),
      0,
    )
    return found(filesOf(bare, [1]), 1)
  })
}

export const edits: readonly { readonly kind: string; readonly edit: (from: History) => fc.Arbitrary<Made> }[] = [
  { kind: 'flip a bit', edit: flip },
  { kind: 'delete a line', edit: removed },
  { kind: 'repeat a line', edit: repeated },
  { kind: 'swap two lines', edit: swapped },
  { kind: 'cut at any byte', edit: cut },
  { kind: 'take out head or middle', edit: gone },
  { kind: 'splice a line of another node', edit: spliced },
  { kind: 'put segments of another node in', edit: strangeSegments },
  { kind: 'swap segments', edit: segmentsSwapped },
  { kind: 'rename a segment', edit: renamed },
  { kind: 'change and chain anew', edit: rewritten },
  { kind: 'sign with another key', edit: resigned },
  { kind: 'replay an older checkpoint', edit: replayed },
  { kind: 'go back to an older state', edit: rolledBack },
  { kind: 'cut the head and excuse it', edit: excused },
  { kind: 'change edge, root or key', edit: tree },
  { kind: 'put white space in', edit: spaced },
  { kind: 'take all signatures out', edit: bared },
]
