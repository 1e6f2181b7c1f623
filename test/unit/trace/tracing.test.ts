import { describe, expect, test, vi } from 'vitest'
import type { TracedCall } from '../../../src/record/entry.ts'
import { Refusal } from '../../../src/refusal.ts'
import { sampler, traceparentOf } from '../../../src/trace-context.ts'
import { mcpOf } from '../../../src/trace/conventions.ts'
import { spansOf } from '../../../src/trace/spans.ts'
import { startTracing, type TracingOptions } from '../../../src/trace/tracing.ts'
import { sketchCall } from '../../support/question.ts'
import { partialSuccess, readSpans } from '../../support/span-receiver.ts'

const parent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const silent = { warn: () => undefined, info: () => undefined }

function traced(over: Partial<TracedCall> = {}): TracedCall {
  const trace = { id: '0af7651916cd43dd8448eb211c80319c', parent: 'b7ad6b7169203331', span: '1'.repeat(16), out: '2'.repeat(16) }
  return {
    trace,
    call: sketchCall(),
    caller: null,
    task: null,
    target: null,
    decision: null,
    lease: null,
    outcome: null,
    refusal: null,
    durationMs: 5,
    stageMs: { identify: 1 },
    ...over,
  }
}

describe('what is traced', () => {
  test('is what the caller traces and samples, in its trace, under its span', () => {
    const trace = sampler(0)(parent)
    expect(trace).toMatchObject({ id: '0af7651916cd43dd8448eb211c80319c', parent: 'b7ad6b7169203331' })
    expect(trace?.span).toMatch(/^[0-9a-f]{16}$/)
    expect(trace && traceparentOf(trace)).toBe(`00-0af7651916cd43dd8448eb211c80319c-${trace?.out}-01`)
    expect(trace?.out).not.toBe(trace?.span)
  })

  test('is nothing of a caller that traces and does not sample, whatever the ratio', () => {
    expect(sampler(1)(`${parent.slice(0, -2)}00`)).toBeNull()
  })

  test('is a share of the calls that bring no trace, or one that cannot be read', () => {
    const draws = [0.09, 0.1, 0.99]
    const sample = sampler(0.1, () => draws.shift() ?? 1)
    expect(sample(undefined)).toMatchObject({ parent: null })
    expect(sample('00-garbage')).toBeNull()
    expect(sample(undefined)).toBeNull()
    expect(sampler(0, () => 0)(undefined)).toBeNull()
  })
})

describe('the spans of a call', () => {
  test('follow one another under ours, and a refusal says which', () => {
    const refusal = new Refusal('identify.missing')
    const spans = spansOf(traced({ refusal, stageMs: { identify: 1, task: 2 } }), () => '3'.repeat(16))
    expect(spans.map(({ name, kind, failed }) => [name, kind, failed])).toEqual([
      ['GET', 'server', 'identify.missing'],
      ['identify', 'internal', null],
      ['task', 'internal', null],
    ])
    const [own, first, second] = spans
    expect(first?.parent).toBe(own?.id)
    expect(second?.began).toBe(first?.ended)
    expect(new Map(own?.attributes).get('error.type')).toBe('identify.missing')
    expect(new Map(own?.attributes).get('http.response.status_code')).toBe(401)
  })

  test('give an unknown method no name of its own, for an agent chooses it', () => {
    const call = Object.assign(sketchCall(), { method: 'MARKER' })
    const text = JSON.stringify(spansOf(traced({ call }), () => '3'.repeat(16)))
    expect(text).not.toContain('MARKER')
    expect(text).toContain('_OTHER')
  })
})

