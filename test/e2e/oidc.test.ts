import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { FakeApiServer, kubernetesClaims } from '../support/api-server.ts'
import { TestClock } from '../support/identity-rig.ts'
import { loopbackServer, MemoryIssuer, Opened } from '../support/oidc-rig.ts'
import { freeAgent, routeTo, Running, TestUpstream } from '../support/running.ts'

const opened = new Opened()
afterEach(() => opened.close())

const id = 'spiffe://acme.example/ns/support/sa/refund-agent'

test('a pod calls with its projected token, is recorded by its SPIFFE ID, and is refused half a minute after it was deleted', async () => {
  const folder = opened.folder()
  const clock = new TestClock(Math.floor(Date.now() / 1000) * 1000)
  const api = new FakeApiServer()
  const apiServer = opened.keep(await api.listen(folder))
  const keys = opened.keep(
    await loopbackServer((request, response) => {
      response.end(request.url === '/keys' ? issuer.keys.jwks() : JSON.stringify(issuer.metadata()))
    }, folder),
  )
  const issuer = new MemoryIssuer({ url: keys.url, clock })
  writeFileSync(join(folder, 'token'), 'reviewer-token')
  const source = {
    type: 'oidc',
    preset: 'kubernetes',
    issuer: keys.url,
    audience: 'countersign',
    id: 'spiffe://acme.example',
    ca: { file: keys.ca },
    claims: ['kubernetes.io.pod.name'],
    review: { url: apiServer.url, ca: { file: apiServer.ca }, token: { file: join(folder, 'token') } },
  }
  await using upstream = await TestUpstream.start((_, response) => response.end('ok'))
  await using running = await Running.start({
    routes: { api: routeTo(upstream.url, 'api') },
    agents: [freeAgent({ id })],
    settings: { identify: { sources: [source] } },
    clock: clock.now,
  })
  const token = issuer.mint({ claims: kubernetesClaims() })
  const call = (): Promise<Response> => fetch(running.url('/api/orders'), { headers: { authorization: `Bearer ${token}` } })

  const answer = await call()
  expect([answer.status, await answer.text()]).toEqual([200, 'ok'])
  expect(JSON.stringify(upstream.seen)).not.toContain(token)
  const [decision] = running.entries().filter(({ kind }) => kind === 'decision')
  expect(decision).toMatchObject({ caller: id, method: 'oidc' })
  const [line] = running
    .ledgerText()
    .split('\n')
    .filter((one) => one.includes('"kubernetes.io.pod.name":"refund-agent-0"'))
  expect(JSON.parse(line ?? '{}').input.caller).toMatchObject({
    spiffe_id: id,
    trust_domain: 'acme.example',
    method: 'oidc',
    confirmed: 'bearer',
    issuer: keys.url,
    claims: { 'kubernetes.io.pod.name': 'refund-agent-0' },
  })

  // the first call waited for keys; what was verified while there were none is not kept
  expect((await call()).status).toBe(200)
  const asked = api.reviews
  api.deleted.add('b2b2b2b2-0000-4000-8000-000000000002')
  clock.move(29_999)
  expect((await call()).status).toBe(200)
  clock.move(1)
  const refused = await call()
  expect(refused.status).toBe(401)
  expect(await refused.json()).toMatchObject({ code: 'identify.rejected', reasons: ['the token is no longer valid at its issuer'] })
  expect(api.reviews).toBe(asked + 1)
  const everything = running.ledgerText() + running.logged.join('\n')
  for (const secret of [token, 'reviewer-token']) expect(everything).not.toContain(secret)
})
