import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SinkConfig, openSink } from '../../../src/record/registry.ts'
import type { RecordSink, SinkLine } from '../../../src/record/sink.ts'
import { requestBytes, requestJson, type ResourceLogs } from '../../../src/record/sinks/otlp-wire.ts'
import { LogReceiver } from '../../support/log-receiver.ts'
import { partialSuccess, plainAttributes, readRequest, type OtlpRecord, type OtlpRequest } from '../../support/otlp-proto.ts'
import { sinkServices, storedLine } from '../../support/sink-rig.ts'

const live = new AbortController().signal

function opened(url: string, settings: object = {}): RecordSink {
  return openSink(SinkConfig.parse({ type: 'otlp', url, ...settings }), sinkServices()).sink
}

/** What a receiver gets of these lines. */
async function sent(lines: readonly SinkLine[], settings: object = {}): Promise<{ request: OtlpRequest; records: OtlpRecord[] }> {
  await using receiver = await new LogReceiver().listen()
  receiver.answer = () => ({ status: 200 })
  const sink = opened(`${receiver.url}/v1/logs`, settings)
  expect(await sink.write(lines, live)).toEqual({ lines: lines.length })
  await sink.close()
  const [{ body, headers, path }] = receiver.taken as [(typeof receiver.taken)[0]]
  expect(path).toBe('/v1/logs')
  const request = headers['content-type'] === 'application/json' ? (JSON.parse(body.toString()) as OtlpRequest) : readRequest(body)
  return { request, records: request.resourceLogs.flatMap(({ scopeLogs }) => scopeLogs.flatMap(({ logRecords }) => logRecords)) }
}

const trace = { trace_id: '0af7651916cd43dd8448eb211c80319c', span_id: 'b7ad6b7169203331' }

describe('the sink otlp', () => {
  test('sends each line as the body of a record, byte for byte, with its time, ids and what people search by', async () => {
    const own = {
      effect: 'allow',
      rules: ['data.a', 'data.b'],
      agent: 'spiffe://acme.example/agent',
      root: 'user:ann',
      tool: 'crm.read',
      status: 200,
    }
    const line = storedLine(7, {
      own,
      event: { timestamp: '2026-09-21T14:00:00.000Z', ...trace, bundles: { countersign: { revision: 'r1' } } },
    })
    const { records, request } = await sent([line])
    const [record] = records as [OtlpRecord]
    expect(record).toMatchObject({
      timeUnixNano: '1789999200000000000',
      observedTimeUnixNano: '1790000000000000000',
      severityNumber: 9,
      severityText: 'INFO',
      eventName: 'countersign.decision',
      body: { stringValue: line.line },
      traceId: trace.trace_id,
      spanId: trace.span_id,
    })
    expect(plainAttributes(record.attributes)).toEqual({
      'countersign.decision_id': 'c_00000007',
      'countersign.seq': 7,
      'countersign.kind': 'decision',
      'countersign.decision': 'allow',
      'countersign.rules': ['data.a', 'data.b'],
      'countersign.agent': 'spiffe://acme.example/agent',
      'countersign.task.id': 't_1',
      'countersign.task.root': 'user:ann',
      'countersign.tool': 'crm.read',
      'countersign.status': 200,
      'countersign.policy.revision': 'r1',
    })
    expect(plainAttributes(request.resourceLogs[0]!.resource.attributes)).toEqual({
      'service.name': 'countersign',
      'service.instance.id': 'side-1',
      'service.version': '0.1.0',
    })
  })

  test.each([
    ['protobuf', 'gzip'],
    ['protobuf', 'none'],
    ['json', 'gzip'],
    ['json', 'none'],
  ])('says the same in %s, %s', async (encoding, compression) => {
    const lines = [storedLine(1, { event: trace }), storedLine(2, { kind: 'outcome', own: { ended: 'complete', lease: { id: 'l_1' } } })]
    expect((await sent(lines, { encoding, compression })).request).toEqual((await sent(lines)).request)
  })

  test('warns of what was refused, and calls our own faults errors', async () => {
    const severity = async (kind: string, own: object): Promise<string> =>
      (await sent([storedLine(1, { kind, own })])).records[0]!.severityText
    expect(await severity('refusal', { code: 'policy.denied', fault: 'agent' })).toBe('WARN')
    expect(await severity('refusal', { code: 'internal', fault: 'countersign' })).toBe('ERROR')
    expect(await severity('decision', { effect: 'allow', observed: 'deny' })).toBe('WARN')
    expect(await severity('outcome', { ended: 'cut' })).toBe('WARN')
    expect(await severity('checkpoint', {})).toBe('DEBUG')
    expect(await severity('event', { event: 'kill.engaged' })).toBe('WARN')
    expect(await severity('event', { event: 'lease.revocation-failed' })).toBe('ERROR')
    expect(await severity('event', { event: 'task.opened' })).toBe('INFO')
  })

  test('keeps lines of different instances apart', async () => {
    const other = storedLine(2, { event: { labels: { id: 'side-2', version: '0.2.0', 'service.name': 'proxy' } } })
    const { request } = await sent([storedLine(1), other, storedLine(3)])
    expect(request.resourceLogs.map(({ scopeLogs }) => scopeLogs[0]!.logRecords.length)).toEqual([2, 1])
    expect(plainAttributes(request.resourceLogs[1]!.resource.attributes)['service.name']).toBe('proxy')
  })

  test('counts what a partial success rejects and does not send it again, whatever the encoding', async () => {
    await using receiver = await new LogReceiver().listen()
    const lines = [storedLine(1), storedLine(2), storedLine(3)]
    const leftOut = { lines: 3, leftOut: [{ seq: 1, reason: 'refused', count: 2 }] }
    receiver.answer = () => ({ status: 200, body: partialSuccess(2, 'too old') })
    expect(await opened(receiver.url).write(lines, live)).toEqual(leftOut)
    receiver.answer = () => ({ status: 200, body: '{"partialSuccess":{"rejectedLogRecords":"2"}}' })
    expect(await opened(receiver.url, { encoding: 'json' }).write(lines, live)).toEqual(leftOut)
    receiver.answer = () => ({ status: 200, body: Buffer.from([0xff, 0xff, 0xff]) })
    expect(await opened(receiver.url).write(lines, live)).toEqual({ lines: 3 })
  })

  test('comes back soon after the codes that OTLP has retried, and after a minute at the earliest after others', async () => {
    await using receiver = await new LogReceiver().listen()
    const fault = async (status: number): Promise<unknown> => {
      receiver.answer = () => ({ status })
      return opened(receiver.url)
        .write([storedLine(1)], live)
        .catch(({ reason, retryAfter }) => [reason, retryAfter])
    }
    for (const status of [429, 502, 503, 504]) expect(await fault(status)).toEqual(['status', null])
    for (const status of [401, 404, 500]) expect(await fault(status)).toEqual(['status', 60_000])
    expect(await fault(400)).toEqual(['refused', null])
  })
})

