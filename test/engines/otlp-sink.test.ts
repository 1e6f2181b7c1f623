import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface, type Interface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SinkConfig, openSink } from '../../src/record/registry.ts'
import { Loopback } from '../support/loopback.ts'
import { plainAttributes, type OtlpRecord, type OtlpRequest } from '../support/otlp-proto.ts'
import { sinkServices, storedLine } from '../support/sink-rig.ts'
import { findEngine } from '../support/spiffe-peer.ts'

/** The OTLP receiver of the OpenTelemetry Collector, where it is installed: `npm run engines -- otel-receiver`. */
const engine = findEngine('otel-receiver')
const title =
  engine === null ? 'the OpenTelemetry Collector (left out: its receiver is not in .engines/bin)' : 'the OpenTelemetry Collector'
if (engine === null) console.log('test/engines/otlp-sink.test.ts is left out: there is no otel-receiver')

const live = new AbortController().signal

describe.skipIf(engine === null)(title, () => {
  let child: ChildProcess
  let output: Interface
  let url: string

  beforeAll(async () => {
    const free = await new Loopback(() => undefined).listen()
    const { host } = new URL(free.url)
    await free[Symbol.asyncDispose]()
    url = `http://${host}/v1/logs`
    child = spawn(engine ?? '', [host], { stdio: ['ignore', 'pipe', 'inherit'] })
    output = createInterface({ input: child.stdout! })
    const [first] = await once(output, 'line')
    expect(JSON.parse(String(first))).toEqual({ listening: host })
  })

  afterAll(async () => {
    child.kill()
    await once(child, 'exit')
  })

  it.each([
    ['protobuf', 'gzip'],
    ['protobuf', 'none'],
    ['json', 'gzip'],
    ['json', 'none'],
  ])('reads what the sink sends in %s, %s, as it was meant', async (encoding, compression) => {
    const own = { effect: 'allow', rules: ['data.a', 'data.b'], status: 200, tool: 'größe – 名前 – 😀' }
    const trace = { trace_id: '0af7651916cd43dd8448eb211c80319c', span_id: 'b7ad6b7169203331' }
    const lines = [storedLine(1, { own, event: trace }), storedLine(2, { kind: 'refusal', own: { code: 'decide.denied', fault: 'agent' } })]
    const sink = openSink(SinkConfig.parse({ type: 'otlp', url, encoding, compression }), sinkServices()).sink
    const printed = once(output, 'line')
    expect(await sink.write(lines, live)).toEqual({ lines: 2 })
    await sink.close()
    const request = JSON.parse(String((await printed)[0])) as OtlpRequest
    const [{ resource, scopeLogs }] = request.resourceLogs as [OtlpRequest['resourceLogs'][0]]
    expect(plainAttributes(resource.attributes)).toMatchObject({ 'service.name': 'countersign', 'service.instance.id': 'side-1' })
    const [first, second] = scopeLogs[0]!.logRecords as [OtlpRecord, OtlpRecord]
    expect(first).toMatchObject({
      timeUnixNano: '1790000000000000000',
      severityNumber: 9,
      severityText: 'INFO',
      body: { stringValue: lines[0]!.line },
      traceId: trace.trace_id,
      spanId: trace.span_id,
      eventName: 'countersign.decision',
    })
    const attributes = {
      'countersign.seq': 1,
      'countersign.rules': ['data.a', 'data.b'],
      'countersign.tool': own.tool,
      'countersign.status': 200,
    }
    expect(plainAttributes(first.attributes)).toMatchObject(attributes)
    expect(second).toMatchObject({ severityText: 'WARN', body: { stringValue: lines[1]!.line } })
  })

  it('turns down what is no request, which the sink takes for a refusal of its lines', async () => {
    const broken = sinkServices()
    const services = { ...broken, client: () => ({ ...broken.client({}), post: sendingNonsense(broken.client({}).post) }) }
    const sink = openSink(SinkConfig.parse({ type: 'otlp', url }), services).sink
    await expect(sink.write([storedLine(1)], live)).rejects.toMatchObject({ reason: 'refused' })
    await sink.close()
  })
})

type Post = ReturnType<ReturnType<typeof sinkServices>['client']>['post']

const sendingNonsense =
  (post: Post): Post =>
  (url, headers, _body, signal) =>
    post(url, { ...headers, 'content-encoding': 'identity' }, Buffer.from([0xff, 0xff, 0xff, 0xff]), signal)
