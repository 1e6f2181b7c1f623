import { describe, expect, test } from 'vitest'
import type { SinkOffsets } from '../../../src/record/feed.ts'
import { SinkConfig, SinkConfigs, openSink } from '../../../src/record/registry.ts'
import { SinkFault } from '../../../src/record/sink.ts'
import type { NamedSink, RecordSink, SinkLine, Taken } from '../../../src/record/sink.ts'
import type { LineDestination } from '../../../src/record/sinks/stdout.ts'
import { lineSink } from '../../../src/record/sinks/stdout.ts'
import { rigPerTest, until } from '../../support/ledger-rig.ts'
import { sinkServices } from '../../support/sink-rig.ts'

const rigged = rigPerTest()
const live = new AbortController().signal

class KeptSink implements RecordSink {
  readonly type = 'kept'
  readonly batch = { lines: 100, characters: 1_000_000, linger: 0 }
  readonly seen: number[] = []
  readonly lines: string[] = []
  readonly sizes: number[] = []
  /** Set to make it slow or failing. */
  before: (seq: number) => void | Promise<void> = () => undefined
  /** How many lines it takes of those it is given. */
  takes = Number.POSITIVE_INFINITY
  closed = false

  async write(lines: readonly SinkLine[]): Promise<Taken> {
    const some = lines.slice(0, this.takes)
    await this.before(some[0]!.seq)
    this.sizes.push(lines.length)
    this.seen.push(...some.map(({ seq }) => seq))
    this.lines.push(...some.map(({ line }) => line))
    return { lines: some.length }
  }

  async close(): Promise<void> {
    this.closed = true
  }
}

function called(name: string, sink: RecordSink, more: Partial<NamedSink> = {}): NamedSink {
  return { name, sink, from: 'now', kinds: null, ...more }
}

/** Offsets that outlive a recorder. */
class Kept implements SinkOffsets {
  readonly at = new Map<string, number>()
  read = async (name: string): Promise<number | null> => this.at.get(name) ?? null
  write = async (name: string, seq: number): Promise<void> => void this.at.set(name, seq)
}