describe('a message to an MCP server', () => {
  test('is known by its method and the tool that it names', () => {
    expect(mcpOf({ jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: 'search', arguments: { q: 'x' } } })).toEqual({
      method: 'tools/call',
      name: 'search',
      id: '7',
    })
    expect(mcpOf({ jsonrpc: '2.0', method: 'notifications/initialized' })).toMatchObject({ name: null, id: null })
  })

  test.each([
    ['no JSON-RPC', { method: 'tools/call' }],
    ['a batch', [{ jsonrpc: '2.0', method: 'tools/call' }]],
    ['a method that is none', { jsonrpc: '2.0', method: 'x'.repeat(100) }],
    ['text', 'tools/call'],
    ['nothing', undefined],
  ])('%s is none', (_, body) => expect(mcpOf(body)).toBeNull())
})

describe('sending', () => {
  interface Sent {
    readonly headers: Readonly<Record<string, string>>
    readonly body: Buffer
  }

  function rig(answer: () => Response | Promise<Response> = () => new Response(null)) {
    const sent: Sent[] = []
    let dropped = 0
    const warned: string[] = []
    const options: TracingOptions = {
      url: new URL('http://127.0.0.1:9/v1/traces'),
      ratio: 1,
      token: null,
      resource: { 'service.name': 'countersign' },
      version: '1',
      fetch: (_url, init) => {
        sent.push({ headers: init?.headers as Record<string, string>, body: init?.body as Buffer })
        return Promise.resolve(answer())
      },
      log: { ...silent, warn: (_fields, message) => void warned.push(message) },
      dropped: (count) => (dropped += count),
      every: 1_000_000,
    }
    return { sent, options, dropped: () => dropped, warned }
  }

  test('is one message that another codec reads, with times in order', async () => {
    const { sent, options } = rig()
    const tracing = startTracing(options)
    tracing.take(traced({ refusal: new Refusal('identify.missing') }))
    await tracing.close(1000)
    const spans = readSpans(sent[0]?.body ?? Buffer.alloc(0))
    expect(spans.map(({ name, kind }) => [name, kind])).toEqual([
      ['GET', 2],
      ['identify', 1],
    ])
    expect(spans[0]).toMatchObject({
      trace: '0af7651916cd43dd8448eb211c80319c',
      parent: 'b7ad6b7169203331',
      status: { code: 2, message: 'identify.missing' },
      resource: { 'service.name': 'countersign' },
    })
    expect((spans[0]?.ended ?? 0) - (spans[0]?.began ?? 0)).toBeGreaterThan(4_000_000)
    expect(spans[1]?.parent).toBe(spans[0]?.id)
  })

  test('drops and counts what a receiver does not take, says so once, and goes on', async () => {
    let status = 503
    const { sent, options, dropped, warned } = rig(() => new Response(null, { status }))
    const tracing = startTracing({ ...options, every: 1 })
    tracing.take(traced())
    await vi.waitFor(() => expect(dropped()).toBe(2))
    tracing.take(traced())
    await vi.waitFor(() => expect(dropped()).toBe(4))
    expect(warned).toHaveLength(1)
    status = 200
    tracing.take(traced())
    await vi.waitFor(() => expect(sent).toHaveLength(3))
    await tracing.close(1000)
    expect(dropped()).toBe(4)
  })

  test('counts the spans that a receiver turned down', async () => {
    const headers = { 'content-type': 'application/x-protobuf' }
    const { options, dropped } = rig(() => new Response(new Uint8Array(partialSuccess(1)), { headers }))
    const tracing = startTracing(options)
    tracing.take(traced())
    await tracing.close(1000)
    expect(dropped()).toBe(1)
  })

  test('holds no more than a bound while a receiver hangs, and leaves it at the end', async () => {
    const { options, dropped } = rig(() => new Promise<Response>(() => undefined))
    const hung: typeof fetch = (_url, init) =>
      new Promise((_resolve, reject) => {
        init?.signal?.addEventListener('abort', () => reject(new Error('aborted')))
      })
    const tracing = startTracing({ ...options, fetch: hung })
    for (let count = 0; count < 20_000; count++) tracing.take(traced())
    expect(dropped()).toBeGreaterThan(20_000)
  })
})
