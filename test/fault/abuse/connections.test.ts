import type { ServerResponse } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { Abused, idOf, unharmed } from '../../support/abused.ts'
import { freeAgent, routeTo } from '../../support/running.ts'
import type { RawConnection } from '../../support/sockets.ts'

/** What an agent can do to others with connections alone. */
let abused: Abused
/** Answers that the upstream holds back. */
const held: ServerResponse[] = []

beforeAll(async () => {
  abused = await Abused.start(
    ['alice', 'mallory'],
    (url) => ({
      routes: { api: routeTo(url, 'api', { credential: 'api' }) },
      providers: { api: { type: 'jwt', audience: 'https://api.acme.example' } },
      agents: [freeAgent({ id: idOf('alice') }), freeAgent({ id: idOf('mallory') })],
      settings: {
        listen: { agent: [{ at: '127.0.0.1:0' }], health: { at: '127.0.0.1:0' }, drain: '1s', limits: { calls_per_caller: 32 } },
      },
    }),
    ({ url }, response) => {
      if (url.startsWith('/held')) held.push(response.writeHead(200))
      else response.end('ok')
    },
  )
})
afterEach(async () => expect(await abused.condition()).toEqual(unharmed))
afterAll(() => abused[Symbol.asyncDispose]())

/** Times of so many calls of an honest agent, ms, sorted; every one must be served. */
async function honest(calls: number, prefix: string): Promise<number[]> {
  const times: number[] = []
  const clients = Array.from({ length: 4 }, async (_, client) => {
    for (let at = client; at < calls; at += 4) {
      const began = performance.now()
      const answer = await abused.ask(`/api/${prefix}/${at}`)
      times.push(performance.now() - began)
      expect(answer.status, `${prefix} ${at}: ${answer.text}`).toBe(200)
    }
  })
  await Promise.all(clients)
  return times.sort((a, b) => a - b)
}

/** Writes a byte to each at a time until stopped. */
function trickle(connections: readonly RawConnection[], byte: string): Disposable {
  const timer = setInterval(() => {
    for (const { socket } of connections) if (socket.writable) socket.write(byte)
  }, 100)
  return {
    [Symbol.dispose]: () => {
      clearInterval(timer)
      for (const { socket } of connections) socket.destroy()
    },
  }
}

test('300 slow heads and 300 slow bodies leave an honest agent its answers', async () => {
  const heads = await Promise.all(Array.from({ length: 300 }, () => abused.client()))
  for (const { socket } of heads) socket.write('GET /api/slow HTTP/1.1\r\nHost: localhost\r\nX-Slow: ')
  const bodies = await Promise.all(Array.from({ length: 300 }, () => abused.client()))
  for (const [at, { socket }] of bodies.entries()) {
    const slot = at % 2 === 0 ? `Authorization: Bearer ${abused.token('mallory')}\r\n` : ''
    socket.write(`PUT /api/slow/${at} HTTP/1.1\r\nHost: localhost\r\n${slot}Content-Length: 10000\r\n\r\n`)
  }
  using slow = trickle([...heads, ...bodies], 'x')
  const times = await honest(200, 'beside-slow')
  const p99 = times[Math.floor(times.length * 0.99)] ?? 0
  console.log(`abuse: beside 600 slow connections an honest call took p50 ${Math.round(times[100] ?? 0)} ms, p99 ${Math.round(p99)} ms`)
  expect(p99).toBeLessThan(2000)
  slow[Symbol.dispose]()
})

test('one agent that has all the calls in flight that it may have takes nothing from another', async () => {
  held.length = 0
  const calls = Array.from({ length: 32 }, (_, at) => abused.ask(`/api/held/${at}`, { as: 'mallory' }))
  for (let look = 0; held.length < 32 && look < 400; look++) await wait(10)
  expect(held).toHaveLength(32)
  const more = await Promise.all(Array.from({ length: 20 }, (_, at) => abused.ask(`/api/more/${at}`, { as: 'mallory' })))
  for (const answer of more) expect(answer).toMatchObject({ status: 503, json: { code: 'listen.overloaded' } })
  const times = await honest(60, 'beside-full')
  expect(times.at(-1)).toBeLessThan(2000)
  for (const response of held) response.end('done')
  for (const answer of await Promise.all(calls)) expect(answer).toMatchObject({ status: 200, text: 'done' })
  expect(await abused.ask('/api/after', { as: 'mallory' })).toMatchObject({ status: 200 })
})

test('what an agent that left had in flight is given back to it', async () => {
  held.length = 0
  for (let round = 0; round < 3; round++) {
    const clients = await Promise.all(Array.from({ length: 32 }, () => abused.client()))
    const from = held.length
    for (const [at, { socket }] of clients.entries()) {
      socket.write(`GET /api/held/${round}.${at} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${abused.token('mallory')}\r\n\r\n`)
    }
    for (let look = 0; held.length < from + 32 && look < 400; look++) await wait(10)
    expect(held).toHaveLength(from + 32)
    for (const { socket } of clients) socket.resetAndDestroy()
    for (let look = 0, free = false; !free; look++) {
      free = (await abused.ask(`/api/free/${round}.${look}`, { as: 'mallory' })).status === 200
      expect(look, 'calls of connections that are gone stay counted').toBeLessThan(100)
      if (!free) await wait(20)
    }
  }
})

test('a thousand requests in one packet are no thousand calls', async () => {
  const before = abused.upstream.seen.length
  const client = await abused.client()
  const one = (at: number): string =>
    `GET /api/piped/${at} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${abused.token('mallory')}\r\n\r\n`
  client.socket.write(Array.from({ length: 1000 }, (_, at) => one(at)).join(''))
  const times = await honest(40, 'beside-piped')
  expect(times.at(-1)).toBeLessThan(2000)
  client.socket.destroy()
  await client.closed
  const piped = abused.upstream.seen.slice(before).filter(({ url }) => url.startsWith('/piped/'))
  expect(new Set(piped.map(({ url }) => url)).size).toBe(piped.length)
  expect(piped.length).toBeLessThanOrEqual(1000)
})

test('connections that say nothing, half a line, or garbage, by the hundred', async () => {
  const says = [
    '',
    'GET',
    'GET /api',
    '\0\0\0\0',
    '\x16\x03\x01\x02\x00\x01\x00',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    '\r\n\r\n\r\n',
    'é'.repeat(2000),
  ]
  const clients = await Promise.all(Array.from({ length: 400 }, () => abused.client()))
  for (const [at, { socket }] of clients.entries()) {
    socket.write(says[at % says.length] ?? '', 'latin1')
    if (at % 3 === 0) socket.resetAndDestroy()
    if (at % 3 === 1) socket.end()
  }
  expect((await honest(40, 'beside-garbage')).at(-1)).toBeLessThan(2000)
  for (const { socket } of clients) socket.destroy()
})
