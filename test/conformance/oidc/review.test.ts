import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { openSource, SourceConfig } from '../../../src/identify/registry.ts'
import type { Caller } from '../../../src/identify/identify.ts'
import { FakeApiServer, kubernetesClaims } from '../../support/api-server.ts'
import type { Status } from '../../support/api-server.ts'
import { bearer, identifyServices, refusalOf } from '../../support/identity-rig.ts'
import type { Jwk } from '../../support/issuer.ts'
import { signingKey } from '../../support/issuer.ts'
import { anyCall, audience, Opened, openedOidc, presented } from '../../support/oidc-rig.ts'
import type { OpenedOidc } from '../../support/oidc-rig.ts'

const opened = new Opened()
afterEach(() => opened.close())

interface Reviewed extends OpenedOidc {
  readonly api: FakeApiServer
  /** Where our own token for the API server is. */
  readonly token: string
  readonly close: () => Promise<void>
  /** The caller of a token with these changes to the claims of a projected one. */
  readonly pod: (change?: object) => Promise<Caller>
}

async function reviewed(review: Jwk = {}): Promise<Reviewed> {
  const folder = opened.folder()
  const token = join(folder, 'token')
  writeFileSync(token, 'reviewer-token')
  const api = new FakeApiServer()
  const server = opened.keep(await api.listen(folder))
  const config = { url: server.url, ca: { file: server.ca }, token: { file: token }, ...review }
  const rig = await openedOidc({
    preset: 'kubernetes',
    issuer: 'https://kubernetes.default.svc',
    id: 'spiffe://acme.example',
    review: config,
  })
  opened.keep(rig.source)
  return { ...rig, api, token, close: () => server.close(), pod: (change = {}) => rig.caller(kubernetesClaims(change)) }
}

const withdrawn = { code: 'identify.rejected', reasons: ['the token is no longer valid at its issuer'] }
const id = 'spiffe://acme.example/ns/support/sa/refund-agent'

describe('the question', () => {
  test('[Kubernetes TokenReview: spec] the token goes to the API server with our audience, and a good one is the caller', async () => {
    const rig = await reviewed()
    expect(await rig.pod()).toMatchObject({ id, method: 'oidc', confirmed: 'bearer' })
    expect(rig.api.reviews).toBe(1)
  })

  test('[Countersign: only a genuine token is shown to the API server] what does not verify here is not', async () => {
    const rig = await reviewed()
    const claims = kubernetesClaims()
    for (const minting of [{ key: signingKey() }, { header: { kid: 'x' } }, { claims: { aud: 'other' } }])
      expect(
        await refusalOf(() => rig.identify(bearer(rig.issuer.mint({ ...minting, claims: { ...claims, ...minting.claims } })))),
      ).not.toBeNull()
    expect(rig.api.reviews).toBe(0)
  })

  test('[Countersign: files of platforms are read again] our own token is renewed in place', async () => {
    const rig = await reviewed()
    await rig.pod()
    rig.api.reviewers.clear()
    rig.api.reviewers.add('renewed')
    expect(await refusalOf(() => rig.pod({ jti: '2' }))).toMatchObject({ code: 'identify.unavailable' })
    writeFileSync(rig.token, 'renewed\n')
    expect(await rig.pod({ jti: '2' })).toMatchObject({ id })
  })

  test('[Countersign: one question for calls at the same time] a hundred calls ask once', async () => {
    const rig = await reviewed()
    const token = rig.issuer.mint({ claims: kubernetesClaims() })
    const callers = await Promise.all(Array.from({ length: 100 }, async () => rig.source.verify(presented(token), anyCall)))
    expect(new Set(callers.map((caller) => caller?.id))).toEqual(new Set([id]))
    expect(rig.api.reviews).toBe(1)
  })
})

