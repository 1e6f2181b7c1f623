import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { Abused, idOf, unharmed } from '../../support/abused.ts'
import { mintCertificate } from '../../support/certificate.ts'
import { answers } from '../../support/listen-rig.ts'
import { freeAgent, routeTo } from '../../support/running.ts'
import { tlsClient } from '../../support/secure-rig.ts'
import { rawClient, type RawConnection } from '../../support/sockets.ts'

/** What a client without any identity can do to others with TLS handshakes. */
let abused: Abused
const folder = mkdtempSync(join(tmpdir(), 'countersign-handshakes-'))
const room = 400

beforeAll(async () => {
  const { cert, key } = mintCertificate({})
  const files = { cert: { file: join(folder, 'tls.pem') }, key: { file: join(folder, 'tls.key') } }
  writeFileSync(files.cert.file, cert)
  writeFileSync(files.key.file, key)
  abused = await Abused.start(['alice'], (url) => ({
    routes: { api: routeTo(url, 'api') },
    agents: [freeAgent({ id: idOf('alice') })],
    settings: {
      listen: {
        agent: [{ at: '127.0.0.1:0', tls: files }],
        health: { at: '127.0.0.1:0' },
        drain: '1s',
        limits: { connections: room, header_time: '3s' },
      },
    },
  }))
})
afterEach(async () => expect(await abused.condition()).toEqual(unharmed))
afterAll(async () => {
  await abused[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

/** Times of so many honest calls, each over a handshake of its own, ms, sorted; every one must be served. */
async function honest(calls: number, prefix: string): Promise<number[]> {
  const times: number[] = []
  for (let at = 0; at < calls; at++) {
    const began = performance.now()
    const client = await tlsClient(abused.port())
    client.socket.write(
      `GET /api/${prefix}/${at} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer ${abused.token('alice')}\r\n\r\n`,
    )
    await client.closed
    times.push(performance.now() - began)
    expect(answers(client.text())[0]?.status, `${prefix} ${at}`).toBe(200)
  }
  return times.sort((a, b) => a - b)
}

function half(says: string): Promise<RawConnection[]> {
  return Promise.all(
    Array.from({ length: 500 }, async () => {
      const client = await rawClient(abused.port())
      client.socket.write(says, 'latin1')
      return client
    }),
  )
}

test.each([
  ['say nothing', ''],
  ['say half a client hello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
])('500 handshakes that %s, more than there is room for, leave an honest agent its own, and are ended in time', async (what, says) => {
  const clients = await half(says)
  const times = await honest(60, 'beside-half-open')
  console.log(
    `abuse: beside 500 handshakes that ${what} an honest one and its call took p50 ${Math.round(times[30] ?? 0)} ms, worst ${Math.round(times.at(-1) ?? 0)} ms`,
  )
  expect(times.at(-1)).toBeLessThan(2000)
  await Promise.all(clients.map(({ closed }) => closed))
})

test('500 handshakes that are garbage are refused one by one, and counted', async () => {
  const clients = await half('\x16\x03\x01\x00\x05hello')
  const times = await honest(20, 'beside-garbage')
  expect(times.at(-1)).toBeLessThan(2000)
  await Promise.all(clients.map(({ closed }) => closed))
})
