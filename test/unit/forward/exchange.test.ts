import { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Dispatcher } from 'undici'
import { describe, expect, test } from 'vitest'
import { noEchoes } from '../../../src/forward/echoes.ts'
import type { Observed } from '../../../src/forward/effect.ts'
import { Exchange, type Job } from '../../../src/forward/exchange.ts'
import { Finds } from '../../../src/forward/finds.ts'
import { Lines } from '../../../src/forward/lines.ts'
import { Sweep, ticksOf } from '../../../src/forward/sweep.ts'
import type { Upload } from '../../../src/forward/upload.ts'
import { describeUpstream } from '../../../src/forward/upstream.ts'
import { Refusal } from '../../../src/refusal.ts'
import { sketchCall, sketchRoute } from '../../support/question.ts'

/** A response that keeps what it is told; `writableLength` is what a test says is still queued. */
class Told extends EventEmitter {
  readonly told: string[] = []
  writableLength = 0
  headersSent = false
  destroyed = false
  writableEnded = false
  chunkedEncoding = false
  writeHead(status: number): void {
    this.headersSent = true
    this.told.push(`head ${status}`)
  }
  flushHeaders(): void {}
  write(chunk: Buffer): boolean {
    this.told.push(`write ${chunk.length}`)
    return this.writableLength === 0
  }
  end(chunk?: Buffer): void {
    this.writableEnded = true
    this.told.push(chunk === undefined ? 'end' : `end ${chunk.length}`)
  }
  destroy(): void {
    this.destroyed = true
    this.told.push('destroy')
  }
}

interface Sketch {
  readonly exchange: Exchange
  readonly told: Told
  readonly abort: AbortController
  readonly sweep: Sweep
  readonly controller: Dispatcher.DispatchController & { paused: boolean }
  /** What it settled with; null while it has not. */
  readonly ended: () => Promise<Observed | Refusal | null>
}

function sketch(upload: Upload | null = null): Sketch {
  const told = new Told()
  const abort = new AbortController()
  const call = sketchCall({ signal: abort.signal })
  const upstream = describeUpstream(sketchRoute({ credential: null, timeouts: { connect: 1000, head: 1000, idle: 2000 } }))
  const lines = new Lines({ origin: 'http://127.0.0.1:1', dial: () => () => undefined, headBytes: 1024 })
  const sweep = new Sweep()
  const job: Job = {
    call: { ...call, outgoing: told as unknown as ServerResponse, incoming: { socket: told } as unknown as IncomingMessage },
    signal: abort.signal,
    upstream,
    lines,
    sweep,
    echoes: noEchoes,
    finds: new Finds(null),
    scrub: null,
    maxHeaders: 10,
    upload,
    sha256: null,
    sent: null,
    given: null,
  }
  let end: Observed | Refusal | null = null
  const exchange = new Exchange(
    job,
    (observed) => (end = observed),
    (refusal) => (end = refusal),
  )
  exchange.start({ method: 'GET', path: '/' })
  sweep.close()
  let paused = false
  const controller = {
    aborted: false,
    reason: null,
    get paused() {
      return paused
    },
    abort: () => undefined,
    pause: () => void (paused = true),
    resume: () => void (paused = false),
  }
  return { exchange, told, abort, sweep, controller, ended: async () => end }
}

const chunk = (size: number): Buffer => Buffer.alloc(size)

