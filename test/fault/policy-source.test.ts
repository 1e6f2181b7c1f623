import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { makeSigner, signed, type Signer } from '../support/bundle-signer.ts'
import { BundleServer, edition, editionFiles, wordOf } from '../support/bundle-server.ts'
import { packBundle, patched } from '../support/policy-rig.ts'
import { agentId, anyTool, ask, freeAgent, routeTo, Running, TestUpstream, type RunningOptions, type Settings } from '../support/running.ts'
import { until } from '../support/until.ts'

const hour = 3_600_000
const often = { min: '100ms', max: '100ms' }

interface Company extends AsyncDisposable {
  readonly running: Running
  readonly server: BundleServer
  readonly signer: Signer
  /** Moves the clock on, ms. */
  wait(ms: number): void
  /** Status of one call. */
  call(): Promise<number>
  /** Resolves when the server has answered whatever is there now. */
  looked(): Promise<void>
  ready(): Promise<string>
}

async function company({ away = false } = {}): Promise<Company> {
  const signer = makeSigner('ES256')
  const server = await BundleServer.start(edition({ number: 1, signer }))
  const upstream = await TestUpstream.start()
  let shift = 0
  const folder = mkdtempSync(join(tmpdir(), 'countersign-key-'))
  const key = join(folder, 'policy.pub')
  writeFileSync(key, signer.text)
  if (away) await server.away()
  const running = await Running.start({
    routes: { api: routeTo(upstream.url, 'api') },
    settings: { decide: { bundle: { url: server.url, key: { file: key }, poll: often, max_age: '2h' } } },
    clock: () => Date.now() + shift,
  })
  const token = await running.svid(agentId, 86_400)
  return {
    running,
    server,
    signer,
    wait: (ms) => void (shift += ms),
    call: async () => (await ask(running.port(), '/api/a', { headers: { authorization: `Bearer ${token}` } })).status,
    looked: () => server.requests(server.asked.length + 2),
    ready: async () => (await ask(running.port('health'), '/readyz')).text,
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
      rmSync(folder, { recursive: true })
    },
  }
}

/** Kinds and details of what the ledger says of the policy. */
function events(running: Running): readonly (readonly [unknown, Readonly<Record<string, unknown>>])[] {
  return running
    .entries()
    .filter(({ event }) => String(event).startsWith('policy.') && event !== 'policy.source') // which each start says
    .map(({ event, detail }) => [event, detail as Readonly<Record<string, unknown>>])
}

describe('the bundle server is away', () => {
  test('for an hour, with a restart in between: decisions go on by the bundle that was kept, stop past max_age, and go on when it is back', async () => {
    await using it = await company()
    const { running, server } = it
    expect(await it.call()).toBe(200)
    await server.away()
    it.wait(hour / 2)
    expect(await it.call()).toBe(200)
    await running.restart()
    expect(await it.call()).toBe(200)
    it.wait(hour / 2)
    expect(await it.call()).toBe(200)
    expect(await it.ready()).toBe('ok\n')
    it.wait(hour + 60_000)
    expect(await it.call()).toBe(503)
    expect(running.entries().findLast(({ code }) => code !== undefined)).toMatchObject({ code: 'decide.unavailable' })
    expect(await it.ready()).toContain('no policy judges: its source has not confirmed it for longer than max_age')
    await running.restart()
    expect(await it.call()).toBe(503)
    await server.back()
    await it.looked()
    expect(await it.call()).toBe(200)
    expect(await it.ready()).toBe('ok\n')
    expect(events(running).map(([event]) => event)).toEqual([
      'policy.activated',
      'policy.activated',
      'policy.stale',
      'policy.activated',
      'policy.stale',
    ])
    expect(events(running)[1]?.[1]).toMatchObject({ revision: 'r1', before: null, kept: true, order: { kind: 'serial', value: 1 } })
    expect(await running.verify()).toMatchObject({ ok: true })
  })

  test('at the very first start: not ready, every call refused, and all is well when it comes', async () => {
    await using it = await company({ away: true })
    const { running, server } = it
    expect(await it.ready()).toBe('no policy judges: no policy has been activated yet\n')
    expect(await it.call()).toBe(503)
    await server.back()
    await it.looked()
    expect(await it.ready()).toBe('ok\n')
    expect(await it.call()).toBe(200)
    expect(events(running).map(([event]) => event)).toEqual(['policy.activated'])
  })
})

test('a reload to a source that gives nothing is refused, and the source before goes on', async () => {
  await using it = await company()
  const { running, server, signer } = it
  await using other = await BundleServer.start(Buffer.from('no bundle'))
  const to = (bundle: Settings): Promise<void> =>
    running.reload({ routes: {}, settings: { decide: { bundle: { unsafe_unsigned: true, ...bundle } } } })
  await expect(to({ url: other.url })).rejects.toThrow('decide.bundle: the bundle cannot be unpacked')
  await other.away()
  await expect(to({ url: other.url })).rejects.toThrow('decide.bundle: the server cannot be asked')
  await expect(to({ path: 'none' })).rejects.toThrow('ENOENT')
  expect(await it.call()).toBe(200)
  expect(await it.ready()).toBe('ok\n')
  expect(events(running).map(([event]) => event)).toEqual(['policy.activated'])
  server.put(edition({ number: 2, signer }))
  await it.looked()
  expect(running.sidecar.foundation.policy.revision).toBe('r2')
})

