import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Decision } from '../../src/decide/decide.ts'
import { Permit } from '../../src/decide/permit.ts'
import type { Lease } from '../../src/credential/credential.ts'
import { makeForward, type Forward, type ForwardOptions, type Outcome } from '../../src/forward/forward.ts'
import type { Call } from '../../src/listen/call.ts'
import type { JudgedBody } from '../../src/match/match.ts'
import type { Route } from '../../src/match/route.ts'
import type { Tool } from '../../src/match/tools.ts'
import type { Refusal } from '../../src/refusal.ts'
import { Secret } from '../../src/secret.ts'
import { liveCall, permitFor, refuseCall } from './call.ts'
import { sketchRoute, sketchTarget, sketchTool } from './question.ts'
import { listening } from './sockets.ts'

export interface RigOptions {
  readonly route?: Partial<Route>
  readonly basePath?: string
  readonly prefix?: string
  readonly lease?: Lease | null | ((call: Call) => Lease | null)
  readonly limit?: number
  /** Reads the body first and forwards it as judged. */
  readonly judge?: boolean
  readonly forward?: Partial<ForwardOptions>
  readonly tool?: Partial<Tool>
  readonly decision?: Partial<Decision>
}

export interface Rig {
  readonly port: number
  readonly url: string
  readonly forward: Forward
  readonly calls: readonly Call[]
  /** Each call's end in the order they ended. */
  readonly ends: readonly (Outcome | Refusal)[]
  /** The nth end, when it comes. */
  end(index: number): Promise<Outcome | Refusal>
  close(): Promise<void>
}

/** An agent port that does nothing but forward: every call is permitted and goes to the upstream at this port. */
export async function startRig(upstream: number, options: RigOptions = {}): Promise<Rig> {
  const forward = makeForward({ clock: Date.now, check: (permit) => Permit.check(permit), ...options.forward })
  const route = upstreamRoute(upstream, options.basePath ?? '', options.route)
  const tool = sketchTool(options.tool)
  const calls: Call[] = []
  const ends: (Outcome | Refusal)[] = []
  const waiting: (() => void)[] = []
  const serve = async (incoming: IncomingMessage, outgoing: ServerResponse, expectsContinue: boolean): Promise<void> => {
    const call = liveCall(incoming, outgoing, { prefix: options.prefix ?? '', limit: options.limit ?? 1024 ** 3, expectsContinue })
    calls.push(call)
    try {
      const body = options.judge ? await judgedBody(call) : streamedBody(call)
      const lease = typeof options.lease === 'function' ? options.lease(call) : (options.lease ?? null)
      ends.push(await forward.forward(permitFor(call, sketchTarget({ route, body, tool }), options.decision), lease))
    } catch (error) {
      ends.push(refuseCall(call, error))
    }
    waiting.splice(0).forEach((wake) => wake())
  }
  const server = http.createServer({ keepAliveTimeout: 5_000 }, (incoming, outgoing) => void serve(incoming, outgoing, false))
  server.on('checkContinue', (incoming, outgoing) => void serve(incoming, outgoing, true))
  server.on('clientError', (_error, socket) => socket.destroy())
  await listening(server)
  const { port } = server.address() as AddressInfo
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    forward,
    calls,
    ends,
    end: async (index) => {
      while (ends.length <= index) await new Promise<void>((resolve) => waiting.push(resolve))
      return ends[index]!
    },
    close: async () => {
      await forward.close()
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

export function upstreamRoute(port: number, basePath: string, route: Partial<Route> = {}): Route {
  const origin = `http://127.0.0.1:${port}`
  const to = { origin, scheme: 'http', authority: `127.0.0.1:${port}`, hostname: '127.0.0.1', port, basePath } as const
  return sketchRoute({ credential: null, to, ...route })
}

export function sketchLease(lease: Partial<Lease> = {}): Lease {
  return {
    id: 'l_01JDZZZZZZZZZZZZZZZZZZZZZZ',
    provider: 'crm',
    placement: { in: 'header', name: 'authorization', prefix: 'Bearer ' },
    secret: new Secret('s3cr3t-lent-to-one-task'),
    digest: 'sha256:00',
    expires: Date.now() + 60_000,
    revocation: 'expiry',
    standing: false,
    scopes: [],
    ...lease,
  }
}

function streamedBody(call: Call): JudgedBody {
  const kind = call.length === 0 ? 'none' : 'stream'
  return { kind, parsed: undefined, bytes: null, sha256: null, size: null, judged: kind === 'none' }
}

async function judgedBody(call: Call): Promise<JudgedBody> {
  const chunks: Buffer[] = []
  for await (const chunk of call.incoming) chunks.push(chunk as Buffer)
  const bytes = Buffer.concat(chunks)
  return { kind: 'json', parsed: {}, bytes, sha256: 'ab', size: bytes.length, judged: true }
}
