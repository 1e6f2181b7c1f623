import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ask, freeAgent, routeTo, Running, TestUpstream } from '../support/running.ts'
import { findEngine } from '../support/spiffe-peer.ts'

/** The checker of Prometheus, where it is installed: `npm run engines -- promtool`. */
const promtool = findEngine('promtool')
const title = promtool === null ? 'promtool (left out: it is neither in .engines/bin nor on the PATH)' : 'promtool'
if (promtool === null) console.log('test/engines/metrics.test.ts is left out: there is no promtool')

describe.skipIf(promtool === null)(title, () => {
  test('finds nothing to say about the metrics of a sidecar that has served, refused and lent', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await Running.start({
      agents: [freeAgent()],
      routes: { api: routeTo(upstream.url, 'api', { credential: 'api' }) },
      providers: { api: { type: 'jwt', audience: 'https://api.acme.example' } },
    })
    await ask(running.port(), '/api/a', { headers: { authorization: `Bearer ${await running.svid()}` } })
    await ask(running.port(), '/api/a')
    const { text } = await ask(running.port('health'), '/metrics')
    expect(text).toContain('countersign_requests_total{')
    const { status, stdout, stderr } = spawnSync(promtool ?? '', ['check', 'metrics'], { input: text, encoding: 'utf8' })
    expect(`${stdout}${stderr}`).toBe('')
    expect(status).toBe(0)
  })

  test('takes the rules, and finds that they set off what they should and nothing else', () => {
    const cwd = resolve(import.meta.dirname, '../../deploy/prometheus')
    const run = (...args: readonly string[]) => spawnSync(promtool ?? '', args, { cwd, encoding: 'utf8' })
    for (const args of [
      ['check', 'rules', 'rules.yaml'],
      ['test', 'rules', 'rules_test.yaml'],
    ]) {
      const { status, stdout, stderr } = run(...args)
      expect([status, stdout], `${stdout}${stderr}`).toEqual([0, expect.stringContaining('SUCCESS')])
    }
  })
})
