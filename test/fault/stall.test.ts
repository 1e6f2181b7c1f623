import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { developmentIssuer } from '../../src/demo/issuer.ts'
import { builtinsPolicyBytes } from '../support/policy-rig.ts'
import { agentId, ask, audience, configText, freeAgent, routeTo, TestUpstream, type Settings } from '../support/running.ts'
import { SidecarProcess } from '../support/sidecar-process.ts'

/** An evaluation that does not end, in a real process: its policy goes round in circles when a task has the purpose `stall`. */
const folder = mkdtempSync(join(tmpdir(), 'countersign-stall-'))
const file = join(folder, 'countersign.yaml')
const marker = join(folder, 'state.db.stalled')
let upstream: TestUpstream
let token: string

beforeAll(async () => {
  upstream = await TestUpstream.start((_, response) => void response.end('{}'))
  const issuer = await developmentIssuer('acme.example')
  token = await issuer.mint(agentId, audience, 3600)
  writeFileSync(join(folder, 'bundle.json'), issuer.bundle)
  writeFileSync(join(folder, 'policy.tar.gz'), builtinsPolicyBytes)
})
afterAll(async () => {
  await upstream[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

function configure(decide: Settings): void {
  writeFileSync(file, configText({ routes: { api: routeTo(upstream.url, 'api') }, agents: [freeAgent()], settings: { decide } }))
}

const bearer = (): Record<string, string> => ({ authorization: `Bearer ${token}` })

function openTask(running: SidecarProcess, purpose: string): ReturnType<typeof ask> {
  return ask(running.port(), '/.countersign/v1/tasks', {
    method: 'POST',
    headers: { ...bearer(), 'content-type': 'application/json' },
    body: JSON.stringify({ purpose, tools: ['api.any'], ttl: '1m' }),
  })
}

function events(kind: string): Readonly<Record<string, unknown>>[] {
  const text = readdirSync(join(folder, 'ledger'))
    .filter((name) => name.endsWith('.ndjson'))
    .map((name) => readFileSync(join(folder, 'ledger', name), 'utf8'))
    .join('')
  const lines = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).custom.countersign)
  return lines.filter((line) => line.event === kind)
}

test('an evaluation that does not end ends the process, and the next one says so in the ledger and serves', async () => {
  configure({ bundle: { path: 'policy.tar.gz', unsafe_unsigned: true }, evaluation: { stall: '500ms' } })
  {
    await using running = await SidecarProcess.start(file)
    expect(await openTask(running, 'honest')).toMatchObject({ status: 403 })
    expect(running.alive).toBe(true)
    const began = performance.now()
    // no answer: the connection is gone with the process
    await expect(openTask(running, 'stall')).rejects.toThrow()
    await running.ended()
    expect(performance.now() - began).toBeGreaterThanOrEqual(500)
    expect(running.logged.join('\n')).toContain('CS1713')
  }
  expect(statSync(marker).mode & 0o777).toBe(0o600)
  expect(JSON.parse(readFileSync(marker, 'utf8'))).toMatchObject({ entrypoint: 'countersign/task' })
  expect(events('policy.stalled')).toEqual([])

  configure({ environment: 'test' })
  await using running = await SidecarProcess.start(file)
  expect(existsSync(marker)).toBe(false)
  expect(events('policy.stalled')).toMatchObject([
    {
      by: 'countersign',
      detail: {
        entrypoint: 'countersign/task',
        sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
        revision: expect.any(String),
        since: expect.any(Number),
        ms: expect.any(Number),
      },
    },
  ])
  expect(await ask(running.port(), '/api/x', { headers: bearer() })).toMatchObject({ status: 200 })
  const metrics = await ask(running.port('health'), '/metrics')
  expect(metrics.text).toContain('countersign_events_total{kind="policy.stalled"} 1')
  expect(metrics.text).toContain('countersign_policy_watchdog 1')
})
