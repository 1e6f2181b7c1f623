/** Spans as OTLP (opentelemetry-proto 1.x, `ExportTraceServiceRequest`), and what a receiver answers. */

import { WireReader, WireWriter } from '../protobuf.ts'
import { kindNumbers, type Span, type Value } from './spans.ts'

/** The message for one batch. `resource`: attributes of this process. */
export function spansMessage(spans: readonly Span[], resource: Readonly<Record<string, string>>, version: string): Buffer {
  const scope = new WireWriter().string(1, 'countersign').string(2, version).finish()
  const scopeSpans = new WireWriter().present(1, scope)
  for (const span of spans) scopeSpans.present(2, spanMessage(span))
  const own = new WireWriter()
  for (const [key, value] of Object.entries(resource)) own.present(1, attribute(key, value))
  const resourceSpans = new WireWriter().present(1, own.finish()).present(2, scopeSpans.finish())
  return new WireWriter().present(1, resourceSpans.finish()).finish()
}

/** `ExportTraceServiceResponse`: how many spans the receiver turned down; 0 when it does not say. Throws MalformedMessage. */
export function rejectedSpans(answer: Uint8Array): number {
  const reader = new WireReader(answer)
  let count = 0
  while (reader.next()) {
    if (reader.field !== 1) {
      reader.skip()
      continue
    }
    const partial = reader.message()
    while (partial.next())
      if (partial.field === 1) count = partial.enum()
      else partial.skip()
  }
  return count
}

function spanMessage({ trace, id, parent, name, kind, began, ended, attributes, failed }: Span): Buffer {
  const span = new WireWriter()
    .bytes(1, Buffer.from(trace, 'hex'))
    .bytes(2, Buffer.from(id, 'hex'))
    .bytes(4, Buffer.from(parent ?? '', 'hex'))
    .string(5, name)
    .small(6, kindNumbers[kind])
    .fixed64(7, nanoseconds(began))
    .fixed64(8, nanoseconds(ended))
  for (const [key, value] of attributes) span.present(9, attribute(key, value))
  // 2: the status code of an error; what did not fail says nothing, as instrumentations should
  if (failed !== null) span.present(15, new WireWriter().string(2, failed).small(3, 2).finish())
  return span.finish()
}

function attribute(key: string, value: Value): Buffer {
  return new WireWriter().string(1, key).present(2, anyValue(value)).finish()
}

function anyValue(value: Value): Buffer {
  const any = new WireWriter()
  if (typeof value === 'string') return any.present(1, Buffer.from(value)).finish()
  if (typeof value === 'boolean') return any.small(2, value ? 1 : 0).finish()
  if (typeof value === 'number') return (Number.isSafeInteger(value) && value >= 0 ? any.small(3, value) : any.double(4, value)).finish()
  const list = new WireWriter()
  for (const one of value) list.present(1, anyValue(one))
  return any.present(5, list.finish()).finish()
}

function nanoseconds(ms: number): bigint {
  return BigInt(Math.round(ms * 1000)) * 1000n
}
