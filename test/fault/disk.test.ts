import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { verifyLedger } from '../../src/record/verify.ts'
import { configText, ask, freeAgent, routeTo, Running, TestUpstream, type Answered, type RunningOptions } from '../support/running.ts'
import { SmallDisk } from '../support/small-disk.ts'

function options(upstream: TestUpstream, ledger: Readonly<Record<string, unknown>>): RunningOptions {
  return {
    routes: { api: routeTo(upstream.url, 'api', { credential: 'api' }) },
    providers: { api: { type: 'jwt', audience: 'https://api.acme.example' } },
    agents: [freeAgent()],
    settings: { record: { ledger: { path: 'ledger', key: { file: 'ledger.key' }, ...ledger } } },
  }
}

function call(running: Running, svid: string, path = '/api/things'): Promise<Answered> {
  return ask(running.port(), path, { headers: { authorization: `Bearer ${svid}` } })
}

/** Calls until one is refused; gives that answer. */
async function untilRefused(running: Running, svid: string, most = 2000): Promise<Answered> {
  for (let at = 0; at < most; at++) {
    const answer = await call(running, svid, `/api/things/${at}`)
    if (answer.status !== 200) return answer
  }
  throw new Error('no call was refused')
}

function act(running: Running, svid: string, task: string, verb: string, body = '{}'): Promise<Answered> {
  const headers = { authorization: `Bearer ${svid}` }
  return ask(running.port(), `/.countersign/v1/tasks/${task}/${verb}`, { method: 'POST', headers, body })
}

/** Takes what room calls have left, with the smallest lines there are. Needs an open task of this caller, and leaves it paused. */
async function fillUp(running: Running, svid: string): Promise<string> {
  const task = String(running.entries().findLast((entry) => typeof entry['task'] === 'string')?.['task'])
  for (let at = 0; at < 100; at++) {
    const [verb, body] = at % 2 === 0 ? ['pause', '{"reason":"x"}'] : ['resume', '{}']
    if ((await act(running, svid, task, verb ?? '', body)).status === 503) return task
  }
  throw new Error('there was always room')
}

async function untilServed(running: Running, svid: string): Promise<Answered> {
  for (let look = 0; ; look++) {
    const answer = await call(running, svid, `/api/again/${look}`)
    if (answer.status === 200 || look === 60) return answer
    await wait(100)
  }
}

async function readiness(running: Running): Promise<{ readonly status: number; readonly text: string }> {
  const { status, text } = await ask(running.port('health'), '/readyz')
  return { status, text }
}

function bytesOf(folder: string): number {
  const files = readdirSync(folder).filter((name) => name.endsWith('.ndjson'))
  return files.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)
}

function decided(running: Running): Set<string> {
  return new Set(running.entries().flatMap(({ kind, id }) => (kind === 'decision' ? [id] : [])))
}