describe('the answer', () => {
  async function answered(change: (status: Status) => object | null): Promise<unknown> {
    const rig = await reviewed()
    rig.api.change = change
    return refusalOf(() => rig.pod())
  }

  test.each([
    ['false', { authenticated: false }],
    ['absent', { authenticated: undefined }],
    ['text', { authenticated: 'true' }],
    ['false with an error', { authenticated: false, error: 'token has expired' }],
  ])('[Kubernetes TokenReview: status.authenticated] anything but true is refused: %s', async (_, change) => {
    expect(await answered((status) => ({ ...status, ...change }))).toMatchObject(withdrawn)
  })

  test('[Kubernetes TokenReview: status.authenticated] a deleted pod, and a deleted account, are refused', async () => {
    for (const uid of ['b2b2b2b2-0000-4000-8000-000000000002', 'c3c3c3c3-0000-4000-8000-000000000003']) {
      const rig = await reviewed()
      rig.api.deleted.add(uid)
      expect(await refusalOf(() => rig.pod())).toMatchObject({ ...withdrawn, detail: expect.stringContaining('invalidated') })
    }
  })

  test('[Kubernetes TokenReview: status.audiences] a server that heeds no audiences is refused', async () => {
    const rig = await reviewed()
    rig.api.audienceAware = false
    expect(await refusalOf(() => rig.pod())).toMatchObject({
      code: 'identify.rejected',
      reasons: ['the token is for another audience'],
      detail: expect.stringContaining('does not heed'),
    })
  })

  test.each([[[]], [['other']], [null], ['countersign'], [[['countersign']]]])(
    '[Kubernetes TokenReview: status.audiences] ours has to be among them: %j',
    async (audiences) => {
      expect(await answered((status) => ({ ...status, audiences }))).toMatchObject({
        code: 'identify.rejected',
        reasons: ['the token is for another audience'],
      })
    },
  )

  test.each([
    ['another', { username: 'system:serviceaccount:support:other' }],
    ['none', undefined],
    ['text', 'system:serviceaccount:support:refund-agent'],
  ])('[Kubernetes TokenReview: status.user.username] is the subject of the token: %s is refused', async (_, user) => {
    expect(await answered((status) => ({ ...status, user }))).toMatchObject(withdrawn)
  })

  test('[Kubernetes TokenReview: status.user.uid] an account made anew under the old name is refused', async () => {
    expect(await answered((status) => ({ ...status, user: { ...status.user, uid: 'other' } }))).toMatchObject(withdrawn)
    expect(await answered((status) => ({ ...status, user: { username: status.user?.username } }))).toBeNull()
  })

  test.each([
    ['another pod', { 'authentication.kubernetes.io/pod-uid': ['other'] }],
    ['another name', { 'authentication.kubernetes.io/pod-name': ['other'] }],
    ['two pods', { 'authentication.kubernetes.io/pod-uid': ['b2b2b2b2-0000-4000-8000-000000000002', 'other'] }],
    ['another node', { 'authentication.kubernetes.io/node-name': ['worker-2'] }],
    ['text', { 'authentication.kubernetes.io/pod-name': 'refund-agent-0' }],
  ])('[Kubernetes TokenReview: status.user.extra] agrees with the token: %s is refused', async (_, extra) => {
    expect(await answered((status) => ({ ...status, user: { ...status.user, extra } }))).toMatchObject(withdrawn)
  })

  test('[Kubernetes TokenReview: status.user.extra] what else it says does not matter', async () => {
    const extra = { 'authentication.kubernetes.io/credential-id': ['JTI=x'], 'authentication.kubernetes.io/node-name': ['worker-1'] }
    expect(await answered((status) => ({ ...status, user: { ...status.user, extra } }))).toBeNull()
  })

  test.each([
    ['no object', 'null'],
    ['a page', '<html></html>'],
    ['nothing', ''],
    ['another kind', '{"kind":"Status","apiVersion":"v1","status":{"authenticated":true}}'],
    ['another version', '{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1beta1","status":{"authenticated":true}}'],
    ['no status', '{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1"}'],
    [
      'two statuses',
      '{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","status":{"authenticated":false},"status":{"authenticated":true}}',
    ],
  ])('[Countersign: an answer that is not understood never allows] %s', async (_, text) => {
    const rig = await reviewed()
    rig.api.instead = (_request, response) => void response.writeHead(201).end(text)
    expect(await refusalOf(() => rig.pod())).toMatchObject({ code: 'identify.unavailable' })
  })
})

describe('no answer', () => {
  test.each([400, 404, 409, 422, 429, 500, 503])(
    '[Countersign: an answer that is not understood never allows] status %d',
    async (status) => {
      const rig = await reviewed()
      rig.api.instead = (_, response) => void response.writeHead(status).end('{}')
      expect(await refusalOf(() => rig.pod())).toMatchObject({ code: 'identify.unavailable', detail: expect.stringContaining(`${status}`) })
    },
  )

  test.each([
    ['stale-token', '401'],
    ['powerless-token', 'system:auth-delegator'],
  ])('[Countersign: the operator is told what our own account lacks] %s', async (token, hint) => {
    const rig = await reviewed()
    writeFileSync(rig.token, token)
    const refusal = await refusalOf(() => rig.pod())
    expect(refusal).toMatchObject({ code: 'identify.unavailable', detail: expect.stringContaining(hint) })
    expect(`${refusal?.detail} ${refusal?.reasons}`).not.toContain(token)
  })

  test('[Countersign: an API server that is away never allows] calls are refused, and go on when it is back', async () => {
    const rig = await reviewed()
    rig.api.instead = (request) => void request.socket.destroy()
    expect(await refusalOf(() => rig.pod())).toMatchObject({ code: 'identify.unavailable' })
    rig.api.instead = null
    expect(await rig.pod()).toMatchObject({ id })
  })

  test('[Countersign: an API server that is away never allows] a redirect leads nowhere, the token stays here', async () => {
    const rig = await reviewed()
    const asked: (string | undefined)[] = []
    rig.api.instead = (request, response) => {
      asked.push(request.url)
      response.writeHead(307, { location: '/elsewhere' }).end()
    }
    expect(await refusalOf(() => rig.pod())).toMatchObject({ code: 'identify.unavailable' })
    expect(asked).toEqual(['/apis/authentication.k8s.io/v1/tokenreviews'])
  })

  test('[Countersign: an API server that is away never allows] one that does not answer in time', async () => {
    const rig = await reviewed()
    rig.api.instead = () => undefined
    expect(await refusalOf(() => rig.pod())).toMatchObject({ code: 'identify.unavailable' })
  })

  test('[Countersign: nothing hangs on close] a question under way is given up', async () => {
    const rig = await reviewed()
    const asked = Promise.withResolvers<void>()
    rig.api.instead = () => asked.resolve()
    const refusal = refusalOf(() => rig.pod())
    await asked.promise
    rig.source.close()
    expect(await refusal).toMatchObject({ code: 'identify.unavailable' })
  })
})

