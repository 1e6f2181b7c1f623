import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Lanes } from '../../../src/credential/attempt.ts'
import type { CredentialProvider } from '../../../src/credential/credential.ts'
import { makeSeal } from '../../../src/state/seal.ts'
import type { LeaseRow } from '../../../src/state/leases.ts'
import { CredentialRig, FakeIssuer } from '../../support/credential-rig.ts'
import { settled } from '../../support/identity-rig.ts'
import { sketchRow } from '../../support/question.ts'

const task = sketchRow().id
const folders: string[] = []

afterEach(() => {
  vi.useRealTimers()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

function fail(): Promise<never> {
  return Promise.reject(new Error('down'))
}

/** Longer than the 30 s that the rig allows a revocation. */
const longLived = 3_600_000

async function failing() {
  const rig = new CredentialRig()
  rig.issuer.answer = { expires: rig.clock.now() + longLived }
  const lease = await rig.lease()
  rig.issuer.revocations.push(...Array.from({ length: 99 }, () => fail))
  await rig.stage.revokeTask(task, 'completed')
  return { rig, lease }
}

describe('a revocation that takes longer than it may', () => {
  it('is told once as overdue, counted, and tried again until the issuer confirms', async () => {
    const { rig, lease } = await failing()
    rig.clock.move(29_999)
    await rig.stage.tick()
    expect(rig.kinds()).toEqual(['lease.issued', 'lease.revocation-failed'])
    expect(rig.stage.sizes()).toEqual({ out: 0, ending: 1, overdue: 0 })
    rig.clock.move(1)
    await rig.stage.tick()
    expect(rig.events.at(-1)).toMatchObject({
      kind: 'lease.revocation-overdue',
      task,
      by: 'clock',
      detail: { id: lease.id, revocation: 'issuer', cause: 'completed', within: 30_000 },
    })
    expect(rig.stage.sizes()).toEqual({ out: 0, ending: 1, overdue: 1 })
    rig.issuer.revocations.splice(0)
    rig.clock.move(60_000)
    await rig.stage.tick()
    expect(rig.kinds()).toEqual(['lease.issued', 'lease.revocation-failed', 'lease.revocation-overdue', 'lease.revoked'])
    expect(rig.events.at(-1)?.detail).toMatchObject({ took: 90_000 })
    expect(rig.stage.sizes()).toEqual({ out: 0, ending: 0, overdue: 0 })
  })

  it('is overdue in time although the wall clock is put back', async () => {
    let tick = 0
    const rig = new CredentialRig({ ticks: () => tick })
    await rig.lease()
    rig.issuer.revocations.push(...Array.from({ length: 9 }, () => fail))
    await rig.stage.revokeTask(task, 'completed')
    rig.clock.move(-3_600_000)
    tick += 30_000
    await rig.stage.tick()
    expect(rig.kinds()).toContain('lease.revocation-overdue')
  })

  it('counts from its beginning after a restart, and keeps its cause', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'countersign-lease-')), 'state.db')
    folders.push(join(path, '..'))
    const seal = makeSeal(randomBytes(32))
    const before = new CredentialRig({ path, seal })
    before.issuer.answer = { expires: before.clock.now() + longLived }
    const lease = await before.lease()
    before.issuer.revocations.push(fail)
    await before.stage.revokeTask(task, 'completed')
    expect(before.row(lease.id).ending).toEqual({ since: before.clock.now(), cause: 'completed' })
    before.state.close()
    const after = new CredentialRig({ path, seal })
    after.clock.move(30_000)
    after.issuer.revocations.push(fail)
    await after.stage.sweep()
    await after.stage.tick()
    expect(after.events.map(({ kind, detail }) => [kind, detail['cause']])).toEqual([
      ['lease.revocation-failed', 'completed'],
      ['lease.revocation-overdue', 'completed'],
    ])
    await after.stage.close()
  })

  it('is not what is said of a lease that only expiry ends', async () => {
    const rig = new CredentialRig()
    rig.issuer.answer = { revocation: 'expiry', handle: null, expires: rig.clock.now() + longLived }
    await rig.lease()
    await rig.stage.revokeTask(task, 'completed')
    rig.clock.move(60_000)
    await rig.stage.tick()
    expect(rig.kinds()).toEqual(['lease.issued'])
    expect(rig.stage.sizes()).toEqual({ out: 0, ending: 1, overdue: 0 })
  })
})

