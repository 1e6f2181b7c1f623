import { status } from '@grpc/grpc-js'
import { describe, expect, test } from 'vitest'
import { Backoff } from '../../../../src/identify/workload-api/backoff.ts'
import type { StreamListener } from '../../../../src/identify/workload-api/connection.ts'
import { startWatch } from '../../../../src/identify/workload-api/watch.ts'
import type { OwnWatch } from '../../../../src/identify/workload-api/watch.ts'
import { Told } from '../../../support/workload-rig.ts'

/** Time that stands until it is moved. */
class HandPace {
  #now = 1_000_000
  #timers: { readonly at: number; readonly act: () => void }[] = []

  now(): number {
    return this.#now
  }

  after(ms: number, act: () => void): () => void {
    const timer = { at: this.#now + ms, act }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer)
    }
  }

  /** Ms until each timer that is set, the next first. */
  get set(): number[] {
    return this.#timers.map(({ at }) => at - this.#now).sort((a, b) => a - b)
  }

  pass(ms: number): void {
    const until = this.#now + ms
    for (;;) {
      const [next] = this.#timers.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)
      if (next === undefined) break
      this.#timers = this.#timers.filter((each) => each !== next)
      this.#now = Math.max(this.#now, next.at)
      next.act()
    }
    this.#now = until
  }
}

interface Rig {
  readonly pace: HandPace
  readonly told: Told<string>
  /** Every stream that was opened, the newest last. */
  readonly streams: (StreamListener & { cancelled: boolean })[]
  readonly watch: OwnWatch
  readonly last: () => StreamListener
  readonly say: (text: string) => void
}

/** A watch of texts; the text `bad` is one to discard. */
function rig(listener?: (told: Told<string>) => Told<string>['listener']): Rig {
  const pace = new HandPace()
  const told = new Told<string>()
  const streams: Rig['streams'] = []
  const watch = startWatch<string>({
    open(stream) {
      const opened = { ...stream, cancelled: false }
      streams.push(opened)
      return () => {
        opened.cancelled = true
      }
    },
    read(bytes, before) {
      const text = Buffer.from(bytes).toString()
      if (text === 'bad') throw new Error('the mandatory field svids is empty')
      return before === null ? text : `${before},${text}`
    },
    listener: listener?.(told) ?? told.listener,
    backoff: new Backoff({ random: () => 0 }),
    pace,
    patience: 30_000,
  })
  const last = (): StreamListener => {
    const stream = streams.at(-1)
    if (stream === undefined) throw new Error('no stream was opened')
    return stream
  }
  return { pace, told, streams, watch, last, say: (text) => last().message(Buffer.from(text)) }
}