describe('Exchange', () => {
  test('writes a whole answer with two calls and settles at once when nothing is queued', async () => {
    const { exchange, told, controller, ended } = sketch()
    exchange.onRequestStart(controller)
    exchange.onResponseStart(controller, 200, { 'content-length': '5' }, 'OK')
    exchange.onResponseData(controller, chunk(5))
    exchange.onResponseEnd(controller, {})
    expect(told.told).toEqual(['head 200', 'end 5'])
    expect(await ended()).toMatchObject({ status: 200, ended: 'complete', bytesIn: 5 })
  })

  test('is not over while the agent still has bytes to come, and a cut then destroys them', async () => {
    const { exchange, told, abort, controller, ended } = sketch()
    exchange.onRequestStart(controller)
    exchange.onResponseStart(controller, 200, { 'content-length': '5' }, 'OK')
    told.writableLength = 5
    exchange.onResponseData(controller, chunk(5))
    exchange.onResponseEnd(controller, {})
    expect(await ended()).toBeNull()
    abort.abort(new Refusal('kill.engaged'))
    expect(told.told.at(-1)).toBe('destroy')
    expect(await ended()).toMatchObject({ ended: 'cut', status: 200 })
  })

  test('settles when the last byte has gone', async () => {
    const { exchange, told, controller, ended } = sketch()
    exchange.onRequestStart(controller)
    exchange.onResponseStart(controller, 200, {}, 'OK')
    exchange.onResponseData(controller, chunk(3))
    told.writableLength = 3
    exchange.onResponseEnd(controller, {})
    expect(await ended()).toBeNull()
    told.emit('finish')
    expect(await ended()).toMatchObject({ ended: 'complete' })
    expect(told.told).toEqual(['head 200', 'write 3', 'end'])
  })

  test('ignores empty chunks, pauses past the queue limit alone, and resumes on drain', () => {
    const { exchange, told, controller } = sketch()
    exchange.onRequestStart(controller)
    exchange.onResponseStart(controller, 200, {}, 'OK')
    exchange.onResponseData(controller, chunk(0))
    told.writableLength = 200 * 1024
    exchange.onResponseData(controller, chunk(1))
    expect(controller.paused).toBe(false)
    told.writableLength = 300 * 1024
    exchange.onResponseData(controller, chunk(1))
    expect(controller.paused).toBe(true)
    told.emit('drain')
    expect(controller.paused).toBe(false)
    expect(told.told).toEqual(['head 200', 'write 1', 'write 1'])
  })

  test('after an early answer the end waits until the agent was heard out', async () => {
    let heardOut = (): void => undefined
    const upload = { done: false, fault: null, sha256: null, stalled: false, destroy: () => undefined } as unknown as Upload
    upload.discard = (_ms, then) => void (heardOut = then)
    const { exchange, told, controller, ended } = sketch(upload)
    exchange.onRequestStart(controller)
    exchange.onResponseStart(controller, 413, { 'content-length': '2' }, 'Too Large')
    exchange.onResponseData(controller, chunk(2))
    exchange.onResponseEnd(controller, {})
    expect(told.told).toEqual(['head 413', 'write 2'])
    heardOut()
    expect(told.told).toEqual(['head 413', 'write 2', 'end'])
    expect(await ended()).toMatchObject({ status: 413, ended: 'complete' })
  })

  test('settles once, whatever comes afterwards', async () => {
    const { exchange, told, abort, controller, ended } = sketch()
    exchange.onRequestStart(controller)
    abort.abort(new Refusal('task.ended'))
    const first = await ended()
    exchange.onResponseStart(controller, 200, {}, 'OK')
    exchange.onResponseError(controller, new Error('aborted'))
    exchange.onResponseEnd(controller, {})
    exchange.expire(10_000)
    exchange.cut(new Refusal('listen.draining'))
    expect(first).toMatchObject({ code: 'task.ended' })
    expect(await ended()).toBe(first)
    expect(told.told).toEqual([])
  })

  test('times an answer by its parts: to its head, between its bytes, to its reader', async () => {
    const head = sketch()
    head.exchange.onRequestStart(head.controller)
    head.exchange.expire(ticksOf(1000))
    expect(await head.ended()).toBeNull()
    head.exchange.expire(ticksOf(1000) + 1)
    expect(await head.ended()).toMatchObject({ code: 'forward.timeout' })

    const idle = sketch()
    idle.exchange.onRequestStart(idle.controller)
    idle.exchange.onResponseStart(idle.controller, 200, {}, 'OK')
    idle.exchange.expire(ticksOf(2000) + 1)
    expect(await idle.ended()).toMatchObject({ ended: 'upstream-gone' })

    const reader = sketch()
    reader.exchange.onRequestStart(reader.controller)
    reader.exchange.onResponseStart(reader.controller, 200, { 'content-type': 'text/event-stream' }, 'OK')
    reader.exchange.expire(ticksOf(2000) + 1)
    expect(await reader.ended()).toBeNull()
    reader.controller.pause()
    reader.exchange.expire(ticksOf(2000) + 1)
    expect(await reader.ended()).toMatchObject({ ended: 'client-gone' })
  })
})