describe('how long it holds', () => {
  test('[Countersign: a review holds for 30 s] a pod that is deleted is refused once it has been asked about again', async () => {
    const rig = await reviewed()
    const call = bearer(rig.issuer.mint({ claims: kubernetesClaims() }))
    await rig.identify(call)
    rig.api.deleted.add('b2b2b2b2-0000-4000-8000-000000000002')
    rig.clock.move(29_999)
    expect(await rig.identify(call)).toMatchObject({ id })
    expect(rig.api.reviews).toBe(1)
    rig.clock.move(1)
    expect(await refusalOf(() => rig.identify(call))).toMatchObject(withdrawn)
    expect(rig.api.reviews).toBe(2)
  })

  test('[Countersign: a review holds for 30 s] an answer is not kept past an API server that has gone', async () => {
    const rig = await reviewed({ keep: '10s' })
    const call = bearer(rig.issuer.mint({ claims: kubernetesClaims() }))
    await rig.identify(call)
    await rig.close()
    rig.clock.move(9999)
    expect(await rig.identify(call)).toMatchObject({ id })
    rig.clock.move(1)
    expect(await refusalOf(() => rig.identify(call))).toMatchObject({ code: 'identify.unavailable' })
  })
})

describe('a token that was refused', () => {
  test('[Countersign: a refused token asks seldom] is refused for ten seconds without a question, then asked about again', async () => {
    const rig = await reviewed()
    const call = bearer(rig.issuer.mint({ claims: kubernetesClaims() }))
    rig.api.change = (status) => ({ ...status, authenticated: false })
    expect(await refusalOf(() => rig.identify(call))).toMatchObject(withdrawn)
    rig.api.change = (status) => status
    for (const ms of [0, 9999]) {
      rig.clock.move(ms)
      expect(await refusalOf(() => rig.identify(call))).toMatchObject(withdrawn)
    }
    expect(rig.api.reviews).toBe(1)
    rig.clock.move(1)
    expect(await rig.identify(call)).toMatchObject({ id })
    expect(rig.api.reviews).toBe(2)
  })

  test('[Countersign: a refused token asks seldom] a question without an answer is no refusal', async () => {
    const rig = await reviewed()
    const call = bearer(rig.issuer.mint({ claims: kubernetesClaims() }))
    rig.api.instead = (_, response) => void response.writeHead(503).end()
    expect(await refusalOf(() => rig.identify(call))).toMatchObject({ code: 'identify.unavailable' })
    rig.api.instead = null
    expect(await rig.identify(call)).toMatchObject({ id })
  })
})

describe('inside a cluster', () => {
  const settings = SourceConfig.parse({
    type: 'oidc',
    preset: 'kubernetes',
    issuer: 'https://x.example',
    audience,
    id: 'spiffe://acme.example',
    review: {},
  })

  test.each([
    ['nothing', {}],
    ['no port', { KUBERNETES_SERVICE_HOST: '10.0.0.1' }],
    ['a port that is none', { KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_SERVICE_PORT: '443/x' }],
  ])('[Countersign: inside a cluster the environment names the API server] outside of one a url is needed: %s', (_, env) => {
    expect(() => openSource(settings, identifyServices({ env }))).toThrow(/review\.url has to be set/)
  })

  test.each(['10.0.0.1', 'fd00::1'])('[Countersign: inside a cluster the environment names the API server] %s', (host) => {
    const env = { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: '443' }
    const source = openSource(settings, identifyServices({ env, fetch: () => Promise.reject(new Error('not asked')) }))
    expect(source.keep).toBe(30_000)
    source.close()
  })
})
