import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Metadata, Server, ServerCredentials, status } from '@grpc/grpc-js'
import type { MethodDefinition, ServerUnaryCall, ServerWritableStream, ServiceDefinition, sendUnaryData } from '@grpc/grpc-js'
import { workloadApiService } from '../../src/identify/workload-api/service.ts'
import type { WorkloadApiMethod } from '../../src/identify/workload-api/service.ts'

/** One call as the endpoint saw it. */
export interface SeenCall {
  readonly method: WorkloadApiMethod
  /** The values of the security header. */
  readonly header: readonly unknown[]
  readonly metadata: Readonly<Record<string, unknown>>
  readonly request: Buffer
}

/** What a call that is no stream is answered with: bytes of a message, or a status. */
export type Answer = Buffer | { readonly code: number; readonly details: string }

type RawStream = ServerWritableStream<Buffer, Buffer>

/**
 * A Workload API whose every answer the test steers, as bytes: what is pushed is the state, sent to every open stream and to each new one.
 * Like a real endpoint it refuses calls without the security header; a stream for which there is no state is left waiting.
 */
export class FakeWorkloadApi {
  /** `unix:…` or `tcp://…`; stays the same through `stop` and `restart`. */
  readonly address: string
  readonly seen: SeenCall[] = []
  readonly #target: string
  readonly #folder: string | null
  #server: Server | null = null
  readonly #streams = new Map<WorkloadApiMethod, Set<RawStream>>()
  readonly #state = new Map<WorkloadApiMethod, Answer>()
  readonly #answers = new Map<WorkloadApiMethod, (request: Buffer) => Answer | Promise<Answer>>()
  #waiting: (() => void)[] = []

  private constructor(address: string, target: string, folder: string | null) {
    this.address = address
    this.#target = target
    this.#folder = folder
  }

  /** On a unix socket of its own. */
  static async start(): Promise<FakeWorkloadApi> {
    const folder = mkdtempSync(join(tmpdir(), 'workload-api-'))
    const path = join(folder, 'api.sock')
    const fake = new FakeWorkloadApi(`unix://${path}`, `unix:${path}`, folder)
    await fake.restart()
    return fake
  }

  /** On a loopback port. */
  static async startTcp(host: '127.0.0.1' | '[::1]' = '127.0.0.1'): Promise<FakeWorkloadApi> {
    const probe = new Server()
    const port = await bind(probe, `${host}:0`)
    probe.forceShutdown()
    const fake = new FakeWorkloadApi(`tcp://${host}:${port}`, `${host}:${port}`, null)
    await fake.restart()
    return fake
  }

  /** An address where nothing listens yet: `restart` makes it appear. */
  static absent(): FakeWorkloadApi {
    const folder = mkdtempSync(join(tmpdir(), 'workload-api-'))
    const path = join(folder, 'api.sock')
    return new FakeWorkloadApi(`unix://${path}`, `unix:${path}`, folder)
  }

