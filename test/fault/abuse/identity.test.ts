import { writeFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { name } from '../../../src/demo/certificate.ts'
import { agentKey, prove } from '../../support/dpop.ts'
import { Issuer } from '../../support/issuer.ts'
import { agentId as ownAgentId, ask, audience, freeAgent, routeTo, Running, TestUpstream } from '../../support/running.ts'
import { answers } from '../../support/listen-rig.ts'
import { tlsClient } from '../../support/secure-rig.ts'
import { keyedChain, SvidClient } from '../../support/svid-client.ts'
import { agentId, WorkloadCompany } from '../../support/workload-company.ts'
import * as x509 from '../../support/x509.ts'
import type { Made, Shape } from '../../support/x509.ts'

/** Whoever wants to be somebody else, or nobody in particular, at a Countersign that gets its identity from a Workload API. */
const vendorId = 'spiffe://acme.example/vendor'
let company: WorkloadCompany
let upstream: TestUpstream
let running: Running

beforeAll(async () => {
  company = await WorkloadCompany.found()
  upstream = await TestUpstream.start()
  running = await Running.start({
    routes: { api: routeTo(upstream.url, 'api') },
    agents: [freeAgent({ id: agentId }), freeAgent({ id: vendorId, hosting: 'vendor' })],
    settings: {
      identify: { audience, sources: [{ type: 'spiffe', socket: company.socket, trust_domains: ['acme.example'] }] },
      listen: {
        agent: [{ at: '127.0.0.1:0' }, { at: '127.0.0.1:0', tls: 'svid' }, { at: '127.0.0.1:0', ambient: agentId }],
        health: { at: '127.0.0.1:0' },
        drain: '2s',
      },
    },
  })
  await running.sidecar.trust().settled(5000)
})
afterAll(async () => {
  await running[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
  await company[Symbol.asyncDispose]()
})

const plain = (headers: Readonly<Record<string, string>>, path = '/api/x', port = running.port()) => ask(port, path, { headers })

/** So many GETs over one TLS connection that shows these certificates; the statuses, or null where the connection ended. */
async function shown(chain: readonly Made[], calls = 1): Promise<(number | null)[]> {
  const [leaf] = chain
  const key = leaf?.keys.privateKey.export({ format: 'pem', type: 'pkcs8' })
  const agent = new Agent({
    cert: chain.map(({ der }) => x509.pem(der)).join(''),
    ...(key === undefined ? {} : { key }),
    keepAlive: true,
    maxSockets: 1,
    rejectUnauthorized: false,
  })
  const one = (): Promise<number | null> =>
    new Promise((resolve) => {
      const sent = request({ host: '127.0.0.1', port: running.port('agent.1'), path: '/api/x', agent }, (response) => {
        response.resume().on('end', () => resolve(response.statusCode ?? null))
      })
      sent.on('error', () => resolve(null))
      sent.end()
    })
  const came: (number | null)[] = []
  for (let call = 0; call < calls; call++) came.push(await one())
  agent.destroy()
  return came
}

const strangers = x509.ecKeys('P-521')
const strange = { keys: strangers, subjectKeyId: null, authorityKeyId: null, names: null } as const

/** CAs of a stranger's own that all sign each other; each could have issued `leafOf`. */
function ring(count: number, shape: Shape = {}): Made[] {
  const subject = name('Acme')
  return Array.from({ length: count }, () => x509.makeCa({ ...strange, subject, issuer: subject, ...shape }))
}

function leafOf(issuers: readonly Made[]): Made {
  const [first] = issuers
  if (first === undefined) throw new Error('no issuer')
  return x509.makeLeaf({ authorityKeyId: null, names: x509.uriNames(agentId) }, first)
}

test('a stranger who names an agent in certificates of his own making is refused, on every call of a kept connection', async () => {
  expect(await shown([leafOf(ring(1)), ...ring(1)], 3)).toEqual([401, 401, 401])
})

test('certificates that are made to be expensive cost a stranger more than us', async () => {
  const issuers = ring(7)
  const began = performance.now()
  expect(await shown([leafOf(issuers), ...issuers], 200)).toEqual(Array(200).fill(401))
  // 200 searches among them took 5 s
  expect(performance.now() - began).toBeLessThan(2500)
})

test('a pile of certificates is not kept for as long as a connection is open: it ends', async () => {
  const names = x509.namesOf(false, ...Array.from({ length: 120 }, () => x509.dns('a-name-that-fills-the-certificate.of.acme.example')))
  const issuers = ring(3, { names })
  expect(issuers.reduce((sum, { der }) => sum + der.length, 0)).toBeGreaterThan(16 * 1024)
  expect(await shown([leafOf(issuers), ...issuers])).toEqual([null])
  expect(await shown([leafOf(issuers), ...issuers.slice(0, 1)])).toEqual([401])
})

test('an agent of the trust domain is served all the while', async () => {
  const client = new SvidClient(company.acme.issue({ id: agentId, seconds: 300 }))
  expect(await client.get(running.port('agent.1'), '/api/x')).toMatchObject({ status: 200 })
  client.close()
})

test('a trust domain that the Workload API knows and the configuration does not name proves nobody, by token or certificate', async () => {
  const id = 'spiffe://partner.example/agent'
  expect(await plain({ authorization: `Bearer ${await company.partner.mint(id, audience, 300)}` })).toMatchObject({ status: 401 })
  const foreign = new SvidClient(company.partner.issue({ id, seconds: 300 }))
  expect(await foreign.get(running.port('agent.1'), '/api/x')).toMatchObject({ status: 401, code: 'identify.rejected' })
  foreign.close()
})

test('a certificate of one workload does not carry the token of another, whichever slot it is in', async () => {
  const token = await company.acme.mint(vendorId, audience, 300)
  const { cert, key } = keyedChain(company.acme.issue({ id: agentId, seconds: 300 }))
  for (const header of [
    `Authorization: Bearer ${token}`,
    `X-Api-Key: ${token}`,
    `Authorization: Basic ${Buffer.from(`x:${token}`).toString('base64')}`,
  ]) {
    const client = await tlsClient(running.port('agent.1'), { cert, key })
    client.socket.write(`GET /api/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${header}\r\n\r\n`)
    await client.closed
    expect(answers(client.text())[0]?.status).toBe(401)
  }
})

test('an agent that a vendor hosts is let in neither by its token, nor by path or task, nor by the agent API, on a plain listener', async () => {
  const authorization = `Bearer ${await company.acme.mint(vendorId, audience, 300)}`
  for (const path of ['/api/x', '/t/t_01JDZZZZZZZZZZZZZZZZZZZZZZ/api/x', '/.countersign/v1/tasks/t_01JDZZZZZZZZZZZZZZZZZZZZZZ'])
    expect(await plain({ authorization }, path), path).toMatchObject({ status: 401 })
  const opened = await ask(running.port(), '/.countersign/v1/tasks', {
    method: 'POST',
    headers: { authorization },
    body: '{"purpose":"x"}',
  })
  expect(opened.status).toBe(401)
})

test('behind an ambient listener a broken token is refused and not overlooked, and a dummy key is', async () => {
  const port = running.port('agent.2')
  const good = await company.acme.mint(agentId, audience, 300)
  expect(await plain({ authorization: 'Bearer sk-dummy' }, '/api/x', port)).toMatchObject({ status: 200 })
  for (const token of [`${good}x`, good.slice(0, -20), good.replace(/\.[^.]*$/, '.'), `${good}.${good}`])
    expect(await plain({ 'x-api-key': token }, '/api/x', port)).toMatchObject({ status: 401 })
})

test('a token for a whole trust domain, for others beside, or for a look-alike is for us only if it names us', async () => {
  const came = async (aud: string | readonly string[]) =>
    (await plain({ authorization: `Bearer ${await company.acme.mint(agentId, aud, 300)}` })).status
  for (const aud of ['spiffe://acme.example', `${audience}/`, audience.toUpperCase(), [`${audience} `], [audience.slice(0, -1)]])
    expect(await came(aud)).toBe(401)
  expect(await came(['https://other.example', audience])).toBe(200)
})

test('a workload that is proven and registered as no agent fills the ledger no more than one that is nobody', async () => {
  const id = 'spiffe://acme.example/of-another-team'
  const authorization = `Bearer ${await company.acme.mint(id, audience, 300)}`
  for (let call = 0; call < 100; call++) {
    const path = call % 2 === 0 ? '/api/x' : '/.countersign/v1/tasks/t_01JDZZZZZZZZZZZZZZZZZZZZZZ'
    expect(await plain({ authorization }, path)).toMatchObject({ status: 403 })
  }
  await running.sidecar.foundation.recorder.checkpoint()
  const lines = running
    .ledgerText()
    .split('\n')
    .filter((line) => line.includes(id))
  expect(lines.length).toBeLessThan(60)
})

test('neither answers nor logs nor metrics nor the ledger give away a key, a token or what is known of whom', async () => {
  const token = await company.acme.mint(agentId, audience, 300)
  const [head = '', body = '', signature = ''] = token.split('.')
  const evil = Buffer.from(
    JSON.stringify({ sub: 'spiffe://evil.example/\r\n{"level":"error"}\u001b[2J', aud: audience, exp: 9e9 }),
  ).toString('base64url')
  const said: string[] = []
  for (const bad of [`${head}.${body}.${signature.slice(0, -4)}AAAA`, `${head}.${evil}.${signature}`, `${head}x.${body}.${signature}`]) {
    const answer = await plain({ authorization: `Bearer ${bad}` })
    expect(answer.status).toBe(401)
    said.push(answer.text, JSON.stringify(answer.headers))
  }
  await running.sidecar.foundation.recorder.checkpoint()
  const metrics = await ask(running.port('health'), '/metrics')
  const all = [...said, ...running.logged, running.ledgerText(), metrics.text].join('\n')
  expect(all).not.toMatch(/PRIVATE KEY|BEGIN CERTIFICATE/)
  for (const part of [body, signature.slice(0, 40), evil]) expect(all).not.toContain(part)
  expect(said.join('')).not.toMatch(/evil|kid|partner/)
  expect(all).not.toContain('\u001b')
})

test('a DPoP proof that was used on one listener, route or API is used up on all of them, and is for none but its own', async () => {
  const issuer = new Issuer()
  const bundle = join(company.folder, 'dpop-bundle.json')
  writeFileSync(bundle, issuer.bundle())
  await using proven = await Running.start({
    routes: { api: routeTo(upstream.url, 'api'), other: routeTo(upstream.url, 'other') },
    settings: {
      listen: { agent: [{ at: '127.0.0.1:0' }, { at: '127.0.0.1:0' }], health: { at: '127.0.0.1:0' }, drain: '2s' },
      identify: { sources: [{ type: 'jwt-svid', trust_domain: 'acme.example', keys: { file: bundle } }] },
    },
  })
  const key = await agentKey()
  const token = issuer.mint({ claims: { sub: ownAgentId, aud: audience, cnf: { jkt: key.jkt } } })
  const host = `127.0.0.1:${proven.port()}`
  const proof = (path: string) => prove({ key, token, now: Date.now() + 1000, claims: { htm: 'GET', htu: `http://${host}${path}` } })
  const send = async (dpop: string, path: string, port = proven.port()) =>
    (await ask(port, path, { headers: { host, authorization: `DPoP ${token}`, dpop } })).text
  const used = await proof('/api/x')
  expect(await send(used, '/api/x')).toBe('{"ok":true}')
  expect(await send(used, '/api/x', proven.port('agent.1'))).toMatch(/was used before/)
  for (const path of [
    '/other/x',
    '/api/x/',
    '/api/X',
    '/t/t_01JDZZZZZZZZZZZZZZZZZZZZZZ/api/x',
    '/.countersign/v1/tasks/t_01JDZZZZZZZZZZZZZZZZZZZZZZ',
  ])
    expect(await send(await proof('/api/x'), path), path).toMatch(/another method, URI or token/)
  const forApi = await proof('/.countersign/v1/tasks/t_01JDZZZZZZZZZZZZZZZZZZZZZZ')
  expect(await send(forApi, '/.countersign/v1/tasks/t_01JDZZZZZZZZZZZZZZZZZZZZZZ')).toMatch(/task.unknown/)
  expect(await send(forApi, '/api/x')).toMatch(/another method, URI or token/)
})
