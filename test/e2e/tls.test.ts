import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import { afterAll, describe, expect, test } from 'vitest'
import { developmentIssuer, type DevelopmentIssuer } from '../../src/demo/issuer.ts'
import { serveWorkloadApi } from '../../src/demo/workload-api.ts'
import { mintCertificate, type Minted } from '../support/certificate.ts'
import { agentId, ask, audience, routeTo, Running, TestUpstream, type RunningOptions } from '../support/running.ts'
import { pem } from '../support/x509.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-tls-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const payments = 'spiffe://acme.example/payments'

/** Status and text of one request over a TLS connection of its own. */
function askTls(port: number, path: string, token: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}`, host: 'localhost' }
    const sent = request({ host: '127.0.0.1', port, path, agent: false, rejectUnauthorized: false, headers }, (response) => {
      let text = ''
      response.on('data', (part: Buffer) => (text += part.toString()))
      response.on('end', () => resolve(`${response.statusCode} ${text}`))
    })
    sent.on('error', reject)
    sent.end()
  })
}

/** Serial number of the certificate that a listener serves. */
function served(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().serialNumber)
      socket.destroy()
    })
    socket.on('error', reject)
  })
}

const serialOf = (cert: string): string => new X509Certificate(cert).serialNumber

describe('a listener with a certificate from files', () => {
  let pairs = 0
  const write = (minted: Minted, name = String(++pairs)): { readonly cert: { file: string }; readonly key: { file: string } } => {
    const [cert, key] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)]
    writeFileSync(key, minted.key)
    writeFileSync(cert, minted.cert)
    return { cert: { file: cert }, key: { file: key } }
  }
  const optionsOf = (url: string, listener: object): RunningOptions => ({
    routes: { api: routeTo(url, 'api') },
    settings: { listen: { agent: [listener] } },
  })

  test('serves calls, records them as what they are, and takes a new pair without a restart', async () => {
    await using upstream = await TestUpstream.start()
    const [before, after] = [mintCertificate({}), mintCertificate({})]
    const tls = write(before)
    await using running = await Running.start(optionsOf(upstream.url, { at: '127.0.0.1:0', tls }))
    const token = await running.svid()
    expect(await askTls(running.port(), '/api/a', token)).toBe('200 {"ok":true}')
    expect(running.ledgerText()).toContain('"scheme":"https"')
    expect(await served(running.port())).toBe(serialOf(before.cert))
    write(after, String(pairs))
    expect(await served(running.port())).toBe(serialOf(after.cert))
    expect(await askTls(running.port(), '/api/a', token)).toBe('200 {"ok":true}')
    expect(running.logged.join()).toContain('a listener has a new certificate')
  })

  test('is not opened with files that cannot be used, and a reload to such files keeps what is in force', async () => {
    await using upstream = await TestUpstream.start()
    const bad = { cert: { file: join(folder, 'none.pem') }, key: { file: join(folder, 'none.key') } }
    await expect(Running.start(optionsOf(upstream.url, { at: '127.0.0.1:0', tls: bad }))).rejects.toThrow('none.pem cannot be read')
    const good = mintCertificate({})
    await using running = await Running.start(optionsOf(upstream.url, { at: '127.0.0.1:0', tls: write(good) }))
    await expect(running.reload(optionsOf(upstream.url, { at: '127.0.0.1:0', tls: bad }))).rejects.toThrow('none.pem cannot be read')
    expect(await served(running.port())).toBe(serialOf(good.cert))
  })

  test('may become a plain one by a reload, and the other way round, on the same port', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await Running.start(optionsOf(upstream.url, { at: '127.0.0.1:0' }))
    const port = running.port()
    const token = await running.svid()
    const headers = { authorization: `Bearer ${token}` }
    expect((await ask(port, '/api/a', { headers })).status).toBe(200)
    await running.reload(optionsOf(upstream.url, { at: '127.0.0.1:0', tls: write(mintCertificate({})) }))
    expect(running.port()).toBe(port)
    expect(await askTls(port, '/api/a', token)).toBe('200 {"ok":true}')
    await expect(ask(port, '/api/a', { headers })).rejects.toThrow()
    await running.reload(optionsOf(upstream.url, { at: '127.0.0.1:0' }))
    expect((await ask(port, '/api/a', { headers })).status).toBe(200)
  })

  test('whose certificate expired is not ready, and refuses connections', async () => {
    await using upstream = await TestUpstream.start()
    const clock = { ahead: 0 }
    const options = optionsOf(upstream.url, { at: '127.0.0.1:0', tls: write(mintCertificate({ until: Date.now() + 600_000 })) })
    await using running = await Running.start({ ...options, clock: () => Date.now() + clock.ahead })
    const ready = async (): Promise<string> => (await fetch(`http://127.0.0.1:${running.port('health')}/readyz`)).text()
    expect(await ready()).toBe('ok\n')
    clock.ahead = 600_000
    expect(await ready()).toBe('the listener agent.0 has no certificate to serve with\n')
    await expect(askTls(running.port(), '/api/a', await running.svid())).rejects.toThrow()
    await running.close()
    expect(running.ledgerText()).toContain('there is no certificate to serve with')
  })
})

