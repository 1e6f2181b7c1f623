/** The rules of verification, applied line by line: docs/ledger-format.md, "Verification". */

import { isUtf8 } from 'node:buffer'
import { hash } from 'node:crypto'
import { genesis } from './chain.ts'
import type { CheckpointRow } from './checkpoint-audit.ts'
import { CheckpointAudit } from './checkpoint-audit.ts'
import type { Fault } from './fault.ts'
import type { KeyRing } from './key-ring.ts'
import { Pairing } from './pairing.ts'
import { segmentFirst } from './segment.ts'
import type { StoredLine } from './stored-line.ts'
import { readStored } from './stored-line.ts'

/** The first thing that is wrong. */
export interface BadLine {
  readonly file: string
  /** Line of that file, from 1; 0 when no line is there. */
  readonly line: number
  /** Number of the record that is bad or missing; 0 when it is the checkpoint that was given. */
  readonly seq: number
  readonly fault: Fault
  readonly detail: string
}

export interface VerifyReport {
  readonly ok: boolean
  /** False: there was no key, so the chain and the tree were checked and no signature. */
  readonly signed: boolean
  /** The verifier keys that signed, in their order: more than one when the key was handed over. */
  readonly keys: readonly string[]
  readonly segments: number
  readonly lines: number
  /** Number of the first line read: 1 unless what came before was removed. */
  readonly first: number | null
  readonly checkpoints: number
  readonly lastCheckpoint: CheckpointRow | null
  readonly firstBad: BadLine | null
  /** Lines after the last checkpoint: changed or cut without trace, unless a later checkpoint is held. */
  readonly uncovered: number
  /** Permitted calls without an outcome yet. */
  readonly open: number
}

export interface AuditOptions {
  /** First line expected (default 1): what came before was archived and is taken on trust. */
  readonly from?: number
  /** A checkpoint (signed note) obtained elsewhere: the ledger must contain what it states. */
  readonly checkpoint?: string
}

/** A line that is being judged, and where it is. */
interface Place {
  readonly file: string
  readonly line: number
  readonly seq: number
  readonly hash: string
}

interface Suspect {
  readonly before: Place
  readonly own: Place
  readonly line: StoredLine
  readonly text: string
}

const pruned = Buffer.from('"ledger.pruned"')

/** Takes the lines of a ledger in order, file by file, and keeps the first fault. */
export class LedgerAudit {
  readonly #from: number
  readonly #signed: boolean
  readonly #checkpoints: CheckpointAudit
  #pairing = new Pairing(true)
  #file = ''
  /** What the name of the file says of its first line. */
  #named: number | null = null
  #inFile = 0
  #lines = 0
  #first: number | null = null
  #last: Place | null = null
  /** The furthest line that may be the first one: said by the caller, or by the ledger when it removed what came before. */
  #mayBegin: number
  /** The same as said by lines that no checkpoint covers yet: whoever cut the ledger could have written them. */
  #mayBeginSaid = 1
  /** A line whose `prev` is not the hash of the one before: the next line tells which of the two was changed. */
  #suspect: Suspect | null = null
  #bad: BadLine | null = null

  constructor(ring: KeyRing | null, options: AuditOptions) {
    this.#from = options.from ?? 1
    this.#mayBegin = this.#from
    this.#signed = ring !== null
    this.#checkpoints = new CheckpointAudit(ring, options.checkpoint ?? null)
  }

  get failed(): boolean {
    return this.#bad !== null
  }

