/** Verifies a ledger, trusting nothing but the public key: chain, numbers, checkpoints, and an outcome for every decision. */

import { hash } from 'node:crypto'
import { closeSync, openSync, statSync } from 'node:fs'
import { basename } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { genesis } from './chain.ts'
import { noteVerifier } from './checkpoint.ts'
import { CheckpointAudit } from './checkpoint-audit.ts'
import type { CheckpointRow } from './checkpoint-audit.ts'
import { LineReader } from './lines.ts'
import { OpenCalls } from './open-calls.ts'
import { listSegments, segmentFirst } from './segment.ts'
import type { StoredLine } from './stored-line.ts'
import { readStored } from './stored-line.ts'

export type Fault = 'parse' | 'order' | 'sequence' | 'chain' | 'checkpoint' | 'signature' | 'pairing' | 'truncated'

/** The first thing that is wrong. */
export interface BadLine {
  readonly file: string
  /** Line of that file, from 1; 0 when no line is there. */
  readonly line: number
  /** Number of the record that is bad or missing. */
  readonly seq: number
  readonly fault: Fault
  readonly detail: string
}

export interface VerifyReport {
  readonly ok: boolean
  /** False: there was no key, so the chain was checked and no signature. */
  readonly signed: boolean
  readonly segments: number
  readonly lines: number
  /** Number of the first line read. */
  readonly first: number | null
  readonly checkpoints: number
  readonly lastCheckpoint: CheckpointRow | null
  readonly firstBad: BadLine | null
  /** Lines after the last checkpoint: changed or cut without trace, unless a later checkpoint is held. */
  readonly uncovered: number
  /** Permitted calls without an outcome yet. */
  readonly open: number
}

export interface VerifyOptions {
  /** First line expected (default 1): what came before was archived and is taken on trust. */
  readonly from?: number
  /** A checkpoint (signed note) obtained elsewhere: the ledger must contain what it states. */
  readonly checkpoint?: string
}

/** A ledger folder, or segment files. `publicKey`: C2SP verifier key, or null to check the chain alone. Throws when a file cannot be read. */
export async function verifyLedger(
  source: string | readonly string[],
  publicKey: string | null,
  options: VerifyOptions = {},
): Promise<VerifyReport> {
  const paths = pathsOf(source)
  const audit = new LedgerAudit(publicKey, options)
  for (const path of paths) {
    if (audit.failed) break
    await readFile(path, audit, path === paths.at(-1))
  }
  audit.end()
  return audit.report(paths.length)
}

function pathsOf(source: string | readonly string[]): readonly string[] {
  const given = typeof source === 'string' ? [source] : source
  return given.flatMap((path) => (statSync(path).isDirectory() ? listSegments(path).map((row) => row.path) : [path]))
}

async function readFile(path: string, audit: LedgerAudit, last: boolean): Promise<void> {
  const fd = openSync(path, 'r')
  try {
    audit.begin(basename(path))
    const reader = new LineReader(fd)
    // a line without its end may be one that is being written just now: only one that stays so is torn
    const looks = last ? 5 : 1
    for (let look = 0; look < looks && (look === 0 || reader.unfinished > 0); look++) {
      if (look > 0) await delay(50)
      for await (const { bytes } of reader.read()) {
        audit.line(bytes)
        if (audit.failed) return
      }
    }
    audit.finish(reader.unfinished)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    audit.unreadable(error.message)
  } finally {
    closeSync(fd)
  }
}

/** What is known of the last line that fitted, or of the first that did not. */
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
}

class LedgerAudit {
  readonly #from: number
  readonly #checkpoints: CheckpointAudit
  readonly #open = new OpenCalls(new Map())
  readonly #signed: boolean
  #file = ''
  #inFile = 0
  #lines = 0
  #first: number | null = null
  #last: Place | null = null
  /** A line whose `prev` is not the hash of the one before: the next line tells which of the two was changed. */
  #suspect: Suspect | null = null
  #bad: BadLine | null = null

  constructor(publicKey: string | null, options: VerifyOptions) {
    this.#from = options.from ?? 1
    this.#signed = publicKey !== null
    const verifier = publicKey === null ? null : noteVerifier(publicKey)
    this.#checkpoints = new CheckpointAudit(verifier, options.checkpoint ?? null)
  }

  get failed(): boolean {
    return this.#bad !== null
  }

