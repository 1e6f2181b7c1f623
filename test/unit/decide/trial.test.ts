import { once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import type { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import { activate } from '../../../src/decide/activation.ts'
import { readBundle, type Bundle } from '../../../src/decide/bundle/bundle.ts'
import { BundleFault } from '../../../src/decide/bundle/fault.ts'
import { openPolicy, openPolicyApart, type PolicyHost } from '../../../src/decide/module.ts'
import { measuredBefore, type Note } from '../../../src/decide/measured.ts'
import { measureApart, type TrialOptions } from '../../../src/decide/trial.ts'
import { edition } from '../../support/bundle-server.ts'
import { FeedRig } from '../../support/feed-rig.ts'
import { allowedInput, defaultPolicyBytes, filesOf, openHost, packBundle, quietLog, type Logged } from '../../support/policy-rig.ts'
import { constant, forever, wasmModule } from '../../support/wasm-module.ts'

const whenLong = (then: readonly number[]): number[] => [0x20, 0x04, ...constant(1024), 0x4b, 0x04, 0x40, ...then, 0x0b]
/** Counts down from `turns`. */
const loop = (turns: number): number[] => [
  ...constant(turns),
  0x21,
  0x00,
  0x03,
  0x40,
  0x20,
  0x00,
  ...constant(1),
  0x6b,
  0x22,
  0x00,
  0x0d,
  0x00,
  0x0b,
]
/** A policy that denies everything, and does `work` first for an input that is longer than 1 KiB. */
const denying = (revision: string, work: readonly number[]): Uint8Array =>
  packBundle({
    '.manifest': JSON.stringify({ roots: ['countersign'], wasm: [], revision }),
    'policy.wasm': wasmModule({ bodies: { opa_eval: [...whenLong(work), ...constant(8192)] } }),
  })
const slow = (revision: string): Uint8Array => denying(revision, loop(20_000_000))
const endless = (revision: string): Uint8Array => denying(revision, forever)

const never = new AbortController().signal
const budgetMs = 1000

function measure(bundle: Bundle, more: Partial<TrialOptions> = {}): Promise<number> {
  const { data } = bundle
  const mould = { module: activate(bundle), data, initialPages: 32, maxPages: 1024, clock: () => 1000, print: () => undefined }
  return measureApart(bundle, mould, { budgetMs, signal: never, ...more })
}

/** The next thread, once it is at work. */
async function nextThread(): Promise<Worker> {
  const [thread] = (await once(process, 'worker')) as [Worker]
  await once(thread, 'online')
  return thread
}

describe('a trial on another thread', () => {
  it('gives the longest evaluation', async () => {
    const longest = await measure(readBundle(defaultPolicyBytes))
    expect(longest).toBeGreaterThan(0)
    expect(longest).toBeLessThan(budgetMs)
  })

  it('lets calls be judged until the bundle is in force', async () => {
    const before = openHost(defaultPolicyBytes)
    let judged = 0
    let atStart = Number.NaN
    const opened: PolicyHost[] = []
    // the trial asks for the time as it begins, and nothing else does
    const clock = (): number => (atStart = judged)
    const opening = openPolicyApart(readBundle(slow('judging')), { clock, log: quietLog(), budgetMs }, never)
    void opening.then((host) => opened.push(host))
    while (opened.length === 0) {
      before.evaluate('countersign/decision', '{}')
      judged++
      await turn()
    }
    expect(judged - atStart).toBeGreaterThan(3)
    for (const host of [before, await opening]) host.close()
  })

  it('counts: what was measured apart is not measured again', async () => {
    const bundle = readBundle(slow('counting'))
    const log = quietLog()
    const options = { clock: () => 1, log, budgetMs }
    ;(await openPolicyApart(bundle, options, never)).close()
    ;(await openPolicyApart(bundle, options, never)).close()
    openPolicy(bundle, options).close()
    const figures = (): Logged[] => log.lines.filter(({ message }) => message.includes('was measured'))
    expect(figures()).toHaveLength(1)
    await expect(openPolicyApart(bundle, { ...options, budgetMs: 0 }, never)).rejects.toThrow(/for the largest input/)
    expect(figures()).toHaveLength(1)
  })

  it('says what is wrong, as a trial on this thread does', async () => {
    await expect(measure(readBundle(endless('never')))).rejects.toThrow(/countersign\/decision cannot judge .*: it was interrupted/)
    const answer = '[{"result":{"effect":"allow"}}]'
    const allowing = { '.manifest': '{"roots":["countersign"],"wasm":[]}', 'policy.wasm': wasmModule({ texts: { answer } }) }
    await expect(measure(readBundle(packBundle(allowing)))).rejects.toThrow(/must deny \{\}, it says "allow"/)
  })

  it('tries what its author says of it without an operator’s settings, as on this thread', async () => {
    const files = filesOf(defaultPolicyBytes)
    const manifest = { ...JSON.parse(Buffer.from(files['.manifest'] ?? '').toString()), revision: 'frozen' }
    const bundle = readBundle(packBundle({ ...files, '.manifest': JSON.stringify(manifest) }))
    const settings = { freeze: [{ from: 0, until: 4_000_000_000_000, effects: ['read'], effect: 'deny', reason: 'all year' }] }
    const host = await openPolicyApart(bundle, { clock: () => 1000, log: quietLog(), budgetMs, settings }, never)
    expect(host.evaluate('countersign/decision', JSON.stringify(allowedInput()))).toMatchObject({ effect: 'deny' })
    host.close()
  })

  it('is refused when its thread is not done in time, and the thread is gone', async () => {
    const begun = once(process, 'worker')
    const measured = measure(readBundle(endless('late')), { limits: { ms: 1, heapMb: 256 } })
    await expect(measured).rejects.toThrow(new BundleFault('the policy cannot be tried: it was not done after 1 ms'))
    const [thread] = (await begun) as [Worker]
    expect(thread.threadId).toBe(-1)
  })

  it('is refused when its thread ends by itself', async () => {
    const next = nextThread()
    const measured = measure(readBundle(endless('killed')))
    const refused = expect(measured).rejects.toThrow(/^the policy cannot be tried: its thread ended \(1\)$/)
    await (await next).terminate()
    await refused
  })

  it('is refused when its thread has no memory left', async () => {
    const bundle = readBundle(endless('greedy'))
    const metadata = { list: Array.from({ length: 500_000 }, (_, index) => ({ index })) }
    const measured = measure({ ...bundle, manifest: { ...bundle.manifest, metadata } }, { limits: { ms: 20_000, heapMb: 16 } })
    await expect(measured).rejects.toThrow(BundleFault)
    await expect(measured).rejects.toThrow(/memory/)
  })

  it('ends when nobody wants to know any more', async () => {
    const ending = new AbortController()
    const next = nextThread()
    const measured = measure(readBundle(endless('ended')), { signal: ending.signal })
    const ended = expect(measured).rejects.toThrow('enough')
    const thread = await next
    ending.abort(new Error('enough'))
    await ended
    expect(thread.threadId).toBe(-1)
    await expect(measure(readBundle(endless('ended')), { signal: ending.signal })).rejects.toThrow('enough')
  })
})

describe('a source whose bundle is on trial', () => {
  const source = { path: 'p.tar.gz', unsafe_unsigned: true }

  it('goes on judging by the one before, and refuses one that never ends', async () => {
    await using rig = new FeedRig()
    rig.file('p.tar.gz', edition({ number: 1, signer: null }))
    await rig.start(source)
    rig.file('p.tar.gz', endless('endless'))
    const next = nextThread()
    const looked = rig.look()
    await next
    expect(rig.judge()).toBe('r1')
    await looked
    expect(rig.judge()).toBe('r1')
    expect(rig.faults).toMatchObject([{ reason: 'activation', revision: 'endless', message: expect.stringContaining('interrupted') }])
  })

  it('lets a newer one that comes meanwhile win', async () => {
    await using rig = new FeedRig()
    rig.file('p.tar.gz', edition({ number: 1, signer: null }))
    await rig.start(source)
    rig.file('p.tar.gz', edition({ number: 2, signer: null }))
    const next = nextThread()
    const looks = [rig.look()]
    await next
    rig.file('p.tar.gz', edition({ number: 3, signer: null }))
    looks.push(rig.look(), rig.look())
    expect(rig.judge()).toBe('r1')
    await Promise.all(looks)
    expect(rig.revisions).toEqual(['r1', 'r2', 'r3'])
    expect(rig.judge()).toBe('r3')
  })

  it('ends the trial when it is held, and takes the bundle up when it goes on', async () => {
    await using rig = new FeedRig()
    rig.file('p.tar.gz', edition({ number: 1, signer: null }))
    await rig.start({ ...source, poll: { min: '100ms', max: '100ms' } })
    const next = nextThread()
    rig.file('p.tar.gz', edition({ number: 4, signer: null }))
    const thread = await next
    await rig.hold()
    expect([thread.threadId, rig.judge(), rig.faults.length]).toEqual([-1, 'r1', 0])
    rig.release()
    while (rig.judge() === 'r1') await turn()
    expect(rig.judge()).toBe('r4')
  })
})

describe('what was measured', () => {
  const kept = (text: string | null = null): Note & { text: string | null } => ({
    text,
    read() {
      return this.text
    },
    write(written) {
      this.text = written
    },
  })

  it('is known to the next process of the same release, for a budget that it was below', () => {
    const note = kept()
    measuredBefore(note, '1.0.0').keep('a b', 12)
    const next = measuredBefore(note, '1.0.0')
    expect([next.known('a b', 50), next.known('a b', 12.5)]).toEqual([true, true])
    expect([next.known('a b', 12), next.known('a c', 50), next.known('a', 50)]).toEqual([false, false, false])
    expect(measuredBefore(note, '1.0.1').known('a b', 50)).toBe(false)
  })

  it('is not known of a note that says nothing, something else, or comes from another machine', () => {
    const note = kept()
    measuredBefore(note, '1').keep('a', 1)
    const own = note.text ?? ''
    for (const text of [
      null,
      '',
      '{',
      'null',
      '{}',
      '[]',
      '["a",1]',
      '["a","1","1"]',
      own.replace('"1"', '"2"'),
      own.replace(process.arch, 'other'),
    ])
      expect(measuredBefore(kept(text), '1').known('a', 50), String(text)).toBe(false)
    expect(measuredBefore(kept(own), '1').known('a', 50)).toBe(true)
  })

  it('is not measured again at the next start, and what was not is', () => {
    const note = kept()
    const log = quietLog()
    const open = (name: string, known: Note): void =>
      openPolicy(readBundle(slow(name)), { clock: () => 1, log, budgetMs, measured: measuredBefore(known, '1') }).close()
    open('first-start', note)
    expect(log.lines.filter(({ message }) => message.includes('was measured'))).toHaveLength(1)
    const [tried] = JSON.parse(note.text ?? '[]') as string[]
    expect(tried).toMatch(/^[0-9a-f]{64} /)
    const other = readBundle(slow('second-start'))
    const known = kept(note.text?.replace(/[0-9a-f]{64}/, other.digest) ?? null)
    open('second-start', known)
    expect(log.lines.filter(({ message }) => message.includes('was measured'))).toHaveLength(1)
    open('third-start', known)
    expect(log.lines.filter(({ message }) => message.includes('was measured'))).toHaveLength(2)
  })
})
