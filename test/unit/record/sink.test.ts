import { describe, expect, test } from 'vitest'
import { SinkConfig, openSink } from '../../../src/record/registry.ts'
import type { RecordSink, SinkOffsets } from '../../../src/record/sink.ts'
import type { LineDestination } from '../../../src/record/stdout.ts'
import { lineSink } from '../../../src/record/stdout.ts'
import { rigPerTest, until } from '../../support/ledger-rig.ts'

const rigged = rigPerTest()

class KeptSink implements RecordSink {
  readonly type = 'kept'
  readonly seen: number[] = []
  readonly lines: string[] = []
  /** Set to make it slow or failing. */
  before: (seq: number) => void | Promise<void> = () => undefined
  closed = false

  async write(line: string, seq: number): Promise<void> {
    await this.before(seq)
    this.seen.push(seq)
    this.lines.push(line)
  }

  async close(): Promise<void> {
    this.closed = true
  }
}

class FakeDestination implements LineDestination {
  readonly written: string[] = []
  readonly #listeners = new Map<string, (error: unknown) => void>()
  full = false

  write(text: string): boolean {
    this.written.push(text)
    return !this.full
  }

  on(event: string, listener: (error: unknown) => void): void {
    this.#listeners.set(event, listener)
  }

  once(event: string, listener: () => void): void {
    this.#listeners.set(event, listener)
  }

  end(): void {
    this.happen('close')
  }

  happen(event: string): void {
    this.#listeners.get(event)?.(null)
  }
}

describe('sinks', () => {
  test('get every line from the moment they were opened, in order, the last checkpoint included', async () => {
    const rig = rigged()
    const sink = new KeptSink()
    const recorder = await rig.open({ sinks: [sink], segmentBytes: 5000 })
    const { seq } = recorder.position()
    for (let call = 0; call < 10; call++) await rig.permitted(recorder)
    await recorder.close()
    expect(sink.lines).toEqual(rig.text().split('\n').slice(seq, -1))
    expect(sink.closed).toBe(true)
  })

  test('that hang hold no call, and go on from their offset after a restart', async () => {
    const rig = rigged()
    const kept = new Map<string, number>()
    const sinkOffsets: SinkOffsets = { read: async (name) => kept.get(name) ?? null, write: async (name, seq) => void kept.set(name, seq) }
    const hung = new KeptSink()
    hung.before = (seq) => (seq > 4 ? new Promise(() => undefined) : undefined)
    const recorder = await rig.open({ sinks: [hung], sinkOffsets })
    for (let call = 0; call < 50; call++) await rig.permitted(recorder)
    expect(recorder.failed).toBe(false)
    await recorder.close()
    expect(hung.seen).toEqual([3, 4])
    const sink = new KeptSink()
    const again = await rig.open({ sinks: [sink], sinkOffsets })
    await again.close()
    expect(sink.seen).toEqual(
      rig
        .lines()
        .slice(4)
        .map((line) => line.custom.countersign.seq),
    )
  })

  test('that throw are given the same line again', async () => {
    const rig = rigged()
    const sink = new KeptSink()
    let failures = 1
    sink.before = () => {
      if (failures-- > 0) throw new Error('no')
    }
    const recorder = await rig.open({ sinks: [sink] })
    const { seq } = recorder.position()
    await rig.permitted(recorder)
    await until(() => sink.seen.length === 2)
    expect(sink.seen).toEqual([seq + 1, seq + 2])
    expect(rig.logged).toContain('a record sink took no line')
  })

  test('stdout writes the line as it is stored and waits for a full destination to drain', async () => {
    const destination = new FakeDestination()
    const sink = lineSink('stdout', destination)
    destination.full = true
    let taken = false
    const first = Promise.resolve(sink.write('{"a":1}', 1)).then(() => (taken = true))
    await Promise.resolve()
    expect([destination.written, taken]).toEqual([['{"a":1}\n'], false])
    destination.happen('drain')
    await first
    destination.full = false
    expect(sink.write('{"b":2}', 2)).toBeUndefined()
    await sink.close()
  })

  test('a destination that fails turns lines down and does not end the process', async () => {
    const destination = new FakeDestination()
    const sink = lineSink('stdout', destination)
    destination.full = true
    const waiting = sink.write('{"a":1}', 1)
    destination.happen('error')
    await expect(waiting).rejects.toThrow('the destination failed')
    expect(() => sink.write('{"a":1}', 1)).toThrow('the destination failed')
    await sink.close()
  })

  test('are configured by type, and nothing else is', async () => {
    expect(SinkConfig.parse({ type: 'stdout' })).toEqual({ type: 'stdout' })
    expect(SinkConfig.safeParse({ type: 'stdout', colour: true }).success).toBe(false)
    expect(SinkConfig.safeParse({ type: 'file' }).success).toBe(false)
    const log = { info: () => undefined, warn: () => undefined, error: () => undefined }
    await openSink({ type: 'stdout' }, { log }).close()
  })
})
