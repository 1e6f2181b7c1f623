import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CertifiedUpstream } from '../support/certified-upstream.ts'
import { ask, freeAgent, routeTo, Running, type Answered } from '../support/running.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-client-'))
let upstream: CertifiedUpstream
beforeAll(async () => {
  upstream = await CertifiedUpstream.start()
  writeFileSync(join(folder, 'authority.pem'), upstream.authority.cert)
})
afterAll(async () => {
  await upstream[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

const json = { 'content-type': 'application/json' }

/** Makes a call for a task, or to the agent's own API. */
async function call(running: Running, path: string, more: Parameters<typeof ask>[2] = {}): Promise<Answered> {
  return ask(running.port(), path, { ...more, headers: { authorization: `Bearer ${await running.svid()}`, ...more.headers } })
}

async function open(running: Running): Promise<string> {
  const answer = await call(running, '/.countersign/v1/tasks', { method: 'POST', headers: json, body: '{"purpose":"test"}' })
  return String(answer.json['id'])
}

test('a client certificate authenticates the connections of one lease alone, and they end with its task', async () => {
  const client = upstream.client()
  const serial = new X509Certificate(client.der).serialNumber
  await using running = await Running.start({
    routes: { crm: routeTo(upstream.url, 'crm', { credential: 'crm', ca: { file: join(folder, 'authority.pem') } }) },
    providers: {
      crm: { type: 'static', value: { env: 'KEY' }, certificate: { env: 'CERT' }, unsafe_standing: true, apply: { tls: true } },
    },
    agents: [freeAgent({ implicit: false })],
    env: { KEY: client.key, CERT: client.cert },
  })
  const tasks = [await open(running), await open(running)]
  for (const task of [tasks[0], tasks[0], tasks[1]]) {
    const answer = await call(running, `/t/${task}/crm/tell`)
    expect(answer.status, answer.text).toBe(200)
  }
  const [one, two] = upstream.connections
  expect(upstream.connections.map((each) => [each.serial, each.requests])).toEqual([
    [serial, 2],
    [serial, 1],
  ])
  await call(running, `/.countersign/v1/tasks/${tasks[0]}/complete`, { method: 'POST' })
  await one?.closed
  expect(two?.socket.destroyed).toBe(false)
  expect((await call(running, `/t/${tasks[0]}/crm/tell`)).json).toMatchObject({ code: 'task.ended' })
  expect((await call(running, `/t/${tasks[1]}/crm/tell`)).status).toBe(200)
  expect(upstream.connections).toHaveLength(2)
  const lines = running.entries().filter(({ kind }) => kind === 'outcome')
  expect(lines[0]).toMatchObject({ downstream_proven: 'dns:localhost' })
  const told = `${running.ledgerText()}${running.logged.join('\n')}`
  expect(told).not.toMatch(/PRIVATE KEY|BEGIN CERTIFICATE/)
  await running.close()
  await two?.closed
})