describe('a quota that is spent', () => {
  test('calls are refused with record.failed, nothing reaches the upstream, and the sidecar is not ready', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await Running.start(options(upstream, { quota: '96KiB' }))
    const svid = await running.svid()
    const refused = await untilRefused(running, svid)
    expect(refused).toMatchObject({ status: 503, json: { code: 'record.failed' } })
    const effects = upstream.seen.length
    expect(effects).toBeGreaterThan(5)
    for (const answer of await Promise.all(Array.from({ length: 50 }, () => call(running, svid)))) {
      expect(answer).toMatchObject({ status: 503, json: { code: 'record.failed' } })
    }
    expect(upstream.seen).toHaveLength(effects)
    expect(decided(running).size).toBe(effects)
    expect(await readiness(running)).toEqual({ status: 503, text: 'the ledger cannot be written\n' })
    expect(bytesOf(running.ledgerFolder)).toBeLessThanOrEqual(98_304)
    expect(await running.verify()).toMatchObject({ ok: true, open: 0 })
  })

  test('a task cannot be opened either, and one that is open can still be ended', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await Running.start(options(upstream, { quota: '96KiB' }))
    const svid = await running.svid()
    const authorization = `Bearer ${svid}`
    const open = (): Promise<Answered> =>
      ask(running.port(), '/.countersign/v1/tasks', { method: 'POST', headers: { authorization }, body: '{"purpose":"fill"}' })
    const { json } = await open()
    const id = String(json['id'])
    const headers = { authorization, 'countersign-task': id }
    for (let at = 0; (await ask(running.port(), `/api/things/${at}`, { headers })).status === 200; at++) continue
    let last = await open()
    for (let at = 0; last.status === 201 && at < 20; at++) last = await open()
    expect(last).toMatchObject({ status: 503, json: { code: 'record.failed' } })
    await fillUp(running, svid)
    // the end itself is true before it is recorded; that the record of it failed is told
    const ended = await ask(running.port(), `/.countersign/v1/tasks/${id}/complete`, { method: 'POST', headers: { authorization } })
    expect(ended).toMatchObject({ status: 503, json: { code: 'record.failed' } })
    expect(running.sidecar.foundation.state.task(id)?.state).toBe('completed')
    expect(running.sidecar.foundation.credential.sizes().out).toBe(0)
  })

  test('with room made by a restart it serves again, on the same chain', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await Running.start(options(upstream, { quota: '96KiB' }))
    const svid = await running.svid()
    await untilRefused(running, svid)
    const before = running.entries().length
    writeFileSync(running.file, configText(options(upstream, { quota: '1MiB' })))
    await running.restart()
    expect(await call(running, svid)).toMatchObject({ status: 200 })
    expect(await readiness(running)).toMatchObject({ status: 200 })
    expect(running.entries().length).toBeGreaterThan(before)
    expect(decided(running).size).toBe(upstream.seen.length)
    expect(await running.verify()).toMatchObject({ ok: true, open: 0 })
  })

  test('without room it does not start, and lets go of everything', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await Running.start(options(upstream, { quota: '96KiB' }))
    const svid = await running.svid()
    await untilRefused(running, svid)
    const task = await fillUp(running, svid)
    const effects = upstream.seen.length
    await expect(running.restart()).rejects.toMatchObject({ code: 'record.failed' })
    expect(upstream.seen).toHaveLength(effects)
    writeFileSync(running.file, configText(options(upstream, { quota: '1MiB' })))
    await running.restart()
    expect(await act(running, svid, task, 'resume')).toMatchObject({ status: 200 })
    expect(await call(running, svid)).toMatchObject({ status: 200 })
    expect(await running.verify()).toMatchObject({ ok: true, open: 0 })
  })

  test('with room made by archiving old files it serves again by itself', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await Running.start(options(upstream, { quota: '128KiB', segment: '16KiB' }))
    const svid = await running.svid()
    await untilRefused(running, svid)
    const files = readdirSync(running.ledgerFolder).filter((name) => name.endsWith('.ndjson'))
    const archive = join(running.folder, 'archive')
    mkdirSync(archive)
    for (const name of files.slice(0, 4)) renameSync(join(running.ledgerFolder, name), join(archive, name))
    expect((await untilServed(running, svid)).status).toBe(200)
    expect(await readiness(running)).toMatchObject({ status: 200 })
    const archived = files.slice(0, 4).map((name) => join(archive, name))
    const kept = readdirSync(running.ledgerFolder).filter((name) => name.endsWith('.ndjson'))
    const whole = [...archived, ...kept.sort().map((name) => join(running.ledgerFolder, name))]
    expect(await verifyLedger(whole, running.sidecar.ledger.key)).toMatchObject({ ok: true })
  })

  test('nobody without an identity can use the last tenth', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await Running.start(options(upstream, { quota: '200KiB' }))
    const svid = await running.svid()
    const most = 200 * 1024
    for (let at = 0; bytesOf(running.ledgerFolder) < most * 0.905; at++) {
      expect((await call(running, svid, `/api/things/${at}`)).status).toBe(200)
    }
    const before = bytesOf(running.ledgerFolder)
    for (let wave = 0; wave < 6; wave++) {
      const flood = Array.from({ length: 100 }, (_, at) =>
        ask(running.port(), `/api/${at}`, { headers: { authorization: `Bearer x.y.${at}` } }),
      )
      for (const { status } of await Promise.all(flood)) expect([400, 401]).toContain(status)
    }
    // besides the flood the ledger writes a checkpoint of its own now and then
    expect(bytesOf(running.ledgerFolder) - before).toBeLessThan(2048)
    expect((await call(running, svid)).status).toBe(200)
    expect(await running.verify()).toMatchObject({ ok: true })
  })
})