  /** The lines that follow are of this file. */
  begin(file: string): void {
    this.#file = file
    this.#inFile = 0
    this.#named = segmentFirst(file)
    if (this.#last === null || this.#suspect !== null || this.#named === null) return
    const next = this.#last.seq + 1
    if (this.#named !== next) this.#fail('order', next, `the file should begin with line ${next}`, 0)
  }

  /** `bytes`: a line without its LF. */
  line(bytes: Buffer): void {
    this.#inFile += 1
    const text = bytes.toString()
    const line = isUtf8(bytes) ? readStored(text) : null
    if (this.#suspect !== null) return this.#settle(this.#suspect, line?.prev === this.#suspect.own.hash)
    if (line !== null && this.#last === null && line.seq < this.#from) return
    const expected = this.#expected()
    if (line === null) return this.#fail('parse', expected, 'not a ledger line')
    if (this.#last === null && line.seq < expected) return this.#fail('order', line.seq, 'the file is named after a later line')
    if (line.seq !== expected) return this.#fail('sequence', expected, `line ${expected} is not there: ${line.seq} is`)
    if (this.#inFile === 1 && (this.#named ?? line.seq) !== line.seq)
      return this.#fail('order', expected, 'the file is named after another line')
    if (this.#inFile === 1 && line.kind !== 'checkpoint') return this.#fail('order', expected, 'the file does not begin with a checkpoint')
    const own: Place = { file: this.#file, line: this.#inFile, seq: line.seq, hash: hash('sha256', bytes) }
    if (!this.#chained(line, own, text)) return
    this.#take(line, bytes, text, own)
  }

  /** The file is at its end, where so many bytes were without a LF. */
  finish(unfinished: number): void {
    if (unfinished === 0) return
    if (this.#suspect !== null) this.#settle(this.#suspect, false)
    this.#fail('truncated', this.#expected(), `${unfinished} bytes of a line without an end`, this.#inFile + 1)
  }

  unreadable(why: string): void {
    if (this.#suspect !== null) this.#settle(this.#suspect, false)
    this.#fail('parse', this.#expected(), why, this.#inFile + 1)
  }

  /** All files were read. */
  end(): void {
    if (this.#suspect !== null) this.#settle(this.#suspect, false)
    if (this.failed) return
    if (this.#last === null) return this.#fail('truncated', this.#from, 'there is no line', 0)
    const missing = this.#checkpoints.missing(this.#last.seq)
    if (missing !== null) return this.#fail(missing.fault, missing.seq, missing.detail, 0)
    if ((this.#first ?? 1) > this.#mayBegin)
      this.#fail('truncated', this.#mayBegin, `lines ${this.#mayBegin} to ${(this.#first ?? 1) - 1} are not there`, 0)
  }

  report(segments: number): VerifyReport {
    const { count, last, keys } = this.#checkpoints
    const seq = this.#last?.seq ?? 0
    return {
      ok: this.#bad === null,
      signed: this.#signed,
      keys,
      segments,
      lines: this.#lines,
      first: this.#first,
      checkpoints: count,
      lastCheckpoint: last,
      firstBad: this.#bad,
      uncovered: last === null ? this.#lines : Math.max(0, seq - last.seq),
      open: this.#pairing.size,
    }
  }

  /** The number that the next line should have. The first segment says itself where it begins; whether it may is settled at the end. */
  #expected(): number {
    if (this.#last !== null) return this.#last.seq + 1
    return Math.max(this.#from, this.#named ?? 1)
  }

  #chained(line: StoredLine, own: Place, text: string): boolean {
    const prev = this.#last?.hash ?? (line.seq === 1 ? genesis : line.prev)
    if (line.prev === prev) return true
    if (this.#last === null) this.#fail('chain', line.seq, 'the first line names a line before it')
    else this.#suspect = { before: this.#last, own, line, text }
    return false
  }

  /** `confirmed`: the line after the suspect holds its hash. Or its own signed note confirms it. Then the one before was changed; else it was. */
  #settle({ before, own, line, text }: Suspect, confirmed: boolean): void {
    const intact = confirmed || this.#checkpoints.vouches(line, text)
    const { file, line: inFile, seq } = intact ? before : own
    const detail = intact ? 'the next line holds another hash for this line' : 'this line does not hold the hash of the one before it'
    this.#bad ??= { file, line: inFile, seq, fault: 'chain', detail }
  }

  #take(line: StoredLine, bytes: Buffer, text: string, own: Place): void {
    if (this.#first === null) {
      this.#first = line.seq
      if (line.seq === 1) this.#checkpoints.begin()
      else this.#pairing = new Pairing(false)
    }
    this.#lines += 1
    this.#last = own
    if (line.kind === 'checkpoint') {
      const wrong = this.#checkpoints.take(line, text, this.#pairing)
      if (wrong !== null) return this.#fail(wrong.fault, line.seq, wrong.detail)
      this.#mayBegin = Math.max(this.#mayBegin, this.#mayBeginSaid)
    }
    const unpaired = this.#pairing.take(line)
    if (unpaired !== null) return this.#fail('pairing', line.seq, unpaired)
    this.#checkpoints.append(Buffer.from(own.hash, 'hex'))
    if (line.kind === 'event' && bytes.includes(pruned)) this.#mayBeginSaid = Math.max(this.#mayBeginSaid, prunedTo(text))
  }

  #fail(fault: Fault, seq: number, detail: string, line = this.#inFile): void {
    this.#bad ??= { file: this.#file, line, seq, fault, detail }
  }
}

/** The first line that stays, as an event `ledger.pruned` says; 1 when the line is no such event. */
function prunedTo(text: string): number {
  const { event, detail } = (JSON.parse(text) as { custom: { countersign: Record<string, unknown> } }).custom.countersign
  if (event !== 'ledger.pruned' || typeof detail !== 'object' || detail === null) return 1
  const first = (detail as { first?: unknown }).first
  return typeof first === 'number' && Number.isSafeInteger(first) ? first : 1
}
