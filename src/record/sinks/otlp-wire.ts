/** Writes the messages of OTLP logs (opentelemetry-proto 1.x, `logs/v1` and `collector/logs/v1`): as protobuf, and as its JSON mapping. */

/** What an attribute may be here. Numbers are whole. */
export type Value = string | number | boolean | readonly string[]

export type Attributes = readonly (readonly [name: string, value: Value])[]

export interface LogRecord {
  /** Epoch ns. */
  readonly time: bigint
  readonly observed: bigint
  readonly severity: number
  readonly severityText: string
  readonly eventName: string
  readonly body: string
  readonly attributes: Attributes
  /** Lower-case hex, or empty. */
  readonly traceId: string
  readonly spanId: string
}

/** Records of one instance. */
export interface ResourceLogs {
  readonly resource: Attributes
  readonly scope: { readonly name: string; readonly version: string }
  readonly records: readonly LogRecord[]
}

const [varintType, fixed64Type, lengthType] = [0, 1, 2]

/** `ExportLogsServiceRequest`. */
export function requestBytes(groups: readonly ResourceLogs[]): Buffer {
  return Buffer.concat(groups.map(({ resource, scope, records }) => field(1, resourceLogs(resource, scope, records))))
}

function resourceLogs(resource: Attributes, scope: ResourceLogs['scope'], records: readonly LogRecord[]): Buffer {
  const named = Buffer.concat([text(1, scope.name), text(2, scope.version)])
  const logs = Buffer.concat([field(1, named), ...records.map((record) => field(2, recordBytes(record)))])
  return Buffer.concat([field(1, keyValues(1, resource)), field(2, logs)])
}

function recordBytes(record: LogRecord): Buffer {
  return Buffer.concat([
    fixed64(1, record.time),
    varintField(2, record.severity),
    text(3, record.severityText),
    field(5, anyValue(record.body)),
    keyValues(6, record.attributes),
    record.traceId === '' ? none : field(9, Buffer.from(record.traceId, 'hex')),
    record.spanId === '' ? none : field(10, Buffer.from(record.spanId, 'hex')),
    fixed64(11, record.observed),
    text(12, record.eventName),
  ])
}

function keyValues(number: number, attributes: Attributes): Buffer {
  return Buffer.concat(attributes.map(([name, value]) => field(number, Buffer.concat([text(1, name), field(2, anyValue(value))]))))
}

/** Presence counts: it is a oneof. */
function anyValue(value: Value): Buffer {
  if (typeof value === 'string') return field(1, Buffer.from(value))
  if (typeof value === 'boolean') return varintField(2, value ? 1 : 0)
  if (typeof value === 'number') return varintField(3, value)
  return field(5, Buffer.concat(value.map((each) => field(1, anyValue(each)))))
}

const none = Buffer.alloc(0)

function text(number: number, value: string): Buffer {
  return value === '' ? none : field(number, Buffer.from(value))
}

function field(number: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([varint(number * 8 + lengthType), varint(bytes.length), bytes])
}

function varintField(number: number, value: number): Buffer {
  return Buffer.concat([varint(number * 8 + varintType), varint(value)])
}

function fixed64(number: number, value: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(value)
  return Buffer.concat([varint(number * 8 + fixed64Type), bytes])
}

/** A whole number; a negative one takes ten bytes, as proto3 has it. */
function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = BigInt.asUintN(64, BigInt(value))
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80)
  bytes.push(Number(rest))
  return Buffer.from(bytes)
}

/** The same request in the JSON mapping of OTLP: names in lowerCamelCase, 64-bit numbers as text, ids in hex. */
export function requestJson(groups: readonly ResourceLogs[]): string {
  return JSON.stringify({
    resourceLogs: groups.map(({ resource, scope, records }) => ({
      resource: { attributes: jsonAttributes(resource) },
      scopeLogs: [{ scope, logRecords: records.map(jsonRecord) }],
    })),
  })
}

function jsonRecord(record: LogRecord): object {
  return {
    timeUnixNano: String(record.time),
    observedTimeUnixNano: String(record.observed),
    severityNumber: record.severity,
    severityText: record.severityText,
    eventName: record.eventName,
    body: jsonValue(record.body),
    attributes: jsonAttributes(record.attributes),
    ...(record.traceId !== '' && { traceId: record.traceId }),
    ...(record.spanId !== '' && { spanId: record.spanId }),
  }
}

function jsonAttributes(attributes: Attributes): object[] {
  return attributes.map(([key, value]) => ({ key, value: jsonValue(value) }))
}

function jsonValue(value: Value): object {
  if (typeof value === 'string') return { stringValue: value }
  if (typeof value === 'boolean') return { boolValue: value }
  if (typeof value === 'number') return { intValue: String(value) }
  return { arrayValue: { values: value.map(jsonValue) } }
}

/** How many records an `ExportLogsServiceResponse` says were rejected; 0 for whatever is none. */
export function rejectedIn(body: Buffer, form: 'protobuf' | 'json'): number {
  try {
    if (form === 'json') {
      const { partialSuccess } = JSON.parse(body.toString()) as { readonly partialSuccess?: { readonly rejectedLogRecords?: unknown } }
      return Number(partialSuccess?.rejectedLogRecords ?? 0) || 0
    }
    const partial = find(body, 1, lengthType)
    const rejected = Buffer.isBuffer(partial) ? find(partial, 1, varintType) : null
    return typeof rejected === 'number' ? rejected : 0
  } catch {
    return 0
  }
}

/** The first field of that number and wire type; null when it is not there. Throws for bytes that are no message. */
function find(message: Buffer, number: number, type: number): Buffer | number | null {
  for (let at = 0; at < message.length;) {
    const tag = readVarint(message, at)
    const value = readVarint(message, tag.end)
    const wire = tag.value % 8
    const long = wire === lengthType
    if (!long && wire !== varintType) throw new RangeError('an answer has a field that it cannot have')
    if (Math.floor(tag.value / 8) === number && wire === type)
      return long ? message.subarray(value.end, value.end + value.value) : value.value
    at = value.end + (long ? value.value : 0)
  }
  return null
}

function readVarint(bytes: Buffer, from: number): { readonly value: number; readonly end: number } {
  let value = 0
  for (let at = from, scale = 1; at < from + 8; at++, scale *= 128) {
    const byte = bytes.readUInt8(at)
    value += (byte & 0x7f) * scale
    if (byte < 0x80) return { value, end: at + 1 }
  }
  throw new RangeError('a number is too large')
}