describe('a watch', () => {
  test('asks at once, and hands on each message with the one before it', () => {
    const { told, say, streams } = rig()
    expect(streams).toHaveLength(1)
    say('one')
    say('two')
    expect(told.events).toEqual([
      { kind: 'update', value: 'one' },
      { kind: 'update', value: 'one,two' },
    ])
  })

  test('reports a message to discard, keeps the stream and what was there', () => {
    const { told, say, streams } = rig()
    say('one')
    say('bad')
    say('two')
    expect(told.events[1]).toEqual({ kind: 'discarded', why: 'the mandatory field svids is empty' })
    expect(told.events[2]).toEqual({ kind: 'update', value: 'one,two' })
    expect(streams).toHaveLength(1)
  })

  test('waits a second longer each time while the endpoint is away, and says so once', () => {
    const { told, pace, last, streams } = rig()
    const waits: number[] = []
    for (let tries = 0; tries < 35; tries++) {
      last().end(status.UNAVAILABLE, 'no such socket')
      waits.push(...pace.set)
      pace.pass(pace.set[0] ?? 0)
    }
    expect(waits.slice(0, 3)).toEqual([1000, 2000, 3000])
    expect(waits.at(-1)).toBe(30_000)
    expect(streams).toHaveLength(36)
    expect(told.kinds).toEqual(['unavailable'])
  })

  test('comes back at once after a stream that gave something, and starts to wait from one second on', () => {
    const { pace, last, say, streams } = rig()
    last().end(status.UNAVAILABLE, '')
    pace.pass(1000)
    last().end(status.UNAVAILABLE, '')
    pace.pass(2000)
    say('one')
    last().end(status.UNAVAILABLE, '')
    expect(pace.set).toEqual([0])
    pace.pass(0)
    expect(streams).toHaveLength(4)
    last().end(status.UNAVAILABLE, '')
    expect(pace.set).toEqual([1000])
  })

  test('comes back at once when the server ends the stream cleanly, which is no fault to tell', () => {
    const { told, pace, last, say, streams } = rig()
    say('one')
    last().end(status.OK, '')
    expect(pace.set).toEqual([0])
    pace.pass(0)
    expect(streams).toHaveLength(2)
    expect(told.kinds).toEqual(['update'])
  })

  test('does not spin when a server ends every stream right after its message', () => {
    const { pace, last, say, streams } = rig()
    say('one')
    last().end(status.OK, '')
    for (let times = 0; times < 10; times++) {
      pace.pass(0)
      pace.pass(pace.set[0] ?? 0)
      say('again')
      last().end(status.OK, '')
    }
    // within ten seconds of trouble: about one a second, and one rush beside
    pace.pass(0)
    expect(streams.length).toBeLessThanOrEqual(12)
    expect(pace.set.length).toBe(1)
  })

  test('takes a stream that ends cleanly without a usable message for a failure', () => {
    const { told, pace, last, say } = rig()
    say('bad')
    last().end(status.OK, '')
    expect(told.kinds).toEqual(['discarded', 'unavailable'])
    expect(pace.set).toEqual([1000])
  })

  test('tells of a redaction at once, forgets what was there, and asks again after a wait', () => {
    const { told, pace, last, say } = rig()
    say('one')
    last().end(status.PERMISSION_DENIED, 'no identity issued')
    expect(told.events[1]).toEqual({ kind: 'redacted', why: 'the Workload API answered PERMISSION_DENIED: no identity issued' })
    expect(pace.set).toEqual([1000])
    pace.pass(1000)
    say('two')
    expect(told.events[2]).toEqual({ kind: 'update', value: 'two' })
  })

  test('tells the same redaction once, and again after something else', () => {
    const { told, pace, last } = rig()
    for (const code of [status.PERMISSION_DENIED, status.PERMISSION_DENIED, status.UNAVAILABLE, status.PERMISSION_DENIED]) {
      last().end(code, 'x')
      pace.pass(30_000)
    }
    expect(told.kinds).toEqual(['redacted', 'unavailable', 'redacted'])
  })

  test.each([
    ['INVALID_ARGUMENT', status.INVALID_ARGUMENT, 'invalid-argument'],
    ['UNIMPLEMENTED', status.UNIMPLEMENTED, 'unimplemented'],
  ])('ends for good on %s', (_, code, fault) => {
    const { told, pace, last, streams } = rig()
    last().end(code, 'no')
    expect(told.events).toMatchObject([{ kind: 'ended', fault: { code: fault } }])
    expect(pace.set).toEqual([])
    pace.pass(60_000)
    expect(streams).toHaveLength(1)
  })

  test.each([status.UNAVAILABLE, status.INTERNAL, status.UNKNOWN, status.CANCELLED, status.RESOURCE_EXHAUSTED, status.UNAUTHENTICATED])(
    'takes status %s for something that may pass',
    (code) => {
      const { told, pace, last } = rig()
      last().end(code, '')
      expect(told.kinds).toEqual(['unavailable'])
      expect(pace.set).toEqual([1000])
    },
  )

  test('gives up a stream that says nothing at all, but not one that was silent after its first message', () => {
    const { told, pace, say, streams } = rig()
    pace.pass(30_000)
    expect(streams[0]?.cancelled).toBe(true)
    expect(told.kinds).toEqual(['unavailable'])
    pace.pass(1000)
    say('one')
    pace.pass(10 * 60_000)
    expect(streams).toHaveLength(2)
    expect(streams[1]?.cancelled).toBe(false)
  })

  test('after it was closed sets no timer, cancels its stream and tells nothing', () => {
    const { told, pace, watch, last, say, streams } = rig()
    say('one')
    watch.close()
    expect(streams[0]?.cancelled).toBe(true)
    say('two')
    last().end(status.PERMISSION_DENIED, '')
    watch.end(new Error('late') as never)
    expect(told.kinds).toEqual(['update'])
    expect(pace.set).toEqual([])
  })

  test('can be closed while it waits', () => {
    const { pace, watch, last, streams } = rig()
    last().end(status.UNAVAILABLE, '')
    watch.close()
    pace.pass(60_000)
    expect(streams).toHaveLength(1)
  })

  test('can be closed by its own listener', () => {
    let watch: OwnWatch | null = null
    const made = rig((told) => (event) => {
      told.listener(event)
      watch?.close()
    })
    watch = made.watch
    made.last().end(status.UNAVAILABLE, '')
    expect(made.told.kinds).toEqual(['unavailable'])
    expect(made.pace.set).toEqual([])
  })
})
