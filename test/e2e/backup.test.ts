import { copyFileSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { afterAll, expect, test } from 'vitest'
import { backup } from '../../src/cli/backup.ts'
import { UsageFault } from '../../src/cli/command.ts'
import { loadConfig } from '../../src/config/load.ts'
import { verifyLedger } from '../../src/record/verify.ts'
import { openSidecar } from '../../src/sidecar.ts'
import { ask, freeAgent, routeTo, Running, TestUpstream } from '../support/running.ts'

const scratch = mkdtempSync(join(tmpdir(), 'countersign-backup-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

/** The command as main calls it. */
function run(args: readonly string[]): Promise<number> {
  const none = new PassThrough()
  const streams = { stdin: none, stdout: new PassThrough().resume(), stderr: new PassThrough().resume() }
  return backup.run({ args, env: {}, ...streams, signal: new AbortController().signal, onHangup: () => undefined, version: 'test' })
}

test('a copy that is taken under load verifies, and a Countersign goes on with it: the task, what it spent, what is stopped', async () => {
  await using upstream = await TestUpstream.start()
  const agents = [freeAgent({ intent: { ...(freeAgent()['intent'] as object), budget: { calls: 50 } } })]
  await using running = await Running.start({ routes: { api: routeTo(upstream.url, 'api') }, agents })
  const headers = { authorization: `Bearer ${await running.svid()}` }
  const opened = await ask(running.port(), '/.countersign/v1/tasks', { method: 'POST', headers, body: '{"purpose":"test"}' })
  const task = String(opened.json['id'])
  let made = 0
  const call = (port: number) => ask(port, `/t/${task}/api/${made++}`, { headers })
  for (let n = 0; n < 20; n++) expect((await call(running.port())).status).toBe(200)
  await running.sidecar.foundation.kills.engage({ scope: 'tool', name: 'other', by: 'person:ada', reason: 'stop', method: 'local-key' })

  const copy = join(scratch, 'copy')
  const words = ['--config', running.file, '--addr', `127.0.0.1:${running.port('admin')}`, '--key', join(running.folder, 'admin.key')]
  const load = Promise.all(Array.from({ length: 20 }, () => call(running.port())))
  expect(await run([copy, ...words, '--reason', 'nightly', '--as', 'ada'])).toBe(0)
  expect((await load).map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200))
  expect([statSync(copy).mode & 0o777, statSync(join(copy, 'state.db')).mode & 0o777]).toEqual([0o700, 0o600])
  expect(existsSync(join(copy, 'ledger.key'))).toBe(false)
  await expect(run([copy, ...words, '--reason', 'again'])).rejects.toThrow(UsageFault)
  expect(running.entries()).toContainEqual(expect.objectContaining({ event: 'state.copied', by: 'person:ada' }))

  // restored elsewhere: the copy, and beside it the keys and the configuration, which were kept apart
  const restored = join(scratch, 'restored')
  cpSync(copy, restored, { recursive: true })
  for (const name of ['countersign.yaml', 'bundle.json', 'ledger.key', 'state.key', 'admin.key'])
    copyFileSync(join(running.folder, name), join(restored, name))
  const { key } = running.sidecar.ledger
  await running.close()
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined }
  const again = await openSidecar(loadConfig(join(restored, 'countersign.yaml'), {}), { env: {}, log, version: 'test' })
  try {
    const port = again.ports.get('agent.0') ?? 0
    const answers = [await call(port), await call(port)]
    expect(answers.map(({ status }) => status)).toEqual([200, 200])
    expect(again.foundation.state.kills.kills().map(({ scope, name }) => [scope, name])).toEqual([['tool', 'other']])
    const spent = again.foundation.state.facts(task, 'spiffe://acme.example/ns/test/sa/agent').task.spent['calls'] ?? 0
    expect(spent).toBeGreaterThanOrEqual(22)
    expect(spent).toBeLessThanOrEqual(42)
  } finally {
    await again.close()
  }
  const report = await verifyLedger(join(restored, 'ledger'), key)
  expect(report).toMatchObject({ ok: true })
  const lines = readFileSync(join(restored, 'ledger/000000000001.ndjson'), 'utf8').trim().split('\n')
  expect(lines.filter((line) => line.includes('"kind":"decision"')).length).toBeGreaterThanOrEqual(22)
})