const upTo = (first: number, last: number): number[] => Array.from({ length: last - first + 1 }, (_, at) => first + at)

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
    const recorder = await rig.open({ sinkGrace: 100, sinks: [called('kept', sink)], segmentBytes: 5000 })
    const { seq } = recorder.position()
    for (let call = 0; call < 10; call++) await rig.permitted(recorder)
    await recorder.close()
    expect(sink.lines).toEqual(rig.text().split('\n').slice(seq, -1))
    expect(sink.closed).toBe(true)
  })

  test('that begin at the start get what was there before them', async () => {
    const rig = rigged()
    const before = await rig.open()
    for (let call = 0; call < 5; call++) await rig.permitted(before)
    await before.close()
    const sink = new KeptSink()
    const recorder = await rig.open({ sinkGrace: 100, sinks: [called('kept', sink, { from: 'start' })] })
    await recorder.close()
    expect(sink.lines).toEqual(rig.text().split('\n').slice(0, -1))
  })

  test('that hang hold no call, and go on from their offset after a restart', async () => {
    const rig = rigged()
    const sinkOffsets = new Kept()
    const hung = new KeptSink()
    hung.takes = 2
    hung.before = (seq) => (seq > 5 ? new Promise(() => undefined) : undefined)
    const recorder = await rig.open({ sinkGrace: 100, sinks: [called('kept', hung)], sinkOffsets })
    for (let call = 0; call < 50; call++) await rig.permitted(recorder)
    expect(recorder.failed).toBe(false)
    await recorder.close()
    const taken = sinkOffsets.at.get('kept')!
    expect(hung.seen).toEqual(upTo(4, taken))
    expect(taken).toBeLessThan(100)
    const sink = new KeptSink()
    const again = await rig.open({ sinkGrace: 100, sinks: [called('kept', sink)], sinkOffsets })
    await again.close()
    expect(sink.seen).toEqual(upTo(taken + 1, rig.lines().length))
  })

  test('have their offset kept before the first line, so that a kill does not move the beginning', async () => {
    const rig = rigged()
    const sinkOffsets = new Kept()
    const recorder = await rig.open({ sinkGrace: 100, sinks: [called('kept', new KeptSink())], sinkOffsets })
    expect(sinkOffsets.at.get('kept')).toBe(3)
    await recorder.close()
  })

  test('that take only some of a batch are given the others again, in order', async () => {
    const rig = rigged()
    const sink = new KeptSink()
    sink.takes = 3
    const recorder = await rig.open({ sinkGrace: 100, sinks: [called('kept', sink)] })
    for (let call = 0; call < 20; call++) await rig.permitted(recorder)
    await recorder.close()
    expect(sink.seen).toEqual(upTo(4, rig.lines().length))
  })

  test('that throw are given the same lines again, and what they do is logged once and counted', async () => {
    const rig = rigged()
    const sink = new KeptSink()
    let failures = 2
    sink.before = () => {
      if (failures-- > 0) throw new SinkFault('status', 'the receiver answered 503', 1)
    }
    const recorder = await rig.open({ sinkGrace: 100, sinks: [called('kept', sink)], sinkRetry: { first: 1, most: 2 } })
    const { seq } = recorder.position()
    await rig.permitted(recorder)
    await until(() => sink.seen.length === 2)
    expect(sink.seen).toEqual([seq + 1, seq + 2])
    expect(rig.logged.filter((text) => text === 'a record sink takes no lines: they wait in the ledger')).toHaveLength(1)
    expect(rig.logged).toContain('a record sink takes lines again')
    const [status] = recorder.sinks()
    expect(status).toMatchObject({ name: 'kept', lagLines: 0, lines: 2, failingSince: null })
    expect([...status!.failures]).toEqual([['status', 2]])
  })

  test('say how far they are behind, in lines and by the age of the oldest', async () => {
    const rig = rigged()
    const sink = new KeptSink()
    const { promise: given, resolve: give } = Promise.withResolvers<void>()
    sink.before = () => {
      give()
      return new Promise(() => undefined)
    }
    const recorder = await rig.open({ sinkGrace: 100, sinks: [called('kept', sink)] })
    for (let call = 0; call < 3; call++) await rig.permitted(recorder)
    await given
    expect(recorder.sinks()[0]).toMatchObject({ lagLines: 6, lagSeconds: 0 })
    rig.now += 90_000
    expect(recorder.sinks()[0]).toMatchObject({ lagLines: 6, lagSeconds: 90, lines: 0 })
  })

  test('never hold more than a batch in memory', async () => {
    const rig = rigged()
    const sink = new KeptSink()
    const recorder = await rig.open({ sinkGrace: 100, sinks: [called('kept', sink)] })
    let go = (): void => undefined
    sink.before = () => new Promise((resolve) => (go = resolve))
    for (let call = 0; call < 300; call++) await rig.permitted(recorder)
    sink.before = () => undefined
    go()
    await until(() => sink.seen.length >= 600)
    expect(Math.max(...sink.sizes)).toBe(100)
    expect(sink.seen).toEqual(upTo(4, 603))
  })

  test('of two names of one type have offsets of their own', async () => {
    const rig = rigged()
    const sinkOffsets = new Kept()
    const [one, two] = [new KeptSink(), new KeptSink()]
    two.before = () => new Promise(() => undefined)
    const recorder = await rig.open({ sinkGrace: 100, sinks: [called('one', one), called('two', two)], sinkOffsets })
    await rig.permitted(recorder)
    await recorder.close()
    expect([sinkOffsets.at.get('one'), sinkOffsets.at.get('two')]).toEqual([6, 3])
  })

  test('that are given some kinds of lines pass the others over, also where an agent wrote one that looks like it', async () => {
    const rig = rigged()
    const sinkOffsets = new Kept()
    const sink = new KeptSink()
    const recorder = await rig.open({ sinkGrace: 100, sinks: [called('kept', sink, { kinds: new Set(['event']) })], sinkOffsets })
    await rig.permitted(recorder)
    await recorder.event({
      kind: 'task.opened',
      by: 'x","kind":"decision',
      detail: { kind: 'decision', custom: { countersign: { kind: 'decision' } } },
    })
    await recorder.close()
    expect(sink.lines.map((line) => JSON.parse(line).custom.countersign.event)).toEqual(['task.opened'])
    expect(sinkOffsets.at.get('kept')).toBe(rig.lines().length)
  })

  test('whose lines are not there any more say so in log, count and ledger, and go on with the oldest', async () => {
    const rig = rigged()
    const sinkOffsets = new Kept()
    const before = await rig.open({ segmentBytes: 4000 })
    for (let call = 0; call < 20; call++) await rig.permitted(before)
    await before.close()
    const [oldest, ...others] = rig.segments()
    const gone = rig.linesOf(oldest!)
    rig.remove(oldest!)
    sinkOffsets.at.set('kept', 1)
    const sink = new KeptSink()
    const recorder = await rig.open({ sinkGrace: 100, sinks: [called('kept', sink)], sinkOffsets })
    await until(() => rig.events().includes('sink.gap'))
    await recorder.close()
    expect(sink.seen[0]).toBe(gone + 1)
    expect(others.length).toBeGreaterThan(1)
    expect([...recorder.sinks()[0]!.gaps]).toEqual([['pruned', gone - 1]])
    const [gap] = rig.lines().filter((line) => line.custom.countersign['event'] === 'sink.gap')
    expect(gap?.custom.countersign['detail']).toEqual({ sink: 'kept', first: 2, last: gone, reason: 'pruned' })
  })

  test('that have taken more than the ledger holds are given all of it: it is another one', async () => {
    const rig = rigged()
    const sinkOffsets = new Kept()
    sinkOffsets.at.set('kept', 5000)
    const sink = new KeptSink()
    const recorder = await rig.open({ sinkGrace: 100, sinks: [called('kept', sink)], sinkOffsets })
    await recorder.close()
    expect(sink.seen).toEqual(upTo(1, rig.lines().length))
    expect(rig.logged).toContain('the ledger is shorter than what a record sink has taken of it: it is given all of it')
  })

  test('can be changed while lines come: what stays goes on, what comes again goes on where it was, and no line is missed', async () => {
    const rig = rigged()
    const sinkOffsets = new Kept()
    const [stays, first, second] = [new KeptSink(), new KeptSink(), new KeptSink()]
    const staying = called('stays', stays)
    const recorder = await rig.open({ sinkGrace: 100, sinks: [staying, called('changed', first)], sinkOffsets })
    await rig.permitted(recorder)
    await recorder.changeSinks([staying])
    await rig.permitted(recorder)
    await recorder.changeSinks([staying, called('changed', second)])
    await rig.permitted(recorder)
    await recorder.close()
    const all = upTo(4, rig.lines().length)
    expect([stays.seen, [...first.seen, ...second.seen]]).toEqual([all, all])
    expect(first.closed).toBe(true)
    expect(second.seen.length).toBeGreaterThan(4)
  })

  test('stdout writes lines as they are stored and waits for a full destination to drain', async () => {
    const destination = new FakeDestination()
    const sink = lineSink('stdout', destination)
    destination.full = true
    let taken = false
    const first = sink.write([{ seq: 1, line: '{"a":1}' }], live).then(() => (taken = true))
    await Promise.resolve()
    expect([destination.written, taken]).toEqual([['{"a":1}\n'], false])
    destination.happen('drain')
    await first
    destination.full = false
    const two = [
      { seq: 2, line: '{"b":2}' },
      { seq: 3, line: '{"c":3}' },
    ]
    expect(await sink.write(two, live)).toEqual({ lines: 2 })
    expect(destination.written[1]).toBe('{"b":2}\n{"c":3}\n')
    await sink.close()
  })

  test('a destination that fails turns lines down and does not end the process', async () => {
    const destination = new FakeDestination()
    const sink = lineSink('stdout', destination)
    destination.full = true
    const waiting = sink.write([{ seq: 1, line: '{"a":1}' }], live)
    destination.happen('error')
    await expect(waiting).rejects.toThrow('the destination failed')
    await expect(sink.write([{ seq: 1, line: '{"a":1}' }], live)).rejects.toThrow('the destination failed')
    await sink.close()
  })

  test('are configured by type, and nothing else is', async () => {
    expect(SinkConfig.parse({ type: 'stdout' })).toEqual({ type: 'stdout', from: 'now' })
    expect(SinkConfig.safeParse({ type: 'stdout', colour: true }).success).toBe(false)
    expect(SinkConfig.safeParse({ type: 'file' }).success).toBe(false)
    await openSink(SinkConfig.parse({ type: 'stdout' }), sinkServices()).sink.close()
  })

  test('of one name are refused: each has an offset of its own', () => {
    const opa = { type: 'opa', url: 'https://logs.example' }
    expect(SinkConfigs.safeParse([opa, { ...opa, name: 'second' }]).success).toBe(true)
    const { error } = SinkConfigs.safeParse([opa, opa])
    expect(error?.issues).toMatchObject([{ path: [1, 'name'], message: expect.stringContaining('another sink is called "opa"') }])
  })

  test('are sent to over TLS, or on this machine, and with secrets from files and variables alone', () => {
    const parse = (settings: object): boolean => SinkConfig.safeParse({ type: 'opa', url: 'https://logs.example', ...settings }).success
    expect(parse({ url: 'http://logs.example' })).toBe(false)
    expect(parse({ url: 'http://127.0.0.1:8181' })).toBe(true)
    expect(parse({ url: 'https://me:secret@logs.example' })).toBe(false)
    expect(parse({ token: 'abc' })).toBe(false)
    expect(parse({ token: { env: 'TOKEN' } })).toBe(true)
    expect(parse({ headers: { 'x-key': 'abc' } })).toBe(false)
    expect(parse({ tls: { cert: { file: 'a' } } })).toBe(false)
  })
})
