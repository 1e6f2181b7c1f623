import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Abused, idOf, unharmed } from '../support/abused.ts'
import { until } from '../support/ledger-rig.ts'
import { ask, freeAgent, routeTo } from '../support/running.ts'

/** All that Countersign takes here at a time; the looping agent comes with five times as much. */
const room = 16
const looping = 5 * room

let abused: Abused
beforeAll(async () => {
  abused = await Abused.start(
    ['alice', 'looper'],
    (url) => ({
      routes: { api: routeTo(url, 'api') },
      agents: [freeAgent({ id: idOf('alice') }), freeAgent({ id: idOf('looper') })],
      settings: { listen: { overload: { calls: room } } },
    }),
    // an upstream that takes its time, so that calls are in flight
    (_request, response) => void wait(5).then(() => response.end('{}')),
  )
})
afterAll(() => abused[Symbol.asyncDispose]())

/** Calls without end over connections of its own until it is told to stop; counts answers by status. */
class Looper {
  readonly seen = new Map<number, number>()
  readonly waits: number[] = []
  retryAfter = 0
  #calls = 0
  readonly #agent = new Agent({ keepAlive: true, maxSockets: looping })
  #stopped = false
  readonly #running: Promise<unknown>

  constructor() {
    this.#running = Promise.all(Array.from({ length: looping }, () => this.#loop()))
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
    this.#agent.destroy()
  }

  async #loop(): Promise<void> {
    while (!this.#stopped) await this.#once()
  }

  #once(): Promise<void> {
    const began = performance.now()
    return new Promise((resolve) => {
      const headers = { authorization: `Bearer ${abused.token('looper')}` }
      const asked = request(
        { port: abused.port(), host: '127.0.0.1', path: `/api/${(this.#calls += 1)}`, agent: this.#agent, headers },
        (answer) => {
          const { statusCode = 0 } = answer
          this.seen.set(statusCode, (this.seen.get(statusCode) ?? 0) + 1)
          if (statusCode === 503) {
            this.waits.push(performance.now() - began)
            if (answer.headers['retry-after'] !== undefined) this.retryAfter += 1
          }
          answer.resume().on('end', resolve)
        },
      )
      asked.on('error', () => resolve()).end()
    })
  }
}

const admin = (path: string, body: object) =>
  ask(abused.port('admin'), path, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${readFileSync(join(abused.folder, 'admin.key'), 'utf8').trim()}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify(body),
  })

describe('an agent that calls in a loop, with five times as much as there is room for', () => {
  test('is turned away at once and told to wait, while another agent, health, metrics and kills are served', async () => {
    const looper = new Looper()
    const statuses: number[] = []
    for (let call = 0; call < 60; call++) {
      statuses.push((await abused.ask(`/api/${call}`, { as: 'alice' })).status)
      if (call % 20 === 0)
        for (const path of ['/livez', '/readyz', '/metrics']) expect((await ask(abused.port('health'), path)).status).toBe(200)
    }
    const killed = await admin('/v1/kills', { scope: 'agent', name: idOf('looper'), reason: 'it loops', by: 'ada' })
    expect(killed.status, killed.text).toBe(201)
    const [answered, refused] = [looper.seen.get(200) ?? 0, looper.seen.get(503) ?? 0]
    await until(() => (looper.seen.get(403) ?? 0) > 0)
    await looper.stop()
    expect(statuses.filter((status) => status === 200)).toHaveLength(60)
    expect(answered).toBeGreaterThan(0)
    expect(refused).toBeGreaterThan(answered)
    expect(looper.retryAfter).toBe(looper.waits.length)
    // a refusal waits for the ledger, not for what is in flight
    expect(looper.waits.sort((a, b) => a - b)[looper.waits.length >> 1]).toBeLessThan(1000)
    expect((await abused.ask('/api/again', { as: 'alice' })).status).toBe(200)
    expect(await abused.condition()).toEqual(unharmed)
  })
})
