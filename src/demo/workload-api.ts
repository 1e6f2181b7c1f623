/** The Workload API of a development trust domain, on a unix socket: any SPIFFE SDK on this machine gets SVIDs from it. Never for production. */
import { chmod, unlink } from 'node:fs/promises'
import {
  type Metadata,
  Server,
  ServerCredentials,
  status,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
} from '@grpc/grpc-js'
import { createLocalJWKSet, jwtVerify } from 'jose'
import type {
  JwtSvidRequest,
  JwtSvidResponse,
  ValidateJwtSvidRequest,
  ValidateJwtSvidResponse,
} from '../identify/workload-api/jwt-messages.ts'
import { securityHeader, workloadApiService } from '../identify/workload-api/service.ts'
import type { JsonObject } from '../identify/workload-api/struct.ts'
import type { X509SvidResponse } from '../identify/workload-api/x509-messages.ts'
import { isStaleSocket } from '../listen/stale-socket.ts'
import type { DevelopmentIssuer } from './issuer.ts'

export interface WorkloadApiServing {
  readonly issuer: DevelopmentIssuer
  /** Absolute path of the unix socket; one that a killed process left is replaced. */
  readonly socket: string
  /** SPIFFE IDs that whoever can reach the socket is given, in this order: nothing is attested. */
  readonly ids: readonly string[]
  /** How long SVIDs live; X.509-SVIDs are handed out anew after half of it. */
  readonly seconds: number
  /** DNS names that X.509-SVIDs carry too, for clients that know nothing of SPIFFE. */
  readonly dns?: readonly string[]
  /** Other trust domains whose workloads are vouched for. */
  readonly federated?: readonly DevelopmentIssuer[]
  /** Epoch ms. */
  readonly clock?: () => number
}

export interface DevelopmentWorkloadApi {
  /** As `SPIFFE_ENDPOINT_SOCKET` takes it. */
  readonly address: string
  /** Issues every X.509-SVID anew and tells all streams the state as it now is, keys of the issuers too. */
  rotate(): void
  /** Changes who is given what; with nobody left, streams end with PermissionDenied (Workload API §5.2.1). */
  entitle(ids: readonly string[]): void
  close(): Promise<void>
}

/** Starts serving. Rejects when the socket cannot be had. */
export async function serveWorkloadApi(serving: WorkloadApiServing): Promise<DevelopmentWorkloadApi> {
  if (await isStaleSocket(serving.socket)) await unlink(serving.socket)
  const api = new WorkloadApiServer(serving)
  await api.listen()
  return api
}

type Stream = ServerWritableStream<unknown, unknown>

class WorkloadApiServer implements DevelopmentWorkloadApi {
  readonly address: string
  readonly #serving: WorkloadApiServing
  readonly #server = new Server()
  /** Open streams and what each is told. Written by `#stream`. */
  readonly #streams = new Map<Stream, () => unknown>()
  readonly #timer: NodeJS.Timeout
  // both written by `rotate` and `entitle` alone
  #ids: readonly string[]
  #svids: X509SvidResponse['svids']

