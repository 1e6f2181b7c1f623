import { hash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { mintCertificate } from '../support/certificate.ts'
import { agentKey, prove } from '../support/dpop.ts'
import { Issuer } from '../support/issuer.ts'
import { agentId, anyTool, audience, freeAgent, routeTo, Running, TestUpstream, type Settings } from '../support/running.ts'
import { pem } from '../support/x509.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-bound-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const write = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}

const served = mintCertificate({ names: ['localhost'] })
const tls = { cert: { file: write('served.pem', served.cert) }, key: { file: write('served.key', served.key) } }

/** An issuer of tokens with `cnf`, which the development issuer does not make. */
const partner = new Issuer({ trustDomain: 'partner.example' })
const partnerKeys = write('partner.json', partner.bundle())

interface Client {
  readonly cert: string
  readonly key: string
}

/** One request over a TLS connection of its own, with or without a client certificate. */
function askTls(port: number, headers: Readonly<Record<string, string>>, client: Client | null = null, method = 'POST'): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path: '/api/refunds', method, agent: false, rejectUnauthorized: false, ...client }
    const sent = request({ ...options, headers: { host: 'localhost', ...headers } }, (response) => {
      let text = ''
      response.on('data', (part: Buffer) => (text += part.toString()))
      response.on('end', () =>
        resolve(response.statusCode === 200 ? '200' : `${JSON.parse(text).code}: ${JSON.parse(text).reasons.join()}`),
      )
    })
    sent.on('error', reject)
    sent.end()
  })
}

function start(upstream: TestUpstream, agents: readonly Settings[]): Promise<Running> {
  const sources = [
    { type: 'bundle', trust_domain: 'acme.example', from: { file: 'bundle.json' } },
    { type: 'jwt-svid', trust_domain: 'partner.example', keys: { file: partnerKeys } },
  ]
  return Running.start({
    routes: { api: routeTo(upstream.url, 'api', { tools: [anyTool('api.refund', { bound: true })] }) },
    agents,
    settings: { identify: { sources }, listen: { agent: [{ at: '127.0.0.1:0', tls }] } },
  })
}

const bearerDenied = 'decide.denied: this tool needs a caller that proves that it holds a key, by mTLS or DPoP'
const hostedDenied = 'identify.rejected: this agent is let in by a TLS listener alone, with a client certificate or an OIDC token'

function svidOf(running: Running, id: string): Client {
  const { chain, key } = running.issuer.issue({ id, seconds: 600 })
  return {
    cert: chain.map((one) => pem(one)).join(''),
    key: `-----BEGIN PRIVATE KEY-----\n${Buffer.from(key ?? '').toString('base64')}\n-----END PRIVATE KEY-----\n`,
  }
}

test('a bound tool is called over mTLS, with a token beside the certificate or without, and by nobody else', async () => {
  await using upstream = await TestUpstream.start()
  await using running = await start(upstream, [freeAgent(), freeAgent({ id: 'spiffe://acme.example/ns/test/sa/other' })])
  const client = svidOf(running, agentId)
  const authorization = `Bearer ${await running.svid()}`
  expect(await askTls(running.port(), {}, client)).toBe('200')
  expect(await askTls(running.port(), { authorization }, client)).toBe('200')
  expect(await askTls(running.port(), { authorization })).toBe(bearerDenied)
  const other = svidOf(running, 'spiffe://acme.example/ns/test/sa/other')
  expect(await askTls(running.port(), { authorization }, other)).toBe(
    'identify.rejected: the client certificate and the token are of different callers',
  )
  const lines = running.entries().filter(({ kind }) => kind === 'outcome')
  expect(lines).toHaveLength(2)
  for (const line of lines) expect(line).toMatchObject({ caller: agentId, method: 'x509-svid', confirmed: 'mtls', tool: 'api.refund' })
})

test('an agent that a vendor hosts is let in with its certificate, and not with a JWT-SVID over the same listener', async () => {
  await using upstream = await TestUpstream.start()
  await using running = await start(upstream, [freeAgent({ hosting: 'vendor', approved: { until: '2999-01-01' } })])
  expect(await askTls(running.port(), {}, svidOf(running, agentId))).toBe('200')
  expect(await askTls(running.port(), { authorization: `Bearer ${await running.svid()}` })).toBe(hostedDenied)
})

test('a token that is bound to a certificate or to a DPoP key works over TLS with its proof alone', async () => {
  await using upstream = await TestUpstream.start()
  const id = partner.id()
  await using running = await start(upstream, [freeAgent({ id })])
  // of no trust domain: it confirms a token and is nobody by itself
  const client = mintCertificate({ names: ['client.partner.example'] })
  const thief = mintCertificate({ names: ['client.partner.example'] })
  const toCertificate = partner.mint({ claims: { aud: audience, cnf: { 'x5t#S256': hash('sha256', client.der, 'base64url') } } })
  const unproven = 'identify.rejected: the token is bound to a key, and the request does not prove that its sender holds it'
  expect(await askTls(running.port(), { 'x-api-key': toCertificate }, client)).toBe('200')
  for (const other of [thief, null]) expect(await askTls(running.port(), { 'x-api-key': toCertificate }, other)).toBe(unproven)

  const key = await agentKey()
  const token = partner.mint({ claims: { aud: audience, cnf: { jkt: key.jkt } } })
  const proven = async (htu: string): Promise<string> =>
    askTls(running.port(), { authorization: `DPoP ${token}`, dpop: await prove({ key, token, now: Date.now(), claims: { htu } }) })
  expect(await proven('https://localhost/api/refunds')).toBe('200')
  expect(await proven('https://localhost:443/api/refunds')).toBe('200')
  expect(await proven('http://localhost/api/refunds')).toBe('identify.rejected: the DPoP proof is for another method, URI or token')
  expect(
    running
      .entries()
      .filter(({ kind }) => kind === 'outcome')
      .map(({ confirmed }) => confirmed),
  ).toEqual(['mtls', 'dpop', 'dpop'])
})
