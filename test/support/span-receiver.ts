import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import protobuf from 'protobufjs'

/** The messages of OTLP traces in the words of their wire format, for an independent codec to read what ours wrote. */
const { root } = protobuf.parse(
  `
syntax = "proto3";
message ExportTraceServiceRequest { repeated ResourceSpans resource_spans = 1; }
message ExportTraceServiceResponse { ExportTracePartialSuccess partial_success = 1; }
message ExportTracePartialSuccess { int64 rejected_spans = 1; string error_message = 2; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
message Resource { repeated KeyValue attributes = 1; }
message ScopeSpans { Scope scope = 1; repeated Span spans = 2; }
message Scope { string name = 1; string version = 2; }
message Span {
  bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; bytes parent_span_id = 4; string name = 5; int32 kind = 6;
  fixed64 start_time_unix_nano = 7; fixed64 end_time_unix_nano = 8; repeated KeyValue attributes = 9; Status status = 15;
}
message Status { string message = 2; int32 code = 3; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue { oneof value { string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4; ArrayValue array_value = 5; } }
message ArrayValue { repeated AnyValue values = 1; }
`,
  { keepCase: true },
)

interface AnyValue {
  readonly string_value?: string
  readonly bool_value?: boolean
  readonly int_value?: number
  readonly double_value?: number
  readonly array_value?: { readonly values?: readonly AnyValue[] }
}

interface KeyValue {
  readonly key: string
  readonly value: AnyValue
}

interface Wire {
  readonly resource_spans: readonly {
    readonly resource: { readonly attributes: readonly KeyValue[] }
    readonly scope_spans: readonly { readonly scope: { readonly name: string }; readonly spans: readonly WireSpan[] }[]
  }[]
}

interface WireSpan {
  readonly trace_id: Buffer
  readonly span_id: Buffer
  readonly parent_span_id?: Buffer
  readonly name: string
  readonly kind: number
  readonly start_time_unix_nano: number
  readonly end_time_unix_nano: number
  readonly attributes?: readonly KeyValue[]
  readonly status?: { readonly message: string; readonly code: number }
}

/** A span as a receiver has it. */
export interface SeenSpan {
  readonly trace: string
  readonly id: string
  /** Empty: the first of its trace. */
  readonly parent: string
  readonly name: string
  readonly kind: number
  /** Epoch ns, as far as a number holds it. */
  readonly began: number
  readonly ended: number
  readonly attributes: Readonly<Record<string, unknown>>
  readonly status: { readonly message: string; readonly code: number } | null
  readonly resource: Readonly<Record<string, unknown>>
}

/** Reads a request of OTLP traces with protobufjs. */
export function readSpans(bytes: Uint8Array): SeenSpan[] {
  const type = root.lookupType('ExportTraceServiceRequest')
  const { resource_spans: all } = type.toObject(type.decode(bytes), { longs: Number, bytes: Buffer }) as Wire
  return all.flatMap(({ resource, scope_spans: scopes }) =>
    scopes.flatMap(({ spans }) =>
      spans.map((span) => ({
        trace: span.trace_id.toString('hex'),
        id: span.span_id.toString('hex'),
        parent: (span.parent_span_id ?? Buffer.alloc(0)).toString('hex'),
        name: span.name,
        kind: span.kind,
        began: span.start_time_unix_nano,
        ended: span.end_time_unix_nano,
        attributes: members(span.attributes ?? []),
        status: span.status ?? null,
        resource: members(resource.attributes),
      })),
    ),
  )
}

/** An answer that turns down some spans of a request. */
export function partialSuccess(rejected: number): Buffer {
  const type = root.lookupType('ExportTraceServiceResponse')
  return Buffer.from(type.encode(type.fromObject({ partial_success: { rejected_spans: rejected, error_message: 'too many' } })).finish())
}

function members(list: readonly KeyValue[]): Record<string, unknown> {
  return Object.fromEntries(list.map(({ key, value }) => [key, plain(value)]))
}

function plain({ string_value: text, bool_value: truth, int_value: whole, double_value: number, array_value: array }: AnyValue): unknown {
  return text ?? truth ?? whole ?? number ?? (array?.values ?? []).map(plain)
}

/** A receiver of spans on loopback. */
export class SpanReceiver implements AsyncDisposable {
  readonly spans: SeenSpan[] = []
  readonly authorizations: (string | undefined)[] = []
  /** Answers with this status until it is set back. */
  status = 200
  readonly #server: Server

  private constructor() {
    this.#server = createServer((incoming, response) => {
      void bytesOf(incoming).then((bytes) => {
        this.authorizations.push(incoming.headers.authorization)
        if (this.status === 200 && incoming.url === '/v1/traces') this.spans.push(...readSpans(bytes))
        response.writeHead(incoming.url === '/v1/traces' ? this.status : 404, { 'content-type': 'application/x-protobuf' }).end()
      })
    })
  }

  static async start(): Promise<SpanReceiver> {
    const receiver = new SpanReceiver()
    await new Promise<void>((resolve) => receiver.#server.listen(0, '127.0.0.1', resolve))
    return receiver
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

async function bytesOf(incoming: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of incoming) parts.push(part as Buffer)
  return Buffer.concat(parts)
}