  begin(file: string): void {
    this.#file = file
    this.#inFile = 0
    const named = segmentFirst(file)
    const next = this.#last === null ? null : this.#last.seq + 1
    if (named !== null && next !== null && named !== next) this.#fail('order', next, 0, `the file should begin with line ${next}`)
  }

  line(bytes: Buffer): void {
    this.#inFile += 1
    const text = bytes.toString()
    const line = readStored(text)
    const expected = this.#last === null ? this.#from : this.#last.seq + 1
    if (this.#suspect !== null) return this.#settle(this.#suspect, line?.prev === this.#suspect.own.hash)
    if (line !== null && this.#last === null && line.seq < this.#from) return
    if (line === null) return this.#fail('parse', expected, this.#inFile, 'not a ledger line')
    const named = this.#inFile === 1 ? segmentFirst(this.#file) : null
    if (line.seq !== expected) return this.#fail('sequence', expected, this.#inFile, `line ${expected} is not there: ${line.seq} is`)
    if (named !== null && named !== line.seq) return this.#fail('order', expected, this.#inFile, 'the file is named after another line')
    const own: Place = { file: this.#file, line: this.#inFile, seq: line.seq, hash: hash('sha256', bytes) }
    if (!this.#chained(line, own)) return
    this.#lines += 1
    this.#first ??= line.seq
    this.#last = own
    this.#judge(line, text, own)
  }

  finish(unfinished: number): void {
    if (unfinished === 0 || this.failed) return
    this.#fail('truncated', (this.#last?.seq ?? this.#from - 1) + 1, this.#inFile + 1, `${unfinished} bytes of a line without an end`)
  }

  unreadable(why: string): void {
    this.#fail('parse', (this.#last?.seq ?? this.#from - 1) + 1, this.#inFile + 1, why)
  }

  /** All files were read. */
  end(): void {
    if (this.#suspect !== null && !this.failed) this.#settle(this.#suspect, this.#checkpoints.vouches(this.#suspect.line))
    if (this.failed) return
    if (this.#lines === 0) return this.#fail('truncated', this.#from, 0, 'there is no line')
    const missing = this.#checkpoints.missing(this.#last?.seq ?? 0)
    if (missing !== null) this.#fail(missing.fault, missing.seq, 0, missing.detail)
  }

  report(segments: number): VerifyReport {
    const { count, last } = this.#checkpoints
    const seq = this.#last?.seq ?? 0
    return {
      ok: this.#bad === null,
      signed: this.#signed,
      segments,
      lines: this.#lines,
      first: this.#first,
      checkpoints: count,
      lastCheckpoint: last,
      firstBad: this.#bad,
      uncovered: last === null ? this.#lines : Math.max(0, seq - last.seq),
      open: this.#open.size,
    }
  }

  #chained(line: StoredLine, own: Place): boolean {
    const prev = this.#last?.hash ?? (line.seq === 1 ? genesis : line.prev)
    if (line.prev === prev) return true
    if (this.#last === null) this.#fail('chain', line.seq, own.line, 'the first line names a line before it')
    else this.#suspect = { before: this.#last, own, line }
    return false
  }

  /** `intact`: the line after it, or its own signed note, confirms the suspect. Then the one before it was changed; else it was itself. */
  #settle({ before, own }: Suspect, intact: boolean): void {
    const { file, line, seq } = intact ? before : own
    const detail = intact ? 'the next line holds another hash for this line' : 'this line does not hold the hash of the one before it'
    this.#bad = { file, line, seq, fault: 'chain', detail }
  }

  #judge(line: StoredLine, text: string, own: Place): void {
    if (line.kind === 'decision') {
      if (this.#open.ended(line.id)) return this.#fail('pairing', line.seq, own.line, 'a second decision line for an open call')
      this.#open.began(line.id, line.seq)
    }
    // what began before the first line read cannot be paired
    if (line.kind === 'outcome' && !this.#open.ended(line.id) && this.#from === 1)
      this.#fail('pairing', line.seq, own.line, 'an outcome without an open decision')
    const wrong = this.#checkpoints.take(line, text, this.#from === 1 ? this.#open : null)
    if (wrong !== null) this.#fail(wrong.fault, wrong.seq, own.line, wrong.detail)
  }

  #fail(fault: Fault, seq: number, line: number, detail: string): void {
    this.#bad ??= { file: this.#file, line, seq, fault, detail }
  }
}
