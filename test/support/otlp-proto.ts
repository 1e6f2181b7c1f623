import protobuf from 'protobufjs'

/** The messages of OTLP logs in the words of opentelemetry-proto, for an independent codec to hold ours against. */
const text = `
syntax = "proto3";
message ExportLogsServiceRequest { repeated ResourceLogs resource_logs = 1; }
message ExportLogsServiceResponse { ExportLogsPartialSuccess partial_success = 1; }
message ExportLogsPartialSuccess { int64 rejected_log_records = 1; string error_message = 2; }
message ResourceLogs { Resource resource = 1; repeated ScopeLogs scope_logs = 2; string schema_url = 3; }
message Resource { repeated KeyValue attributes = 1; uint32 dropped_attributes_count = 2; }
message ScopeLogs { InstrumentationScope scope = 1; repeated LogRecord log_records = 2; string schema_url = 3; }
message InstrumentationScope { string name = 1; string version = 2; repeated KeyValue attributes = 3; uint32 dropped_attributes_count = 4; }
message LogRecord {
  fixed64 time_unix_nano = 1;
  int32 severity_number = 2;
  string severity_text = 3;
  AnyValue body = 5;
  repeated KeyValue attributes = 6;
  uint32 dropped_attributes_count = 7;
  fixed32 flags = 8;
  bytes trace_id = 9;
  bytes span_id = 10;
  fixed64 observed_time_unix_nano = 11;
  string event_name = 12;
}
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue {
  oneof value {
    string string_value = 1;
    bool bool_value = 2;
    int64 int_value = 3;
    double double_value = 4;
    ArrayValue array_value = 5;
    KeyValueList kvlist_value = 6;
    bytes bytes_value = 7;
  }
}
message ArrayValue { repeated AnyValue values = 1; }
message KeyValueList { repeated KeyValue values = 1; }
`

const { root } = protobuf.parse(text)
const request = root.lookupType('ExportLogsServiceRequest')
const response = root.lookupType('ExportLogsServiceResponse')

/** A request as protobufjs reads it, in the names of OTLP's JSON mapping. Throws for bytes that are no such message. */
export function readRequest(bytes: Uint8Array): OtlpRequest {
  const read = request.decode(bytes)
  const hex = (value: unknown): unknown => (value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value)
  const plain = request.toObject(read, { longs: String })
  return JSON.parse(JSON.stringify(plain, (_name, value: unknown) => hex(revived(value)))) as OtlpRequest
}

/** JSON.stringify has turned a Buffer into its own form before a replacer sees it. */
function revived(value: unknown): unknown {
  const { type, data } = Object(value) as { readonly type?: unknown; readonly data?: readonly number[] }
  return type === 'Buffer' && Array.isArray(data) ? Uint8Array.from(data) : value
}

export function partialSuccess(rejected: number, message: string): Buffer {
  return Buffer.from(
    response.encode(response.fromObject({ partialSuccess: { rejectedLogRecords: rejected, errorMessage: message } })).finish(),
  )
}

export interface OtlpValue {
  readonly stringValue?: string
  readonly intValue?: string
  readonly boolValue?: boolean
  readonly arrayValue?: { readonly values: readonly OtlpValue[] }
}

export interface OtlpRecord {
  readonly timeUnixNano: string
  readonly observedTimeUnixNano: string
  readonly severityNumber: number
  readonly severityText: string
  readonly eventName: string
  readonly body: OtlpValue
  readonly attributes: readonly { readonly key: string; readonly value: OtlpValue }[]
  readonly traceId?: string
  readonly spanId?: string
}

export interface OtlpRequest {
  readonly resourceLogs: readonly {
    readonly resource: { readonly attributes: OtlpRecord['attributes'] }
    readonly scopeLogs: readonly { readonly scope: object; readonly logRecords: readonly OtlpRecord[] }[]
  }[]
}

/** Attributes as a plain object. */
export function plainAttributes(attributes: OtlpRecord['attributes']): Readonly<Record<string, unknown>> {
  const plain = ({ stringValue, intValue, boolValue, arrayValue }: OtlpValue): unknown =>
    stringValue ?? (intValue === undefined ? undefined : Number(intValue)) ?? boolValue ?? arrayValue?.values.map(plain)
  return Object.fromEntries(attributes.map(({ key, value }) => [key, plain(value)]))
}
