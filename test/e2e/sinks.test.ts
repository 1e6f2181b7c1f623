import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { verifyLedger } from '../../src/record/verify.ts'
import { LogReceiver } from '../support/log-receiver.ts'
import { ask, routeTo, Running, TestUpstream, type RunningOptions, type Settings } from '../support/running.ts'
import { until } from '../support/ledger-rig.ts'

const ledger = { path: 'ledger', key: { file: 'ledger.key' } }

function withSinks(upstream: TestUpstream, ...sinks: Settings[]): RunningOptions {
  return { routes: { crm: routeTo(upstream.url, 'crm') }, settings: { record: { ledger, sinks } }, env: { TOKEN: 'token-of-the-receiver' } }
}

async function call(running: Running): Promise<void> {
  const answer = await ask(running.port(), '/crm/x', { headers: { authorization: `Bearer ${await running.svid()}` } })
  expect(answer.status).toBe(200)
}

const metricsOf = async (running: Running): Promise<string> => (await fetch(`http://127.0.0.1:${running.port('health')}/metrics`)).text()
const linesIn = (running: Running, name: string): string[] => readFileSync(join(running.folder, name), 'utf8').trimEnd().split('\n')
const linesTaken = (receiver: LogReceiver): string[] =>
  receiver.taken.flatMap(({ body }) => (JSON.parse(body.toString()) as unknown[]).map((event) => JSON.stringify(event)))
const taken = (running: Running): number[] => running.sidecar.foundation.recorder.sinks().map((sink) => sink.taken)
const settled = (running: Running): Promise<void> =>
  until(() => taken(running).every((seq) => seq === running.sidecar.foundation.recorder.position().seq))

describe('sinks of a running Countersign', () => {
  test('come and go with the configuration, and each has every line between its first and its last', async () => {
    await using upstream = await TestUpstream.start()
    await using receiver = await new LogReceiver().listen()
    const file = { type: 'file', path: 'copy.ndjson', from: 'start' }
    const opa = { type: 'opa', url: receiver.url, token: { env: 'TOKEN' }, every: '10ms', from: 'start' }
    await using running = await Running.start(withSinks(upstream, file))
    await call(running)
    await running.reload(withSinks(upstream, file, opa))
    await call(running)
    await running.reload(withSinks(upstream, file, { ...opa, kinds: ['decision', 'outcome'] }))
    await call(running)
    await settled(running)
    await running.reload(withSinks(upstream, opa))
    await call(running)
    await running.close()
    const all = running.ledgerText().trimEnd().split('\n')
    // the first reload that left the file out came after so many lines
    const copied = linesIn(running, 'copy.ndjson')
    expect(copied).toEqual(all.slice(0, copied.length))
    expect(copied.length).toBeGreaterThan(8)
    const kindOf = (line: string): string => JSON.parse(line).custom.countersign.kind
    const got = linesTaken(receiver)
    expect(all.filter((line) => ['decision', 'outcome'].includes(kindOf(line)))).toEqual(
      got.filter((line) => ['decision', 'outcome'].includes(kindOf(line))),
    )
    expect(receiver.taken[0]?.headers.authorization).toBe('Bearer token-of-the-receiver')
    expect(running.logged.join('\n')).not.toContain('token-of-the-receiver')
  })

  test('that take nothing refuse no call, show in the metrics and the log, and catch up', async () => {
    await using upstream = await TestUpstream.start()
    await using receiver = await new LogReceiver().listen()
    receiver.answer = () => ({ status: 503, headers: { 'retry-after': '0' } })
    const opa = { type: 'opa', name: 'siem', url: receiver.url, every: '10ms' }
    await using running = await Running.start(withSinks(upstream, opa))
    await call(running)
    await until(() => receiver.requests.length > 0)
    await until(() => running.logged.some((line) => line.includes('a record sink takes no lines')))
    const failing = await metricsOf(running)
    expect(failing).toMatch(/^countersign_sink_lag_lines\{sink="siem"\} [1-9]/m)
    expect(failing).toMatch(/^countersign_sink_failures_total\{sink="siem",reason="status"\} [1-9]/m)
    expect(failing).toContain('countersign_sink_lag_seconds{sink="siem"}')
    receiver.answer = () => ({ status: 200 })
    await settled(running)
    const well = await metricsOf(running)
    expect(well).toContain('countersign_sink_lag_lines{sink="siem"} 0')
    expect(well).toMatch(/^countersign_sink_lines_total\{sink="siem"\} [1-9]/m)
    expect(running.logged.some((line) => line.includes('a record sink takes lines again'))).toBe(true)
  })

  test('that cannot be opened keep a reload from being swapped in, and a start from happening', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await Running.start(withSinks(upstream))
    const broken = { type: 'opa', url: 'https://logs.example', token: { env: 'NOT_THERE' } }
    await expect(running.reload(withSinks(upstream, broken))).rejects.toThrow(
      'record sink "opa": environment variable NOT_THERE is not set',
    )
    await call(running)
    await expect(Running.start(withSinks(upstream, broken))).rejects.toThrow('record sink "opa"')
  })

  test('of checkpoints alone anchor the ledger: who holds one of them is not shown an older state', async () => {
    await using upstream = await TestUpstream.start()
    await using receiver = await new LogReceiver().listen()
    const anchor = { type: 'webhook', url: receiver.url, secret: { env: 'TOKEN' }, kinds: ['checkpoint'], from: 'start', every: '10ms' }
    await using running = await Running.start(withSinks(upstream, anchor))
    await call(running)
    await running.sidecar.foundation.recorder.checkpoint()
    await settled(running)
    await running.close()
    const events = receiver.taken.flatMap(({ body }) => [JSON.parse(body.toString()) as unknown].flat()) as {
      readonly type: string
      readonly data: { readonly custom: { readonly countersign: { readonly kind: string; readonly checkpoint: string } } }
    }[]
    expect(new Set(events.map(({ type }) => type))).toEqual(new Set(['countersign.checkpoint.v1']))
    const checkpoint = events.at(-1)?.data.custom.countersign.checkpoint ?? ''
    const key = running.sidecar.ledger.key
    expect(await verifyLedger(running.ledgerFolder, key, { checkpoint })).toMatchObject({ ok: true })
    const [segment = ''] = readdirSync(running.ledgerFolder).filter((name) => name.endsWith('.ndjson'))
    const lines = running.ledgerText().split('\n')
    const older = lines.findIndex((line, at) => at > 0 && line.includes('"kind":"checkpoint"'))
    writeFileSync(join(running.ledgerFolder, segment), `${lines.slice(0, older + 1).join('\n')}\n`)
    expect((await verifyLedger(running.ledgerFolder, key)).ok).toBe(true)
    expect((await verifyLedger(running.ledgerFolder, key, { checkpoint })).firstBad).toMatchObject({ fault: 'truncated' })
  })
})
