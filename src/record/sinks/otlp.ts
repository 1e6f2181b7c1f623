/** The sink `otlp`: lines as OpenTelemetry log records, by OTLP over HTTP. */

import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { z } from 'zod'
import type { RecordSink, SinkAnswer, SinkLine, SinkServices, Taken } from '../sink.ts'
import { defineSink, SinkFault } from '../sink.ts'
import { resourceLogsOf } from './otlp-record.ts'
import { rejectedIn, requestBytes, requestJson } from './otlp-wire.ts'
import { faultOf, openRemote, remoteSettings, sendOrHalve } from './remote.ts'

const OtlpConfig = z
  .strictObject({
    type: z.literal('otlp'),
    ...remoteSettings,
    encoding: z.enum(['protobuf', 'json']).default('protobuf').describe('How a request is written.'),
    compression: z.enum(['gzip', 'none']).default('gzip').describe('How a request is sent.'),
  })
  .describe('Log records to an OpenTelemetry collector: OTLP over HTTP, `url` with its path, such as https://otel.example/v1/logs.')

type OtlpConfig = z.infer<typeof OtlpConfig>

export const otlp = defineSink({ type: 'otlp', config: OtlpConfig, open })

/** Codes that the OTLP specification has retried; after others the receiver is not to be pressed. */
const retryable: readonly number[] = [429, 502, 503, 504]
const unpressed = 60_000

const gzipped = promisify(gzip)

function open(config: OtlpConfig, services: SinkServices): RecordSink {
  const { encoding, compression, every, skip_refused: skip } = config
  const remote = openRemote(config, services)
  const headers = {
    'content-type': encoding === 'json' ? 'application/json' : 'application/x-protobuf',
    ...(compression === 'gzip' && { 'content-encoding': 'gzip' }),
  }
  const send = async (lines: readonly SinkLine[], signal: AbortSignal): Promise<Taken> => {
    const groups = resourceLogsOf(lines, services.parse, services.version, services.clock())
    const plain = encoding === 'json' ? Buffer.from(requestJson(groups)) : requestBytes(groups)
    const answer = await remote.send(compression === 'gzip' ? await gzipped(plain) : plain, headers, signal)
    const fault = faultOf(answer, services.clock)
    if (fault !== null) throw held(fault, answer)
    const count = Math.min(lines.length, rejectedIn(answer.body, encoding))
    // part of it was rejected for good: the specification has nothing of it sent again, and does not say which part
    return { lines: lines.length, ...(count > 0 && { leftOut: [{ seq: lines[0]?.seq ?? 0, reason: 'refused' as const, count }] }) }
  }
  return {
    type: 'otlp',
    batch: { lines: 512, characters: 1024 * 1024, linger: every },
    write: (lines, signal) => sendOrHalve(lines, skip, (some) => send(some, signal)),
    close: () => remote.close(),
  }
}

/** A code that is not to be retried says nothing against the lines: they wait, and are offered again in a minute at the earliest. */
function held(fault: SinkFault, { status }: SinkAnswer): SinkFault {
  if (fault.reason === 'refused' || retryable.includes(status)) return fault
  return new SinkFault(fault.reason, fault.message, Math.max(unpressed, fault.retryAfter ?? 0))
}
