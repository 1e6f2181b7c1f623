import { generateKeyPairSync } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import type { Call } from '../../src/listen/call.ts'
import { idSource } from '../../src/id.ts'
import type { Question } from '../../src/decide/decide.ts'
import type { Entry } from '../../src/record/record.ts'
import type { LedgerIo } from '../../src/record/ledger-io.ts'
import { diskIo } from '../../src/record/ledger-io.ts'
import type { RecorderOptions } from '../../src/record/recorder-options.ts'
import type { OpenRecorder } from '../../src/record/recorder.ts'
import { openRecorder } from '../../src/record/recorder.ts'
import { sketchDecision, sketchOutcome, sketchOwnLease, sketchPermit } from './decision.ts'
import { sketchCall, sketchCaller, sketchQuestion, sketchTarget } from './question.ts'

export interface Line {
  readonly [name: string]: unknown
  readonly decision_id: string
  readonly custom: {
    readonly countersign: Readonly<Record<string, unknown>> & { readonly seq: number; readonly prev: string; readonly kind: string }
  }
}

/** What a call to the disk is told to do instead: throw this code, or write only so many bytes. */
export type Trouble = string | number | null
export type IoCall = keyof LedgerIo

/** A ledger folder of its own with a clock that is moved by hand. Everything is gone after the test. */
export class LedgerRig {
  readonly dir = mkdtempSync(join(tmpdir(), 'ledger-'))
  readonly key: KeyObject = generateKeyPairSync('ed25519').privateKey
  now = 1_790_000_000_000
  /** What happened, in order: `flush`, `write`, and what a test adds. */
  readonly happened: string[] = []
  readonly logged: string[] = []
  /** Decides the fate of each call to the disk; `n` counts calls of all kinds from 1. */
  trouble: (call: IoCall, n: number) => Trouble = () => null
  #calls = 0
  readonly #newId = idSource(() => this.now)
  readonly #open = new Set<OpenRecorder>()

  /** Calls to the disk so far. */
  get calls(): number {
    return this.#calls
  }

  async open(options: Partial<RecorderOptions> = {}): Promise<OpenRecorder> {
    const recorder = await openRecorder({
      dir: this.dir,
      ledgerId: 'ledger.acme.example/one',
      labels: { id: 'side-1', version: '0.1.0' },
      durability: 'written',
      quota: 1 << 30,
      key: this.key,
      clock: () => this.now,
      newId: this.#newId,
      log: {
        info: (_, text) => this.logged.push(text),
        warn: (_, text) => this.logged.push(text),
        error: (_, text) => this.logged.push(text),
      },
      flushState: () => this.happened.push('flush'),
      checkpointMs: 3_600_000,
      retryMs: 1,
      io: this.io(),
      ...options,
    })
    this.#open.add(recorder)
    return recorder
  }

  /** A call of its own id. */
  call(sketch: Parameters<typeof sketchCall>[0] = {}): Call {
    return Object.assign(sketchCall(sketch), { id: this.#newId('c') })
  }

  /** Takes an entry through every mark up to (not including) its decision. */
  matched(recorder: OpenRecorder, question: Question): Entry {
    const entry = recorder.call(question.call)
    entry.identified(question.caller)
    entry.tasked(question.task)
    entry.matched(question.target)
    return entry
  }

  /** Takes an entry through every mark up to (not including) its commit. */
  judged(recorder: OpenRecorder, call: Call = this.call()): Entry {
    const question = sketchQuestion({ call, target: sketchTarget() })
    const entry = this.matched(recorder, question)
    entry.permitted(sketchPermit(entry.decided(sketchDecision(question))))
    return entry
  }

  /** One whole permitted call; resolves when its decision is acknowledged and its outcome queued. */
  async permitted(recorder: OpenRecorder, call: Call = this.call()): Promise<string> {
    const entry = this.judged(recorder, call)
    await entry.commit()
    entry.leased(sketchOwnLease())
    entry.close(sketchOutcome())
    return call.id
  }

  /** A call whose caller is known, refused for another reason. */
  known(recorder: OpenRecorder): Entry {
    const entry = recorder.call(this.call())
    entry.identified(sketchCaller())
    return entry
  }

  segments(): string[] {
    return readdirSync(this.dir)
      .filter((name) => name.endsWith('.ndjson'))
      .sort()
      .map((name) => join(this.dir, name))
  }

  /** How many lines a segment holds. */
  linesOf(segment: string): number {
    return readFileSync(segment, 'utf8').split('\n').length - 1
  }

  remove(segment: string): void {
    rmSync(segment)
  }

  text(): string {
    return this.segments()
      .map((path) => readFileSync(path, 'utf8'))
      .join('')
  }

  lines(): Line[] {
    return this.text()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Line)
  }

  ofKind(kind: string): Line[] {
    return this.lines().filter((line) => line.custom.countersign.kind === kind)
  }

  events(): unknown[] {
    return this.ofKind('event').map((line) => line.custom.countersign['event'])
  }

  /** The disk, with `trouble` in between. */
  io(): LedgerIo {
    const met = (call: IoCall): number | null => {
      this.#calls += 1
      const trouble = this.trouble(call, this.#calls)
      if (typeof trouble === 'string') throw Object.assign(new Error(trouble), { code: trouble })
      return trouble
    }
    return {
      open: (path, flags) => (met('open'), diskIo.open(path, flags)),
      write: (fd, bytes, offset, length) => {
        const short = met('write')
        this.happened.push('write')
        return diskIo.write(fd, bytes, offset, short === null ? length : Math.min(short, length))
      },
      sync: (fd, done) => {
        try {
          met('sync')
        } catch (error) {
          setImmediate(() => done(error as Error))
          return
        }
        diskIo.sync(fd, done)
      },
      syncNow: (fd) => (met('syncNow'), diskIo.syncNow(fd)),
      truncate: (fd, size) => (met('truncate'), diskIo.truncate(fd, size)),
      close: (fd) => (met('close'), diskIo.close(fd)),
      unlink: (path) => (met('unlink'), diskIo.unlink(path)),
    }
  }

  async end(): Promise<void> {
    this.trouble = () => null
    for (const recorder of this.#open) await recorder.close()
    rmSync(this.dir, { recursive: true, force: true })
  }
}

/** Makes a rig that ends after the present test. */
export function rigPerTest(): () => LedgerRig {
  const rigs: LedgerRig[] = []
  afterEach(async () => {
    for (const rig of rigs.splice(0)) await rig.end()
  })
  return () => {
    const rig = new LedgerRig()
    rigs.push(rig)
    return rig
  }
}

/** Resolves once `done` holds, looking after each turn of the event loop. */
export async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setImmediate(resolve))
}
