import { createLocalJWKSet, jwtVerify } from 'jose'
import { expect, test } from 'vitest'
import { IssuerServer, type IssuerReply, type IssuerRequest } from '../support/issuer-server.ts'
import { anyTool, ask, audience, freeAgent, routeTo, Running, TestUpstream } from '../support/running.ts'
import { agentId, ownId, WorkloadCompany } from '../support/workload-company.ts'

const assertion = 'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe'

/** A stand-in for a server that knows its clients by SPIFFE ID, and verifies them by the keys of the trust domain. */
async function issuerOf(company: WorkloadCompany): Promise<IssuerServer> {
  const answer = async ({ path, body }: IssuerRequest): Promise<IssuerReply> => {
    const { url } = server
    if (path.startsWith('/.well-known/'))
      return { status: 200, json: { issuer: url, token_endpoint: `${url}/token`, revocation_endpoint: `${url}/revoke` } }
    const form = new URLSearchParams(body)
    const keys = createLocalJWKSet(JSON.parse(company.acme.jwks))
    const proven = await jwtVerify(form.get('client_assertion') ?? '', keys, { audience: url, subject: ownId }).catch(() => null)
    if (proven === null || form.get('client_assertion_type') !== assertion) return { status: 401, json: { error: 'invalid_client' } }
    return path === '/revoke'
      ? { status: 200 }
      : { status: 200, json: { access_token: 'lent-to-one-task', token_type: 'Bearer', expires_in: 60 } }
  }
  const server = new IssuerServer(answer)
  return server.listen()
}

test('an issuer is shown the SVID of Countersign itself, and no secret stands: when it is taken back, nothing more is lent', async () => {
  await using company = await WorkloadCompany.found()
  await using issuer = await issuerOf(company)
  await using upstream = await TestUpstream.start()
  await using running = await Running.start({
    agents: [freeAgent({ id: agentId })],
    routes: {
      crm: routeTo(upstream.url, 'crm', {
        credential: 'crm',
        tools: [anyTool('crm.a', { match: 'GET /a' }), anyTool('crm.b', { match: 'GET /b' })],
      }),
    },
    providers: { crm: { type: 'oauth', issuer: issuer.url, client: { authenticate: 'jwt-svid' } } },
    settings: { identify: { audience, sources: [{ type: 'spiffe', socket: company.socket, id: ownId }] } },
  })
  await running.sidecar.trust().settled(5000)
  const headers = { authorization: `Bearer ${await company.acme.mint(agentId, audience, 300)}` }
  expect((await ask(running.port(), '/crm/a', { headers })).status).toBe(200)
  expect(upstream.seen.map((seen) => seen.headers.authorization)).toEqual(['Bearer lent-to-one-task'])
  expect(JSON.stringify(running.entries())).not.toContain('lent-to-one-task')
  company.api.entitle([agentId])
  await expect.poll(() => running.sidecar.trust().own?.current() ?? null).toBeNull()
  expect((await ask(running.port(), '/crm/b', { headers })).json).toMatchObject({ code: 'credential.unavailable' })
  expect(upstream.seen).toHaveLength(1)
})
