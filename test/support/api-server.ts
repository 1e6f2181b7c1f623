import type { IncomingMessage, RequestListener } from 'node:http'
import { loopbackServer } from './oidc-rig.ts'
import type { LoopbackServer } from './oidc-rig.ts'

/**
 * A fake of the part of the Kubernetes API server that answers TokenReviews; it is no API server. What it does is what the reference of
 * the API (authentication.k8s.io/v1) and the page on service accounts say: it wants a token of its caller that may create reviews, answers
 * 201 with the object and a status, gives the audiences that both sides have, and no longer takes a token once what it is bound to has
 * gone. Unlike the real one it takes the signature of the reviewed token on trust.
 */
export class FakeApiServer {
  /** Tokens of callers that may create TokenReviews. */
  readonly reviewers = new Set(['reviewer-token'])
  /** UIDs of pods and accounts that have been deleted. */
  readonly deleted = new Set<string>()
  /** False: it heeds no audiences, as authenticators before Kubernetes 1.13 did. */
  audienceAware = true
  /** Reviews it was asked for. */
  reviews = 0
  /** Changes the status before it is sent. */
  change: (status: Status) => object | null = (status) => status
  /** Answers instead, for what a real one would not do. */
  instead: RequestListener | null = null

  async listen(folder: string): Promise<LoopbackServer> {
    return loopbackServer((request, response) => void this.#answer(request, response), folder)
  }

  readonly #answer: (...args: Parameters<RequestListener>) => Promise<void> = async (request, response) => {
    const body = await textOf(request)
    if (this.instead !== null) return this.instead(request, response)
    const send = (status: number, answer: object): void =>
      void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
    const { pathname } = new URL(request.url ?? '', 'https://localhost')
    if (request.method !== 'POST' || pathname !== '/apis/authentication.k8s.io/v1/tokenreviews') return send(404, failure(404))
    const reviewer = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]
    if (reviewer === undefined || reviewer === 'stale-token') return send(401, failure(401))
    if (!this.reviewers.has(reviewer)) return send(403, failure(403))
    this.reviews += 1
    const review = JSON.parse(body)
    send(201, { ...review, metadata: { creationTimestamp: null }, status: this.change(this.#statusOf(review.spec)) })
  }

  #statusOf({ token, audiences }: { readonly token: string; readonly audiences: readonly string[] }): Status {
    if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) return { error: '[invalid bearer token]' }
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
    const { pod, serviceaccount } = claims['kubernetes.io']
    const gone = [pod?.uid, serviceaccount.uid].some((uid) => this.deleted.has(uid))
    const shared = [claims.aud].flat().filter((one: string) => audiences.includes(one))
    if (gone || (this.audienceAware && shared.length === 0))
      return { error: '[invalid bearer token, service account token has been invalidated]' }
    return {
      authenticated: true,
      user: {
        username: claims.sub,
        uid: serviceaccount.uid,
        groups: ['system:serviceaccounts', 'system:authenticated'],
        ...(pod === undefined
          ? {}
          : { extra: { 'authentication.kubernetes.io/pod-name': [pod.name], 'authentication.kubernetes.io/pod-uid': [pod.uid] } }),
      },
      ...(this.audienceAware ? { audiences: shared } : {}),
    }
  }
}

export interface Status {
  readonly authenticated?: boolean
  readonly error?: string
  readonly user?: { readonly username: string; readonly uid: string; readonly groups: readonly string[]; readonly extra?: object }
  readonly audiences?: readonly string[]
}

function failure(code: number): object {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', code }
}

async function textOf(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = []
  for await (const piece of request) pieces.push(piece as Buffer)
  return Buffer.concat(pieces).toString()
}

/** Claims of a projected service account token as Kubernetes 1.30 makes them. */
export function kubernetesClaims(change: object = {}): Readonly<Record<string, unknown>> {
  return {
    sub: 'system:serviceaccount:support:refund-agent',
    aud: ['countersign'],
    jti: '3bd7a1f2-1d3e-4c0f-9f43-1d2d0e5c9a11',
    'kubernetes.io': {
      namespace: 'support',
      node: { name: 'worker-1', uid: 'a1a1a1a1-0000-4000-8000-000000000001' },
      pod: { name: 'refund-agent-0', uid: 'b2b2b2b2-0000-4000-8000-000000000002' },
      serviceaccount: { name: 'refund-agent', uid: 'c3c3c3c3-0000-4000-8000-000000000003' },
      warnafter: 1_790_003_607,
    },
    ...change,
  }
}
