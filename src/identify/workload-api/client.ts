import { Backoff } from './backoff.ts'
import { aborted, closed, Connection, faultOf } from './connection.ts'
import { messageOf, WorkloadApiFault } from './fault.ts'
import { readJwtBundles, readJwtSvids, readValidated } from './jwt-answers.ts'
import type { JwtBundles, JwtSvid, ValidatedJwtSvid } from './jwt-answers.ts'
import { workloadApiService } from './service.ts'
import { realPace, startWatch } from './watch.ts'
import type { OwnWatch, Watch, WatchListener } from './watch.ts'
import { readWitBundles, readWitSvids } from './wit-answers.ts'
import type { WitBundles, WitSvid } from './wit-answers.ts'
import { readX509Bundles, readX509Context } from './x509-context.ts'
import type { X509Bundles, X509Context } from './x509-context.ts'

export interface ClientOptions {
  /** Target for gRPC. */
  readonly target: string
  /** Ms of the longest wait between tries. */
  readonly maxBackoff: number
  /** Ms for an answer to a call that is no stream. */
  readonly timeout: number
}

export interface JwtSvidWish {
  /** At least one. */
  readonly audience: readonly string[]
  /** Null: every identity of the workload. */
  readonly id: string | null
}

export interface CallLimits {
  readonly signal?: AbortSignal | undefined
  /** Ms; default that of the client. */
  readonly timeout?: number | undefined
}

/** One stream and how its messages are read. */
interface Stream<Value> {
  readonly path: string
  readonly request: Buffer
  readonly read: (bytes: Uint8Array, before: Value | null) => Value
}

/** Ms for the first message of a stream. */
const patience = 30_000

const { FetchX509SVID, FetchX509Bundles, FetchJWTSVID, FetchJWTBundles, ValidateJWTSVID, FetchWITSVID, FetchWITBundles } =
  workloadApiService
const empty = Buffer.alloc(0)

export const x509ContextStream: Stream<X509Context> = { path: FetchX509SVID.path, request: empty, read: readX509Context }
export const x509BundlesStream: Stream<X509Bundles> = { path: FetchX509Bundles.path, request: empty, read: readX509Bundles }
export const jwtBundlesStream: Stream<JwtBundles> = { path: FetchJWTBundles.path, request: empty, read: readJwtBundles }
export const witBundlesStream: Stream<WitBundles> = { path: FetchWITBundles.path, request: empty, read: readWitBundles }

export function witSvidsStream(id: string | null): Stream<readonly WitSvid[]> {
  return { path: FetchWITSVID.path, request: FetchWITSVID.requestSerialize({ spiffeId: id ?? '' }), read: readWitSvids }
}

/** The calls of the Workload API over one connection: streams that are watched, and single answers. */
export class Client {
  readonly #options: ClientOptions
  readonly #connection: Connection
  readonly #watches = new Set<Pick<OwnWatch, 'end'>>()

  constructor(options: ClientOptions) {
    this.#options = options
    this.#connection = new Connection(options.target)
  }

  /** Throws `closed` after `close`; otherwise everything is told to the listener. */
  watch<Value>({ path, request, read }: Stream<Value>, listener: WatchListener<Value>): Watch {
    const watch = startWatch<Value>({
      open: (streamListener) => this.#connection.stream(path, request, streamListener),
      read,
      listener,
      backoff: new Backoff({ max: this.#options.maxBackoff }),
      pace: realPace,
      patience,
    })
    this.#watches.add(watch)
    return {
      close: () => {
        this.#watches.delete(watch)
        watch.close()
      },
    }
  }

  /** The first message of a stream, without trying again. */
  look<Value>({ path, request, read }: Stream<Value>, { signal, timeout = this.#options.timeout }: CallLimits): Promise<Value> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) throw aborted()
      const settle = (act: () => void): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        this.#watches.delete(onClose)
        cancel()
        act()
      }
      const onAbort = (): void => settle(() => reject(aborted()))
      const onClose = { end: () => settle(() => reject(closed())) }
      const cancel = this.#connection.stream(path, request, {
        message: (bytes) => settle(() => resolve(Promise.try(() => understood(() => read(bytes, null))))),
        end: (code, details) => settle(() => reject(faultOf(code, details))),
      })
      const timer = setTimeout(() => settle(() => reject(silent())), timeout).unref()
      signal?.addEventListener('abort', onAbort)
      this.#watches.add(onClose)
    })
  }

  async jwtSvids(wish: JwtSvidWish, limits: CallLimits): Promise<readonly JwtSvid[]> {
    if (wish.audience.length === 0 || wish.audience.includes('')) {
      throw new WorkloadApiFault('invalid-argument', 'a JWT-SVID needs an audience, and an empty one is none')
    }
    const request = FetchJWTSVID.requestSerialize({ audience: wish.audience, spiffeId: wish.id ?? '' })
    const answer = await this.#call(FetchJWTSVID.path, request, limits)
    return understood(() => readJwtSvids(answer, wish))
  }

  /** An invalid token and a faulty client have the same status; with this call it is the token. */
  async validateJwtSvid(token: string, audience: string, limits: CallLimits): Promise<ValidatedJwtSvid> {
    if (token === '' || audience === '') throw new WorkloadApiFault('invalid-argument', 'validating needs a token and an audience')
    const request = ValidateJWTSVID.requestSerialize({ audience, svid: token })
    const answer = await this.#call(ValidateJWTSVID.path, request, limits, token).catch((error: unknown) => {
      if (!(error instanceof WorkloadApiFault) || error.code !== 'invalid-argument') throw error
      throw new WorkloadApiFault('invalid-token', error.message)
    })
    return understood(() => readValidated(answer))
  }

  /** Watches are told `ended`, and whatever is waited for rejects. */
  close(): void {
    for (const watch of this.#watches) watch.end(closed())
    this.#watches.clear()
    this.#connection.close()
  }

  #call(path: string, request: Buffer, { signal, timeout = this.#options.timeout }: CallLimits, hidden?: string): Promise<Buffer> {
    return this.#connection.unary(path, request, { signal, timeout, hidden })
  }
}

function silent(): WorkloadApiFault {
  return new WorkloadApiFault('unavailable', 'the Workload API said nothing')
}

/** Whatever is wrong with an answer is one fault. */
function understood<Value>(read: () => Value): Value {
  try {
    return read()
  } catch (error) {
    throw error instanceof WorkloadApiFault ? error : new WorkloadApiFault('malformed', messageOf(error))
  }
}
