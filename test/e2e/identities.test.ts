import { request } from 'node:http'
import { join } from 'node:path'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { anyTool, ask, audience, freeAgent, routeTo, Running, TestUpstream, type Answered } from '../support/running.ts'
import { SvidClient } from '../support/svid-client.ts'
import { SvidUpstream } from '../support/svid-upstream.ts'
import { agentId, ownId, WorkloadCompany } from '../support/workload-company.ts'

const issuer = 'https://login.acme.example'

/** A person's token, and the document with the key that signed it. */
async function person(subject: string): Promise<{ readonly token: string; readonly jwks: string }> {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
  const token = await new SignJWT({})
    .setProtectedHeader({ alg: 'ES256', kid: 'people' })
    .setIssuer(issuer)
    .setSubject(subject)
    .setAudience('countersign')
    .setIssuedAt()
    .setExpirationTime('5m')
    .sign(privateKey)
  return { token, jwks: JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'people', alg: 'ES256', use: 'sig' }] }) }
}

/** One GET over a unix socket. */
function overSocket(socketPath: string, path: string, headers: Readonly<Record<string, string>> = {}): Promise<Pick<Answered, 'status'>> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, path, agent: false, headers: { host: 'localhost', ...headers } }, (response) => {
      response.resume().on('end', () => resolve({ status: response.statusCode ?? 0 }))
    })
    sent.on('error', reject)
    sent.end()
  })
}

describe('four identities', () => {
  test('the agent, the tool, the service behind it and the person stand in every line of a call, each its own', async () => {
    await using company = await WorkloadCompany.found()
    await using upstream = await SvidUpstream.start(company.acme, 'spiffe://acme.example/payments')
    const { token, jwks } = await person('u-17')
    const keys = join(company.folder, 'people.json')
    writeFileSync(keys, jwks)
    const tool = {
      name: 'payments.refund.read',
      match: 'GET /refunds/{id}',
      effect: 'read',
      risk: 'low',
      egress: 'internal',
      data: ['internal'],
    }
    const agent = freeAgent({ id: agentId, implicit: false })
    await using running = await Running.start({
      agents: [agent],
      routes: { payments: { at: '/payments', to: upstream.url, reach: 'private', tls: 'svid', id: upstream.id, tools: [tool] } },
      settings: {
        identify: { audience, sources: [{ type: 'spiffe', socket: company.socket }] },
        listen: { agent: [{ at: '127.0.0.1:0' }, { at: '127.0.0.1:0', tls: 'svid' }], health: { at: '127.0.0.1:0' }, drain: '2s' },
        task: {
          state: { path: 'state.db', key: { file: 'state.key' } },
          agents: [agent],
          subjects: [{ issuer, audience: 'countersign', keys: { file: keys } }],
        },
      },
    })
    await running.sidecar.trust().settled(5000)
    const authorization = `Bearer ${await company.acme.mint(agentId, audience, 300)}`
    const body = JSON.stringify({ purpose: 'look after a refund', on_behalf_of: token })
    const opened = await ask(running.port(), '/.countersign/v1/tasks', { method: 'POST', headers: { authorization }, body })
    expect(opened.status).toBe(201)
    const client = new SvidClient(company.acme.issue({ id: agentId, seconds: 300 }))
    expect(await client.get(running.port('agent.1'), `/t/${String(opened.json['id'])}/payments/refunds/7`)).toMatchObject({ status: 200 })
    expect(await client.get(running.port('agent.1'), `/t/${String(opened.json['id'])}/payments/secrets`)).toMatchObject({ status: 403 })
    client.close()
    expect(upstream.callers).toEqual([ownId])
    const lines = running.entries().filter(({ kind }) => kind === 'decision' || kind === 'outcome' || kind === 'refusal')
    expect(lines.map(({ kind }) => kind)).toEqual(['decision', 'outcome', 'refusal'])
    for (const line of lines)
      expect(line).toMatchObject({
        caller: agentId,
        method: 'x509-svid',
        confirmed: 'mtls',
        downstream: 'spiffe://acme.example/payments',
        human: { subject: 'u-17', issuer },
        root: 'user:u-17',
      })
    expect(lines.map((line) => line['tool'])).toEqual([
      'payments.refund.read',
      'payments.refund.read',
      expect.not.stringContaining('refund'),
    ])
    expect(lines[1]).toMatchObject({ downstream_proven: 'spiffe://acme.example/payments' })
  })
})

describe('an ambient identity on a unix socket', () => {
  test('is that of the listener, recorded as what it is, and gives way to whatever a caller presents', async () => {
    await using company = await WorkloadCompany.found()
    await using upstream = await TestUpstream.start()
    const socket = join(company.folder, 'agent.sock')
    await using running = await Running.start({
      agents: [freeAgent({ id: agentId }), freeAgent({ id: 'spiffe://acme.example/other' })],
      routes: {
        api: routeTo(upstream.url, 'api', {
          tools: [{ ...anyTool('api.pay'), match: 'GET /pay/{+path}', bound: true }, anyTool('api.any')],
        }),
      },
      settings: {
        identify: { audience, sources: [{ type: 'spiffe', socket: company.socket }] },
        listen: { agent: [{ at: `unix:${socket}`, ambient: agentId }], health: { at: '127.0.0.1:0' }, drain: '2s' },
      },
    })
    await running.sidecar.trust().settled(5000)
    expect(await overSocket(socket, '/api/1')).toEqual({ status: 200 })
    expect(await overSocket(socket, '/api/2', { 'x-api-key': 'sk-dummy' })).toEqual({ status: 200 })
    // what proves nothing may not use a tool that is bound
    expect(await overSocket(socket, '/api/pay/3')).toEqual({ status: 403 })
    const other = await company.acme.mint('spiffe://acme.example/other', audience, 60)
    expect(await overSocket(socket, '/api/4', { authorization: `Bearer ${other}` })).toEqual({ status: 200 })
    const broken = await company.acme.mint(agentId, 'another audience', 60)
    expect(await overSocket(socket, '/api/5', { authorization: `Bearer ${broken}` })).toEqual({ status: 401 })
    const seen = running.entries().filter(({ kind }) => kind === 'decision' || kind === 'refusal')
    expect(seen.map(({ caller = null, method = null, confirmed = null }) => ({ caller, method, confirmed }))).toEqual([
      { caller: agentId, method: 'ambient', confirmed: 'none' },
      { caller: agentId, method: 'ambient', confirmed: 'none' },
      { caller: agentId, method: 'ambient', confirmed: 'none' },
      { caller: 'spiffe://acme.example/other', method: 'jwt-svid', confirmed: 'bearer' },
      { caller: null, method: null, confirmed: null },
    ])
    expect(seen[2]).toMatchObject({ rules: expect.arrayContaining(['caller.bound']) })
  })
})
