import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { SinkConfig, openSink } from '../../../src/record/registry.ts'
import type { RecordSink } from '../../../src/record/sink.ts'
import { cloudEvent } from '../../../src/record/sinks/cloud-event.ts'
import { LogReceiver } from '../../support/log-receiver.ts'
import { sinkServices, storedLine } from '../../support/sink-rig.ts'

const live = new AbortController().signal

function opened(url: string, settings: object = {}): RecordSink {
  return openSink(SinkConfig.parse({ type: 'webhook', url, ...settings }), sinkServices({ secrets: { KEY: 'whsec_c2VjcmV0' } })).sink
}

const read = (line: string): Record<string, unknown> => JSON.parse(cloudEvent(line, JSON.parse, 'spiffe://acme.example/countersign'))

describe('the sink webhook', () => {
  test('makes a CloudEvent of each line, whose data is the line byte for byte', () => {
    const { line } = storedLine(7, {
      event: { trace_id: '0af7651916cd43dd8448eb211c80319c', span_id: 'b7ad6b7169203331', input: { big: 1e21 } },
    })
    const text = cloudEvent(line, JSON.parse, 'spiffe://acme.example/countersign')
    expect(text.endsWith(`,"data":${line}}`)).toBe(true)
    const { data, ...attributes } = JSON.parse(text)
    expect(data).toEqual(JSON.parse(line))
    expect(attributes).toEqual({
      specversion: '1.0',
      id: 'c_00000007.decision',
      source: 'spiffe://acme.example/countersign',
      type: 'countersign.decision.v1',
      time: '2026-09-21T14:13:20.000Z',
      subject: 't_1',
      datacontenttype: 'application/json',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      partitionkey: 't_1',
      sequence: '0000000000000007',
    })
  })

  test('tells apart a decision and its outcome, which share an id, and names events by what happened', () => {
    const type = (kind: string, event?: string): unknown =>
      read(storedLine(1, { kind, own: event === undefined ? {} : { event } }).line)['type']
    expect(type('outcome')).toBe('countersign.outcome.v1')
    expect(type('refusal')).toBe('countersign.refusal.v1')
    expect(type('checkpoint')).toBe('countersign.checkpoint.v1')
    expect(type('event', 'task.opened')).toBe('countersign.task.opened.v1')
    expect(type('event', 'lease.revoked')).toBe('countersign.credential.revoked.v1')
    expect(type('event', 'approval.opened')).toBe('countersign.approval.requested.v1')
    expect(read(storedLine(1, { kind: 'outcome' }).line)['id']).toBe('c_00000001.outcome')
  })

  test('leaves out what is not known: no subject without a task, no traceparent without both ids', () => {
    const event = read(
      storedLine(1, { own: { task: null, caller: 'spiffe://acme.example/a' }, event: { trace_id: '0af7651916cd43dd8448eb211c80319c' } })
        .line,
    )
    expect(event).not.toHaveProperty('subject')
    expect(event).not.toHaveProperty('traceparent')
    expect(event['partitionkey']).toBe('spiffe://acme.example/a')
  })

  test('sends batches, signed over their bytes with an id that is the same when they are sent again', async () => {
    await using receiver = await new LogReceiver().listen()
    receiver.answer = (_request, at) => ({ status: at === 1 ? 500 : 202 })
    const sink = opened(receiver.url, { secret: { env: 'KEY' } })
    const lines = [storedLine(4), storedLine(5)]
    await expect(sink.write(lines, live)).rejects.toMatchObject({ reason: 'status' })
    expect(await sink.write(lines, live)).toEqual({ lines: 2 })
    await sink.close()
    for (const { headers, body } of receiver.requests) {
      expect(headers['content-type']).toBe('application/cloudevents-batch+json; charset=utf-8')
      expect(headers['webhook-id']).toBe('ledger-4-5')
      const mac = createHmac('sha256', 'secret').update(`ledger-4-5.${headers['webhook-timestamp']}.${body.toString()}`).digest('base64')
      expect(headers['webhook-signature']).toBe(`v1,${mac}`)
    }
    expect(JSON.parse(receiver.taken[0]!.body.toString()).map(({ sequence }: { sequence: string }) => Number(sequence))).toEqual([4, 5])
  })

  test('sends one event at a time in structured mode', async () => {
    await using receiver = await new LogReceiver().listen()
    const sink = opened(receiver.url, { mode: 'structured' })
    expect(sink.batch).toMatchObject({ lines: 1 })
    await sink.write([storedLine(1)], live)
    await sink.close()
    expect(receiver.taken[0]?.headers['content-type']).toBe('application/cloudevents+json; charset=utf-8')
    expect(JSON.parse(receiver.taken[0]!.body.toString())).toMatchObject({ specversion: '1.0', id: 'c_00000001.decision' })
  })

  test('does not open without its secret', () => {
    expect(() => opened('https://hooks.example', { secret: { env: 'NONE' } })).toThrow('record sink "webhook": it is not set')
  })
})