describe('a tampered bundle', () => {
  test('is refused however often it is offered, the old one judges on, and the ledger says so once for each', async () => {
    await using it = await company()
    const { running, server, signer } = it
    const good = editionFiles({ number: 2, signer })
    const offers: readonly Uint8Array[] = [
      packBundle({ ...good, 'policy.wasm': patched(Buffer.from(good['policy.wasm'] ?? ''), wordOf(2), wordOf(3)) }),
      packBundle({ ...good, 'countersign/extra.rego': 'package countersign.extra' }),
      packBundle({ ...good, '.signatures.json': '{"signatures":[]}' }),
      edition({ number: 2, signer: null }),
      edition({ number: 2, signer: makeSigner('ES256') }),
      packBundle(signed({ ...good, '.manifest': '{"revision":"none"}' }, { signer })),
      edition({ number: 0, signer }),
      Buffer.from('not a bundle'),
    ]
    for (const offer of offers) {
      server.put(offer)
      await it.looked()
      expect(await it.call()).toBe(200)
      await it.looked()
    }
    const refused = events(running).filter(([event]) => event === 'policy.rejected')
    expect(refused).toHaveLength(offers.length)
    expect(new Set(refused.map(([, { sha256 }]) => sha256)).size).toBe(offers.length)
    expect(refused.map(([, { reason }]) => reason)).toEqual([
      'bundle',
      'bundle',
      'bundle',
      'bundle',
      'bundle',
      'bundle',
      'backwards',
      'bundle',
    ])
    expect(running.sidecar.foundation.policy.revision).toBe('r1')
    server.put(packBundle(good))
    await it.looked()
    expect(running.sidecar.foundation.policy.revision).toBe('r2')
    expect(await it.call()).toBe(200)
  })
})

describe('hot reload under load', () => {
  const swaps = 16
  const lanes = 8

  test('never mixes two revisions within a call and never drops one', async () => {
    await using upstream = await TestUpstream.start()
    await using server = await BundleServer.start(edition({ number: 1, signer: null }))
    const tools = [anyTool('api.write', { match: 'POST /things', args: 'json' })]
    const base = (bundle: Settings): RunningOptions => ({
      routes: { api: routeTo(upstream.url, 'api', { tools }) },
      // the tool is not of the task, which is recorded in the words of the bundle that judged, and let through
      agents: [
        freeAgent({
          intent: { tools: ['other.*'], resources: ['*'], data: ['public', 'unlabelled'], ttl: '1h', budget: { calls: 1_000_000 } },
        }),
      ],
      settings: { decide: { mode: 'observe', bundle: { unsafe_unsigned: true, poll: often, ...bundle } } },
    })
    await using running = await Running.start(base({ url: server.url }))
    const { policy, recorder } = running.sidecar.foundation
    const token = await running.svid(agentId, 3600)
    const path = join(running.folder, 'policy.tar.gz')
    const statuses: number[] = []
    const over = new AbortController()
    const lane = async (): Promise<void> => {
      while (!over.signal.aborted) statuses.push(await (await begin(running.port(), token))())
    }
    const load = Array.from({ length: lanes }, lane)
    const ledger = { onChange: (listener: () => void) => recorder.subscribe(listener) }
    const sources = ['url', 'path'] as const
    let before: (typeof sources)[number] = 'url'
    for (let number = 2; number <= swaps; number++) {
      const source = sources[Math.floor(number / 4) % 2] ?? 'url'
      const bytes = edition({ number, signer: null })
      const held = await Promise.all(Array.from({ length: lanes }, () => begin(running.port(), token)))
      if (source === 'url') server.put(bytes)
      else {
        writeFileSync(`${path}.next`, bytes)
        renameSync(`${path}.next`, path)
      }
      // some are found by polling, some by a reload, some come with another source
      if (source !== before || number % 4 === 3) await running.reload(base(source === 'url' ? { url: server.url } : { path }))
      before = source
      await until(ledger, () => policy.revision === `r${number}`)
      statuses.push(...(await Promise.all(held.map((end) => end()))))
      await until(ledger, atLeast(statuses, statuses.length + 2 * lanes))
    }
    over.abort()
    await Promise.all(load)
    expect(statuses.filter((status) => status !== 200)).toEqual([])
    const decisions = running
      .ledgerText()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
      .filter((line) => line.path === 'countersign/decision')
    expect(decisions).toHaveLength(statuses.length)
    const seen = new Set<string>()
    for (const { bundles, input, result } of decisions) {
      const { revision } = bundles.countersign
      seen.add(revision)
      expect(input.context.policy_revision).toBe(revision)
      const words = result.reasons.map(({ message_agent: word }: { message_agent: string }) => word)
      expect(words.filter((word: string) => word.startsWith('bundle '))).toEqual([wordOf(Number(revision.slice(1)))])
    }
    expect(seen.size).toBeGreaterThan(swaps / 2)
  })
})

function atLeast(list: readonly unknown[], length: number): () => boolean {
  return () => list.length >= length
}

/** A judged call that has got as far as its body, and what sends that and gives its status: what is swapped between overtakes it. */
async function begin(port: number, token: string): Promise<() => Promise<number>> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'content-length': '2', expect: '100-continue' }
  const sent = request({ host: '127.0.0.1', port, path: '/api/things', method: 'POST', agent: false, headers })
  const status = new Promise<number>((resolve, reject) => {
    sent.on('error', reject)
    sent.on('response', (response) => void response.resume().on('end', () => resolve(response.statusCode ?? 0)))
  })
  sent.flushHeaders()
  await new Promise((resolve) => sent.once('continue', resolve))
  return () => {
    sent.end('{}')
    return status
  }
}