  /** Makes this message the state of a stream: open streams get it now, later ones at once. */
  push(method: WorkloadApiMethod, message: Buffer): void {
    this.#state.set(method, message)
    for (const stream of this.#streams.get(method) ?? []) stream.write(message)
  }

  /** Ends every open stream of a method with a status, and answers new ones so until something is pushed. */
  refuse(method: WorkloadApiMethod, code: number, details = ''): void {
    this.#state.set(method, { code, details })
    this.end(method, code, details)
  }

  /** Ends the open streams; the state stays. Code 0 ends them cleanly. */
  end(method: WorkloadApiMethod, code: number = status.OK, details = ''): void {
    for (const stream of this.#streams.get(method) ?? []) finish(stream, code, details)
  }

  /** How a call that is no stream is answered from now on. */
  answer(method: WorkloadApiMethod, answer: (request: Buffer) => Answer | Promise<Answer>): void {
    this.#answers.set(method, answer)
  }

  /** Resolves when this many calls of a method have been seen since the start. */
  async calls(method: WorkloadApiMethod, count: number): Promise<void> {
    while (this.seen.filter((call) => call.method === method).length < count) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  /** Resolves when no stream of a method is open any more. */
  async closed(method: WorkloadApiMethod): Promise<void> {
    while (this.open(method) > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  open(method: WorkloadApiMethod): number {
    return this.#streams.get(method)?.size ?? 0
  }

  /** As a process that dies: connections are cut, the socket is gone. */
  stop(): void {
    this.#server?.forceShutdown()
    this.#server = null
    this.#streams.clear()
  }

  async restart(): Promise<void> {
    this.stop()
    if (this.#folder !== null) rmSync(join(this.#folder, 'api.sock'), { force: true })
    const server = new Server()
    const names = Object.keys(workloadApiService) as WorkloadApiMethod[]
    server.addService(raw(names), Object.fromEntries(names.map((name) => [name, this.#handler(name)])))
    await bind(server, this.#target)
    this.#server = server
  }

  close(): void {
    this.stop()
    if (this.#folder !== null) rmSync(this.#folder, { recursive: true, force: true })
  }

  #handler(method: WorkloadApiMethod) {
    const stream = (call: RawStream): void => this.#serve(method, call)
    const unary = (call: ServerUnaryCall<Buffer, Buffer>, send: sendUnaryData<Buffer>): void => void this.#reply(method, call, send)
    return workloadApiService[method].responseStream ? stream : unary
  }

  #note(method: WorkloadApiMethod, call: { readonly metadata: Metadata; readonly request: Buffer }): boolean {
    const header = call.metadata.get('workload.spiffe.io')
    this.seen.push({ method, header, metadata: call.metadata.getMap(), request: call.request })
    this.#wake()
    return header.length === 1 && header[0] === 'true'
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const wake of waiting) wake()
  }

  #serve(method: WorkloadApiMethod, call: RawStream): void {
    const streams = this.#streams.get(method) ?? new Set()
    this.#streams.set(method, streams)
    streams.add(call)
    const forget = (): void => {
      if (streams.delete(call)) this.#wake()
    }
    call.on('cancelled', forget)
    call.on('error', forget)
    call.on('finish', forget)
    if (!this.#note(method, call)) finish(call, status.INVALID_ARGUMENT, 'security header missing from request')
    const state = this.#state.get(method)
    if (Buffer.isBuffer(state)) call.write(state)
    else if (state !== undefined) finish(call, state.code, state.details)
  }

  async #reply(method: WorkloadApiMethod, call: ServerUnaryCall<Buffer, Buffer>, send: sendUnaryData<Buffer>): Promise<void> {
    if (!this.#note(method, call)) {
      send({ code: status.INVALID_ARGUMENT, details: 'security header missing from request' })
      return
    }
    const unserved = { code: status.UNIMPLEMENTED, details: 'not served' }
    const answer = (await this.#answers.get(method)?.(call.request)) ?? unserved
    if (Buffer.isBuffer(answer)) send(null, answer)
    else send(answer)
  }
}

const clean: number = status.OK

function finish(stream: RawStream, code: number, details: string): void {
  if (code === clean) stream.end()
  else stream.emit('error', { code, details, metadata: new Metadata() })
}

function bind(server: Server, target: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(target, ServerCredentials.createInsecure(), (error, port) => (error === null ? resolve(port) : reject(error)))
  })
}

/** The same paths without a codec: a test decides about every byte. */
function raw(names: readonly WorkloadApiMethod[]): ServiceDefinition {
  const same = (bytes: Buffer): Buffer => bytes
  const methods = names.map((name): [string, MethodDefinition<Buffer, Buffer>] => {
    const { path, requestStream, responseStream } = workloadApiService[name]
    return [
      name,
      {
        path,
        requestStream,
        responseStream,
        requestSerialize: same,
        requestDeserialize: same,
        responseSerialize: same,
        responseDeserialize: same,
      },
    ]
  })
  return Object.fromEntries(methods)
}
