import type { Client, Metadata } from '@grpc/grpc-js'
import { printable, WorkloadApiFault } from './fault.ts'
import type { WorkloadApiFaultCode } from './fault.ts'
import { grpc, statuses } from './grpc.ts'
import { securityHeader } from './service.ts'

/** What a stream tells: messages, then how it ended; nothing after that, nor after it was cancelled. */
export interface StreamListener {
  message(bytes: Uint8Array): void
  /** `code` is a gRPC status: `ok` when the server has nothing to complain about. */
  end(code: number, details: string): void
}

export interface UnaryOptions {
  readonly signal?: AbortSignal | undefined
  /** Ms. */
  readonly timeout: number
  /** A token that no message may quote, nor any part of it. */
  readonly hidden?: string | undefined
}

/**
 * No proxy from the environment stands between a workload and its host; nothing is resolved, retried or shared behind our back.
 * Reconnecting is ours alone: gRPC's own waits would add to the backoff of the specification.
 */
const channelOptions = {
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_retries': 0,
  'grpc.enable_channelz': 0,
  'grpc.use_local_subchannel_pool': 1,
  // an endpoint that vanishes without a word is noticed; servers take more than one ping in five minutes for abuse
  'grpc.keepalive_time_ms': 360_000,
}

/** The way to one endpoint: a channel that is made anew after a failure, so that every try really dials. */
export class Connection {
  readonly #target: string
  // written by #open, #retire and close alone
  #client: Client | null = null
  #closed = false
  /** What cancels the calls under way. */
  readonly #underWay = new Set<() => void>()

  constructor(target: string) {
    this.#target = target
  }

  /** Gives the function that cancels it. */
  stream(path: string, request: Buffer, listener: StreamListener): () => void {
    const client = this.#open()
    const call = client.makeServerStreamRequest(path, asIs, asIs, request, metadata())
    const cancel = (): void => {
      this.#underWay.delete(cancel)
      call.cancel()
    }
    this.#underWay.add(cancel)
    call.on('data', (bytes: Buffer) => {
      if (this.#underWay.has(cancel)) listener.message(bytes)
    })
    // what it says comes again as the status
    call.on('error', () => undefined)
    call.on('status', ({ code, details }) => {
      if (code === grpc().status.UNAVAILABLE) this.#retire(client)
      if (this.#underWay.delete(cancel)) listener.end(code, details)
    })
    return cancel
  }

  /** Rejects with a `WorkloadApiFault`. */
  unary(path: string, request: Buffer, { signal, timeout, hidden = '' }: UnaryOptions): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) throw aborted()
      const client = this.#open()
      const done = (): void => {
        signal?.removeEventListener('abort', onAbort)
        this.#underWay.delete(onClose)
      }
      const call = client.makeUnaryRequest(path, asIs, asIs, request, metadata(), { deadline: Date.now() + timeout }, (error, answer) => {
        done()
        if (error?.code === grpc().status.UNAVAILABLE) this.#retire(client)
        if (error === null && answer !== undefined) resolve(answer)
        else reject(faultOf(error?.code ?? grpc().status.INTERNAL, withoutParts(error?.details ?? 'no answer', hidden)))
      })
      const stop = (fault: WorkloadApiFault): void => {
        done()
        reject(fault)
        call.cancel()
      }
      const onAbort = (): void => stop(aborted())
      const onClose = (): void => stop(closed())
      signal?.addEventListener('abort', onAbort)
      this.#underWay.add(onClose)
    })
  }

  /** Cancels what is under way: streams tell nothing more, calls reject. */
  close(): void {
    this.#closed = true
    for (const cancel of this.#underWay) cancel()
    this.#client?.close()
    this.#client = null
  }

  #open(): Client {
    if (this.#closed) throw closed()
    if (this.#client !== null) return this.#client
    const { Client, credentials } = grpc()
    return (this.#client = new Client(this.#target, credentials.createInsecure(), channelOptions))
  }

  #retire(client: Client): void {
    if (this.#client !== client) return
    this.#client = null
    client.close()
  }
}

const codes: Readonly<Record<number, WorkloadApiFaultCode>> = {
  [statuses.invalidArgument]: 'invalid-argument',
  [statuses.permissionDenied]: 'permission-denied',
  [statuses.unimplemented]: 'unimplemented',
}

/** Everything that the specification gives no meaning of its own is a failure that may pass. */
export function faultOf(code: number, details: string): WorkloadApiFault {
  return new WorkloadApiFault(
    codes[code] ?? 'unavailable',
    `the Workload API answered ${grpc().status[code] ?? code}: ${printable(details)}`,
  )
}

function withoutParts(details: string, token: string): string {
  const parts = token.split('.').filter((part) => part.length >= 8)
  return parts.reduce((text, part) => text.replaceAll(part, '[token]'), details)
}

export function aborted(): WorkloadApiFault {
  return new WorkloadApiFault('aborted', 'the wait for the Workload API was aborted')
}

export function closed(): WorkloadApiFault {
  return new WorkloadApiFault('closed', 'the client of the Workload API is closed')
}

function asIs(bytes: Buffer): Buffer {
  return bytes
}

function metadata(): Metadata {
  const made = new (grpc().Metadata)()
  made.set(securityHeader.name, securityHeader.value)
  return made
}
