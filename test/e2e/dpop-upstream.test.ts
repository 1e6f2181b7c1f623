import { expect, test } from 'vitest'
import { clientSecret, startAuthorizationServer, type AuthorizationServer } from '../support/authorization-server.ts'
import { DpopUpstream } from '../support/dpop-upstream.ts'
import { key } from '../support/provider-rig.ts'
import { ask, routeTo, Running, type Settings } from '../support/running.ts'

const tools: Settings[] = [
  { name: 'crm.read', match: 'GET /customers/{id}', effect: 'read', risk: 'low', egress: 'internal' },
  { name: 'crm.write', match: 'POST /customers/{id}', effect: 'write', risk: 'low', egress: 'internal', args: 'json' },
  { name: 'crm.judged', match: 'GET /judged/{id}', effect: 'read', risk: 'low', egress: 'internal', answer: 'json' },
]

async function start(upstream: DpopUpstream, server: AuthorizationServer): Promise<Running> {
  const client = { id: 'bound', authenticate: 'client_secret_basic', secret: { env: 'CLIENT' } }
  return Running.start({
    routes: { crm: routeTo(upstream.url, 'crm', { credential: 'crm', tools }) },
    providers: { crm: { type: 'oauth', issuer: server.issuer, client, scope: ['refunds:read'], dpop: true } },
    env: { CLIENT: clientSecret },
  })
}

test('an upstream of DPoP-bound tokens is proven each request, and given the nonce it wants before the agent hears of it', async () => {
  const server = await startAuthorizationServer({ keys: { keys: [...key.publicKeys().keys] } })
  await using upstream = await new DpopUpstream((token) => server.introspect(token)).listen()
  await using running = await start(upstream, server)
  const authorization = `Bearer ${await running.svid()}`
  const first = await ask(running.port(), '/crm/customers/1?full=yes', { headers: { authorization, dpop: 'a-proof-of-the-agent' } })
  expect([first.status, upstream.refused]).toEqual([200, ['use_dpop_nonce']])
  // the next proof has the nonce at once, until the upstream wants another
  expect((await ask(running.port(), '/crm/customers/2', { headers: { authorization } })).status).toBe(200)
  upstream.rotate()
  const headers = { authorization, 'content-type': 'application/json' }
  const written = await ask(running.port(), '/crm/customers/3', { method: 'POST', headers, body: '{"name":"Ada"}' })
  expect(written.status).toBe(200)
  upstream.rotate()
  expect((await ask(running.port(), '/crm/judged/4', { headers: { authorization } })).status).toBe(200)
  expect(upstream.refused).toEqual(['use_dpop_nonce', 'use_dpop_nonce', 'use_dpop_nonce'])
  expect(upstream.served).toEqual([
    { method: 'GET', url: '/customers/1?full=yes', body: '' },
    { method: 'GET', url: '/customers/2', body: '' },
    { method: 'POST', url: '/customers/3', body: '{"name":"Ada"}' },
    { method: 'GET', url: '/judged/4', body: '' },
  ])
  expect(
    running
      .entries()
      .filter(({ kind }) => kind === 'outcome')
      .map((line) => line['status']),
  ).toEqual([200, 200, 200, 200])
  await server.close()
})

test('a body that streams by cannot be sent again: the agent is told, and its next try has the nonce', async () => {
  const server = await startAuthorizationServer({ keys: { keys: [...key.publicKeys().keys] } })
  await using upstream = await new DpopUpstream((token) => server.introspect(token)).listen()
  await using running = await Running.start({
    routes: {
      crm: routeTo(upstream.url, 'crm', {
        credential: 'crm',
        tools: [{ name: 'crm.put', match: 'PUT /files/{id}', effect: 'write', risk: 'low', egress: 'internal' }],
      }),
    },
    providers: {
      crm: {
        type: 'oauth',
        issuer: server.issuer,
        client: { id: 'bound', authenticate: 'client_secret_basic', secret: { env: 'CLIENT' } },
        scope: ['refunds:read'],
        dpop: true,
      },
    },
    env: { CLIENT: clientSecret },
  })
  const headers = { authorization: `Bearer ${await running.svid()}`, 'content-type': 'text/plain' }
  const put = () => ask(running.port(), '/crm/files/1', { method: 'PUT', headers, body: 'x'.repeat(3_000_000) })
  expect((await put()).status).toBe(401)
  expect((await put()).status).toBe(200)
  await server.close()
})