describe('the sweep at start', () => {
  const rowOf = (rig: CredentialRig, id: string, provider: string, seal: ReturnType<typeof makeSeal>): LeaseRow => ({
    id,
    key: id,
    task,
    caller: 'spiffe://acme.example/one',
    tool: 'crm.customer.read',
    destination: 'https://crm.acme.example/api',
    provider,
    scopes: [],
    audience: null,
    state: 'live',
    issued: rig.clock.now(),
    expires: rig.clock.now() + longLived,
    revision: 'r1',
    revocation: 'issuer',
    digest: 'sha256:00',
    sealed: seal.seal(`handle ${id}`, `lease:${id}`),
  })

  it('is not held up, nor is anything forgotten, by an issuer that hangs', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] })
    const seal = makeSeal(randomBytes(32))
    const rig = new CredentialRig({ seal })
    const hanging = new FakeIssuer(rig.clock.now, rig.journal)
    hanging.revoke = () => new Promise(() => {})
    let [most, now] = [0, 0]
    rig.issuer.revoke = async (handle) => {
      most = Math.max(most, ++now)
      await settled()
      now--
      rig.issuer.revoked.push(handle.reveal())
    }
    await rig.stage.change(
      new Map<string, CredentialProvider>([
        ['crm', rig.issuer],
        ['hangs', hanging],
      ]),
    )
    for (let at = 0; at < 100; at++) rig.state.putLease(rowOf(rig, `l_crm_${at}`, 'crm', seal))
    for (let at = 0; at < 100; at++) rig.state.putLease(rowOf(rig, `l_hangs_${at}`, 'hangs', seal))
    let swept = false
    const sweep = rig.stage.sweep().then(() => (swept = true))
    while (rig.issuer.revoked.length < 100) await settled()
    expect(most).toBeLessThanOrEqual(32)
    expect(swept).toBe(false)
    await vi.advanceTimersByTimeAsync(5000)
    await sweep
    expect(rig.stage.sizes()).toEqual({ out: 0, ending: 100, overdue: 0 })
    expect(rig.state.leases({ states: ['revoking'] })).toHaveLength(100)
  })

  it('says of leases of a provider that is gone from the configuration that nobody can take them back', async () => {
    const seal = makeSeal(randomBytes(32))
    const rig = new CredentialRig({ seal })
    rig.state.putLease(rowOf(rig, 'l_1', 'gone', seal))
    rig.state.putLease({ ...rowOf(rig, 'l_2', 'gone', seal), state: 'issuing', digest: null })
    rig.state.putLease({ ...rowOf(rig, 'l_3', 'gone', seal), state: 'revoking' })
    rig.state.putLease({ ...rowOf(rig, 'l_4', 'gone', seal), expires: rig.clock.now() })
    await rig.stage.sweep()
    expect(rig.row('l_4').state).toBe('expired')
    expect(['l_1', 'l_2', 'l_3'].map((id) => [rig.row(id).state, rig.row(id).revocation])).toEqual(
      [1, 2, 3].map(() => ['orphaned', 'expiry']),
    )
    const orphaned = rig.events.filter(({ kind }) => kind === 'lease.orphaned')
    expect(orphaned.map(({ detail }) => detail['cause'])).toEqual(Array(3).fill('a crash, and its provider is gone from the configuration'))
    await rig.stage.close()
  })
})

describe('closing', () => {
  it('is not held up by an issuer that hangs, and leaves the rest to the next start', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] })
    const rig = new CredentialRig({ seal: makeSeal(randomBytes(32)) })
    for (let at = 0; at < 100; at++) await rig.lease({ tool: `crm.tool.n${at}` })
    rig.issuer.revoke = () => new Promise(() => {})
    let closed = false
    const close = rig.stage.close().then(() => (closed = true))
    await vi.advanceTimersByTimeAsync(8000)
    expect(closed).toBe(true)
    await close
    expect(rig.rows().every(({ state, sealed }) => state === 'revoking' && sealed !== null)).toBe(true)
    const told = rig.events.length
    await vi.advanceTimersByTimeAsync(60_000)
    expect(rig.events).toHaveLength(told)
  })
})

describe('lanes', () => {
  it('run so many at a time for each name, in order, and go on after one that failed', async () => {
    const lanes = new Lanes(2)
    const begun: string[] = []
    const ends: Record<string, () => void> = {}
    const run = (lane: string, name: string) =>
      lanes.run(lane, () => {
        begun.push(name)
        return new Promise((resolve, reject) => (ends[name] = name === 'b' ? () => reject(new Error('b')) : resolve))
      })
    const all = [run('one', 'a'), run('one', 'b'), run('one', 'c'), run('two', 'd')].map((each) => each.catch(() => 'failed'))
    await settled()
    expect(begun).toEqual(['a', 'b', 'd'])
    ends['b']?.()
    await settled()
    expect(begun).toEqual(['a', 'b', 'd', 'c'])
    for (const name of ['a', 'c', 'd']) ends[name]?.()
    expect(await Promise.all(all)).toEqual([undefined, 'failed', undefined, undefined])
  })
})