/** An upstream with an SVID of its own that asks for one. */
async function paymentsApi(
  issuer: DevelopmentIssuer,
  id: string,
): Promise<AsyncDisposable & { readonly url: string; readonly seen: string[] }> {
  const { chain, key } = issuer.issue({ id, seconds: 600 })
  const seen: string[] = []
  const server = createServer(
    {
      cert: chain.map((one) => pem(one)).join(''),
      key: `-----BEGIN PRIVATE KEY-----\n${Buffer.from(key ?? '').toString('base64')}\n-----END PRIVATE KEY-----\n`,
      requestCert: true,
      ca: issuer.authorities.map((one) => pem(one)),
      rejectUnauthorized: true,
    },
    (incoming, response) => {
      seen.push((incoming.socket as TLSSocket).getPeerCertificate().subjectaltname ?? '')
      response.end('paid')
    },
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

test('with a Workload API a call is mutual TLS on both sides: ours is served, rotated and shown, and the record says who paid', async () => {
  const issuer = await developmentIssuer('acme.example')
  const api = await serveWorkloadApi({ issuer, socket: join(folder, 'workload.sock'), ids: [audience], seconds: 600 })
  await using upstream = await paymentsApi(issuer, payments)
  await using impostor = await paymentsApi(issuer, 'spiffe://acme.example/other')
  const svid = { tls: 'svid', id: payments }
  await using running = await Running.start({
    routes: {
      payments: routeTo(upstream.url, 'payments', svid),
      impostor: routeTo(impostor.url, 'impostor', svid),
    },
    settings: {
      listen: { agent: [{ at: '127.0.0.1:0', tls: 'svid' }] },
      identify: { sources: [{ type: 'spiffe', socket: api.address }] },
    },
  })
  const token = await issuer.mint(agentId, audience, 300)
  await running.sidecar.foundation.recorder.checkpoint()
  while (running.sidecar.notReady().length > 0) await new Promise((resolve) => setImmediate(resolve))
  expect(await askTls(running.port(), '/payments/1', token)).toBe('200 paid')
  expect(upstream.seen).toEqual([`URI:${audience}`])
  const answer = await askTls(running.port(), '/impostor/1', token)
  expect(answer).toContain('forward.untrusted')
  expect(impostor.seen).toEqual([])
  const outcomes = running.entries().filter(({ kind }) => kind === 'outcome')
  expect(outcomes).toMatchObject([
    { downstream: payments, downstream_proven: payments },
    {
      downstream: payments,
      downstream_proven: null,
      code: 'forward.untrusted',
      detail: 'the upstream is spiffe://acme.example/other, which the route does not name',
    },
  ])
  const before = await served(running.port())
  api.rotate()
  while ((await served(running.port())) === before) await new Promise((resolve) => setImmediate(resolve))
  expect(await askTls(running.port(), '/payments/2', token)).toBe('200 paid')
  api.entitle([])
  while (running.sidecar.notReady().length === 0) await new Promise((resolve) => setImmediate(resolve))
  await expect(askTls(running.port(), '/payments/3', token)).rejects.toThrow()
  await api.close()
})