  constructor(serving: WorkloadApiServing) {
    this.#serving = serving
    this.address = `unix:${serving.socket}`
    this.#ids = serving.ids
    this.#svids = this.#issue()
    this.#timer = setInterval(() => this.rotate(), serving.seconds * 500).unref()
    this.#server.addService(workloadApiService, {
      FetchX509SVID: this.#stream(() => this.#x509Context()),
      FetchX509Bundles: this.#stream(() => ({ crl: [], bundles: this.#bundles((issuer) => Buffer.concat(issuer.authorities)) })),
      FetchJWTSVID: this.#unary((request: JwtSvidRequest) => this.#jwtSvids(request)),
      FetchJWTBundles: this.#stream(() => ({ bundles: this.#bundles((issuer) => Buffer.from(issuer.jwks)) })),
      ValidateJWTSVID: this.#unary((request: ValidateJwtSvidRequest) => this.#validate(request)),
      FetchWITSVID: (call: Stream) => call.emit('error', fault(status.UNIMPLEMENTED, 'WIT-SVIDs are not served here')),
      FetchWITBundles: (call: Stream) => call.emit('error', fault(status.UNIMPLEMENTED, 'WIT-SVIDs are not served here')),
    })
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.bindAsync(this.address, ServerCredentials.createInsecure(), (error) => (error === null ? resolve() : reject(error)))
    })
    await chmod(this.#serving.socket, 0o600)
  }

  rotate(): void {
    this.#svids = this.#issue()
    this.#tell()
  }

  entitle(ids: readonly string[]): void {
    this.#ids = ids
    this.rotate()
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#server.forceShutdown()
    await unlink(this.#serving.socket).catch(() => undefined)
  }

  #issue(): X509SvidResponse['svids'] {
    const { issuer, seconds, dns = [] } = this.#serving
    return this.#ids.map((id) => {
      const { chain, key } = issuer.issue({ id, seconds, dns })
      const bundle = Buffer.concat(issuer.authorities)
      return { spiffeId: id, x509Svid: Buffer.concat(chain), x509SvidKey: key ?? new Uint8Array(), bundle, hint: '' }
    })
  }

  /** Messages are encoded when they are written, so each stream gets the state as it is. */
  #tell(): void {
    for (const [call, message] of this.#streams) this.#write(call, message)
  }

  #write(call: Stream, message: () => unknown): void {
    if (this.#ids.length > 0) call.write(message())
    else {
      this.#streams.delete(call)
      call.emit('error', fault(status.PERMISSION_DENIED, 'no identity issued'))
    }
  }

  #x509Context(): X509SvidResponse {
    const { federated = [] } = this.#serving
    const bundles = federated.map((issuer) => [`spiffe://${issuer.trustDomain}`, Buffer.concat(issuer.authorities)] as const)
    return { svids: this.#svids, crl: [], federatedBundles: new Map(bundles) }
  }

  #bundles<Value>(of: (issuer: DevelopmentIssuer) => Value): ReadonlyMap<string, Value> {
    const { issuer, federated = [] } = this.#serving
    return new Map([issuer, ...federated].map((each) => [`spiffe://${each.trustDomain}`, of(each)]))
  }

  async #jwtSvids({ audience, spiffeId }: JwtSvidRequest): Promise<JwtSvidResponse> {
    if (audience.length === 0) throw fault(status.INVALID_ARGUMENT, 'audience must be specified')
    const ids = spiffeId === '' ? this.#ids : this.#ids.filter((id) => id === spiffeId)
    if (ids.length === 0) throw fault(status.PERMISSION_DENIED, 'no identity issued')
    const { issuer, seconds } = this.#serving
    return { svids: await Promise.all(ids.map(async (id) => ({ spiffeId: id, svid: await issuer.mint(id, audience, seconds), hint: '' }))) }
  }

  async #validate({ audience, svid }: ValidateJwtSvidRequest): Promise<ValidateJwtSvidResponse> {
    const { issuer, federated = [], clock = Date.now } = this.#serving
    for (const each of [issuer, ...federated]) {
      const options = { audience, algorithms: ['ES256'], requiredClaims: ['exp', 'sub'], currentDate: new Date(clock()) }
      const verified = await jwtVerify(svid, createLocalJWKSet(JSON.parse(each.jwks)), options).catch(() => null)
      const subject = verified?.payload.sub
      if (subject?.startsWith(`spiffe://${each.trustDomain}/`)) return { spiffeId: subject, claims: verified?.payload as JsonObject }
    }
    throw fault(status.INVALID_ARGUMENT, 'the token is not valid for this audience')
  }

  #stream(message: () => unknown) {
    return (call: Stream): void => {
      if (!isSafe(call.metadata)) {
        call.emit('error', unsafe())
        return
      }
      this.#streams.set(call, message)
      call.on('cancelled', () => this.#streams.delete(call))
      this.#write(call, message)
    }
  }

  #unary<Request, Response>(answer: (request: Request) => Promise<Response>) {
    return (call: ServerUnaryCall<Request, Response>, done: sendUnaryData<Response>): void => void reply(call, answer, done)
  }
}

async function reply<Request, Response>(
  { metadata, request }: ServerUnaryCall<Request, Response>,
  answer: (request: Request) => Promise<Response>,
  done: sendUnaryData<Response>,
): Promise<void> {
  try {
    if (!isSafe(metadata)) throw unsafe()
    const response = await answer(request)
    done(null, response)
  } catch (error) {
    done(isFault(error) ? error : fault(status.INTERNAL, 'the development issuer failed'))
  }
}

/** Workload Endpoint §3: the header is there, once, and its value is `true` in exactly this case. */
function isSafe(metadata: Metadata): boolean {
  const values = metadata.get(securityHeader.name)
  return values.length === 1 && values[0] === securityHeader.value
}

function unsafe(): Fault {
  return fault(status.INVALID_ARGUMENT, 'security header missing from request')
}

interface Fault extends Error {
  readonly code: status
  readonly details: string
}

function fault(code: status, details: string): Fault {
  return Object.assign(new Error(details), { code, details })
}

function isFault(error: unknown): error is Fault {
  return error instanceof Error && 'details' in error
}