test('requests of OTLP, whatever is in them, are read by another codec as they were written', () => {
  const string = fc.string({ unit: 'grapheme', maxLength: 40 })
  const value = fc.oneof(string, fc.maxSafeInteger(), fc.boolean(), fc.array(string, { maxLength: 4 }))
  const attributes = fc.array(fc.tuple(string, value), { maxLength: 5 })
  const id = (digits: number) => fc.oneof(fc.constant(''), fc.stringMatching(new RegExp(`^[0-9a-f]{${digits}}$`)))
  const nanos = fc.bigInt({ min: 1n, max: (1n << 63n) - 1n })
  const record = fc.record({
    time: nanos,
    observed: nanos,
    severity: fc.integer({ min: 1, max: 24 }),
    severityText: string,
    eventName: string,
    body: string,
    attributes,
    traceId: id(32),
    spanId: id(16),
  })
  const group = fc.record({
    resource: attributes,
    scope: fc.record({ name: string, version: string }),
    records: fc.array(record, { maxLength: 3 }),
  })
  fc.assert(
    fc.property(fc.array(group, { maxLength: 3 }), (groups) => {
      expect(filled(readRequest(requestBytes(groups as ResourceLogs[])))).toEqual(filled(JSON.parse(requestJson(groups as ResourceLogs[]))))
    }),
    { numRuns: 300 },
  )
})

/** Protobuf does not tell what is empty from what is absent. */
function filled(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(filled)
  if (typeof value !== 'object' || value === null) return value
  const { values: _values, ...rest } = value as Record<string, unknown>
  const present = Object.entries(_values === undefined || (_values as unknown[]).length === 0 ? rest : value)
  const kept = present.flatMap(([name, member]) => {
    const empty = member === '' && !['stringValue'].includes(name)
    const none = Array.isArray(member) && member.length === 0
    const full = filled(member)
    const hollow =
      typeof full === 'object' && full !== null && Object.keys(full).length === 0 && ['scope', 'resource', 'arrayValue'].includes(name)
    return empty || none || hollow ? [] : [[name, full] as const]
  })
  return Object.fromEntries(kept)
}