const mountable = SmallDisk.mountable()

describe(`a real disk without room${mountable ? '' : ' (skipped: needs Linux, root and mount -t tmpfs)'}`, () => {
  test.skipIf(!mountable)('calls are refused within one request, nothing is lost, and it recovers by itself', async () => {
    using disk = new SmallDisk()
    await using upstream = await TestUpstream.start()
    await using running = await Running.start(options(upstream, { path: join(disk.folder, 'ledger'), key: { file: 'ledger.key' } }))
    const folder = join(disk.folder, 'ledger')
    const svid = await running.svid()
    expect((await call(running, svid)).status).toBe(200)
    for (let time = 0; time < 3; time++) {
      disk.fill()
      const refused = await untilRefused(running, svid, 40)
      expect(refused).toMatchObject({ status: 503, json: { code: 'record.failed' } })
      const effects = upstream.seen.length
      const burst = await Promise.all(Array.from({ length: 40 }, (_, at) => call(running, svid, `/api/full/${at}`)))
      expect(new Set(burst.map(({ status, json }) => `${status} ${String(json['code'])}`))).toEqual(new Set(['503 record.failed']))
      expect(upstream.seen).toHaveLength(effects)
      expect((await readiness(running)).status).toBe(503)
      disk.free()
      expect((await untilServed(running, svid)).status).toBe(200)
    }
    disk.fill()
    // the last page may still have room for the few lines of a start
    const starts = Array.from({ length: 10 }, () => () => running.restart())
    let stopped: unknown = null
    for (const start of starts)
      stopped ??= await start().then(
        () => null,
        (error: unknown) => error,
      )
    expect(stopped).toMatchObject({ code: expect.stringMatching(/^(record\.failed|ENOSPC)$/) })
    disk.free()
    await running.restart()
    expect((await call(running, svid, '/api/restarted')).status).toBe(200)
    await running.sidecar.foundation.recorder.checkpoint()
    const report = await verifyLedger(folder, running.sidecar.ledger.key)
    expect(report).toMatchObject({ ok: true, open: 0 })
    expect(linesOf(folder, 'decision')).toBe(upstream.seen.length)
    expect(linesOf(folder, 'outcome')).toBe(upstream.seen.length)
  })

  test.skipIf(!mountable)('a state without room refuses as well, and loses no budget', async () => {
    using disk = new SmallDisk()
    await using upstream = await TestUpstream.start()
    const plain = options(upstream, {})
    const task = { state: { path: join(disk.folder, 'state.db'), key: { file: 'state.key' } }, agents: plain.agents }
    await using running = await Running.start({ ...plain, settings: { ...plain.settings, task } })
    const svid = await running.svid()
    expect((await call(running, svid)).status).toBe(200)
    disk.fill()
    const refused = await untilRefused(running, svid, 400)
    expect(refused).toMatchObject({ status: 503, json: { code: 'record.failed' } })
    expect(upstream.seen.length).toBe(decided(running).size)
    disk.free()
    expect((await untilServed(running, svid)).status).toBe(200)
    const { state } = running.sidecar.foundation
    const [row] = state.tasks({ state: 'active' })
    expect(state.facts(row?.id ?? '', row?.caller ?? '').task.spent['calls']).toBeGreaterThanOrEqual(decided(running).size)
    expect(await running.verify()).toMatchObject({ ok: true, open: 0 })
  })
})

function linesOf(folder: string, kind: string): number {
  const files = readdirSync(folder).filter((name) => name.endsWith('.ndjson'))
  const text = files.map((name) => readFileSync(join(folder, name), 'utf8')).join('')
  return text.split('\n').filter((line) => line.includes(`"kind":"${kind}"`)).length
}
