import { randomBytes } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import { makeSeal } from '../../../src/state/seal.ts'
import { Unanswered } from '../../../src/credential/provider.ts'
import { Refusal } from '../../../src/refusal.ts'
import { CredentialRig, FakeIssuer, permitFor } from '../../support/credential-rig.ts'
import { removeStateFiles, stateFile } from '../../support/state-file.ts'
import { refusalOf, settled } from '../../support/identity-rig.ts'
import { sketchRow } from '../../support/question.ts'

const task = sketchRow().id
afterEach(removeStateFiles)

function fail(): Promise<never> {
  return Promise.reject(new Error('down'))
}

describe('the end of a task', () => {
  it('revokes its leases at the issuer and nobody else’s', async () => {
    const rig = new CredentialRig()
    const own = await rig.lease()
    const other = await rig.lease({ task: { id: 't_02' } })
    await rig.stage.revokeTask(task, 'completed')
    expect(rig.issuer.revoked).toEqual(['canary-handle-1'])
    expect(rig.row(own.id)).toMatchObject({ state: 'revoked', sealed: null })
    expect(rig.row(other.id).state).toBe('live')
    expect(rig.events.at(-1)).toMatchObject({
      kind: 'lease.revoked',
      task,
      by: 'countersign',
      detail: { id: own.id, cause: 'completed', standing: false },
    })
  })

  it('says revoked only after the issuer confirmed', async () => {
    const rig = new CredentialRig()
    const lease = await rig.lease()
    let confirm = (): void => {}
    rig.issuer.revocations.push(() => new Promise((resolve) => (confirm = resolve)))
    const end = rig.stage.revokeTask(task, 'completed')
    await settled()
    expect(rig.row(lease.id).state).toBe('revoking')
    expect(rig.stage.book.find(lease.digest, rig.clock.now(), rig.clock.now())).toBeNull()
    confirm()
    await end
    expect(rig.row(lease.id).state).toBe('revoked')
  })

  it('leaves what nothing can revoke to its expiry, and says so when that has passed', async () => {
    const rig = new CredentialRig()
    rig.issuer.answer = { revocation: 'expiry', handle: null }
    const lease = await rig.lease()
    await rig.stage.revokeTask(task, 'completed')
    expect(rig.row(lease.id).state).toBe('revoking')
    expect(rig.kinds()).toEqual(['lease.issued'])
    rig.clock.move(60_000)
    await rig.stage.tick()
    expect(rig.row(lease.id).state).toBe('expired')
    expect(rig.events.at(-1)).toMatchObject({ kind: 'lease.expired', by: 'clock' })
  })

  it('discards a standing credential and flags it', async () => {
    const rig = new CredentialRig()
    rig.issuer.standing = true
    rig.issuer.answer = { revocation: 'discard', handle: null }
    const lease = await rig.lease()
    await rig.stage.revokeTask(task, 'completed')
    expect(rig.row(lease.id).state).toBe('discarded')
    expect(rig.events.map(({ kind, detail }) => [kind, detail.standing])).toEqual([
      ['lease.issued', true],
      ['lease.discarded', true],
    ])
  })

  it('while the issuer is asked refuses the call and takes back what still comes', async () => {
    const rig = new CredentialRig()
    rig.issuer.auto = false
    rig.open()
    const call = refusalOf(() => rig.stage.credential(permitFor()))
    await settled()
    await rig.stage.revokeTask(task, 'revoked')
    expect((await call)?.code).toBe('task.ended')
    // an issuer that was cut off gives a credential that nobody can name any more
    expect(rig.issuer.asked[0]?.signal.aborted).toBe(false)
    rig.issuer.asked[0]?.give()
    await settled()
    expect(rig.issuer.revoked).toEqual(['canary-handle-1'])
    expect(rig.rows().map(({ state }) => state)).toEqual(['revoked'])
  })

  it('in the very tick of the answer leaves the call without a lease', async () => {
    const rig = new CredentialRig()
    rig.open()
    const serve = rig.stage.book.serve.bind(rig.stage.book)
    rig.stage.book.serve = (held) => {
      const served = serve(held)
      void rig.stage.revokeTask(task, 'completed')
      return served
    }
    expect((await refusalOf(() => rig.stage.credential(permitFor())))?.code).toBe('task.ended')
  })

  it('is seen in the state even before anyone says so', async () => {
    const rig = new CredentialRig()
    rig.issuer.auto = false
    rig.open()
    const call = refusalOf(() => rig.stage.credential(permitFor()))
    await settled()
    rig.state.endTask(task, 'revoked', { at: rig.clock.now(), cause: 'kill', by: 'person:one' })
    rig.issuer.asked[0]?.give()
    expect((await call)?.code).toBe('task.ended')
    expect(rig.issuer.revoked).toEqual(['canary-handle-1'])
  })

  it('asks no issuer for a task that has ended or is not known', async () => {
    const rig = new CredentialRig()
    expect((await refusalOf(() => rig.stage.credential(permitFor())))?.code).toBe('task.ended')
    expect(rig.journal).toEqual([])
  })

  it('keeps the leases of a paused task: pausing is not an end', async () => {
    const rig = new CredentialRig()
    rig.open()
    rig.state.pauseTask(task, { by: 'person', at: 1, reason: 'look' })
    expect((await rig.lease()).id).toMatch(/^l_/)
  })
})

describe('a revocation that fails', () => {
  it('is told once, tried again with growing waits, and ends when the issuer confirms', async () => {
    const rig = new CredentialRig()
    const lease = await rig.lease()
    rig.issuer.revocations.push(fail, fail, fail)
    await rig.stage.revokeTask(task, 'completed')
    expect(rig.kinds()).toEqual(['lease.issued', 'lease.revocation-failed'])
    const attempts: number[] = []
    for (let second = 1; second <= 10; second++) {
      rig.clock.move(1000)
      const before = rig.issuer.revoked.length
      await rig.stage.tick()
      if (rig.issuer.revoked.length > before) attempts.push(second)
    }
    expect(attempts).toEqual([1, 3, 7])
    expect(rig.row(lease.id).state).toBe('revoked')
    expect(rig.kinds()).toEqual(['lease.issued', 'lease.revocation-failed', 'lease.revoked'])
  })

  it('is tried again in time although the wall clock is put back', async () => {
    let tick = 0
    const rig = new CredentialRig({ ticks: () => tick })
    const lease = await rig.lease()
    rig.issuer.revocations.push(fail)
    await rig.stage.revokeTask(task, 'completed')
    rig.clock.move(-3_600_000)
    tick += 1000
    await rig.stage.tick()
    expect(rig.row(lease.id).state).toBe('revoked')
  })

  it('ends with the expiry of the credential, and then says expired, not revoked', async () => {
    const rig = new CredentialRig()
    const lease = await rig.lease()
    rig.issuer.revocations.push(...Array.from({ length: 99 }, () => fail))
    await rig.stage.revokeTask(task, 'completed')
    rig.clock.move(60_000)
    await rig.stage.tick()
    expect(rig.row(lease.id).state).toBe('expired')
    expect(rig.stage.sizes()).toEqual({ out: 0, ending: 0, overdue: 0 })
  })

  it('survives a restart when a key seals its handle', async () => {
    const path = stateFile()
    const seal = makeSeal(randomBytes(32))
    const before = new CredentialRig({ path, seal })
    const lease = await before.lease()
    before.issuer.revocations.push(fail)
    await before.stage.revokeTask(task, 'completed')
    expect(before.row(lease.id)).toMatchObject({ state: 'revoking', sealed: expect.stringMatching(/^s1\./) })
    before.state.close()

    const after = new CredentialRig({ path, seal })
    await after.stage.sweep()
    expect(after.issuer.revoked).toEqual(['canary-handle-1'])
    expect(after.row(lease.id)).toMatchObject({ state: 'revoked', sealed: null })
    await after.stage.close()
  })
})

describe('the sweep at start', () => {
  it('revokes what a crash left live, though its task lives on: the value died with the process', async () => {
    const path = stateFile()
    const seal = makeSeal(randomBytes(32))
    const before = new CredentialRig({ path, seal })
    const lease = await before.lease()
    before.state.close()
    const after = new CredentialRig({ path, seal })
    await after.stage.sweep()
    expect(after.row(lease.id).state).toBe('revoked')
    expect(after.events).toMatchObject([{ kind: 'lease.revoked', detail: { cause: 'a crash' } }])
    await after.stage.close()
  })

  it.each([
    ['no key', null],
    ['another key', makeSeal(randomBytes(32))],
  ])('records what cannot be revoked as an orphan that ends by expiry, with %s', async (_what, seal) => {
    const path = stateFile()
    const before = new CredentialRig({ path, seal: seal && makeSeal(randomBytes(32)) })
    const lease = await before.lease()
    before.state.close()
    const after = new CredentialRig({ path, seal })
    await after.stage.sweep()
    expect(after.issuer.revoked).toEqual([])
    expect(after.row(lease.id)).toMatchObject({ state: 'orphaned', revocation: 'expiry', sealed: null })
    expect(after.events).toMatchObject([{ kind: 'lease.orphaned', detail: { revocation: 'expiry' } }])
    await after.stage.close()
  })

  it('knows nothing of a lease that was being issued, and says so', async () => {
    const rig = new CredentialRig()
    rig.issuer.auto = false
    rig.open()
    void refusalOf(() => rig.stage.credential(permitFor()))
    await settled()
    const row = rig.rows()[0]
    const after = new CredentialRig()
    if (row) after.state.putLease(row)
    await after.stage.sweep()
    expect(after.rows()).toMatchObject([{ state: 'orphaned', revocation: 'expiry' }])
    await after.stage.close()
  })

  it('says expired of what had expired meanwhile, and discarded of what stands', async () => {
    const rig = new CredentialRig()
    const lease = await rig.lease()
    const row = rig.row(lease.id)
    const after = new CredentialRig()
    after.state.putLease({ ...row, id: 'l_1', expires: after.clock.now(), revocation: 'expiry' })
    after.state.putLease({ ...row, id: 'l_2', revocation: 'discard' })
    await after.stage.sweep()
    expect([after.row('l_1').state, after.row('l_2').state]).toEqual(['expired', 'discarded'])
    await after.stage.close()
  })

  it('leaves the leases of this process alone', async () => {
    const rig = new CredentialRig()
    const lease = await rig.lease()
    await rig.stage.sweep()
    expect(rig.row(lease.id).state).toBe('live')
    await rig.stage.close()
  })
})

describe('a change of providers', () => {
  it('takes back the leases of providers that went and keeps the others', async () => {
    const rig = new CredentialRig()
    const lease = await rig.lease()
    await rig.stage.change(new Map([['crm', rig.issuer]]))
    expect(rig.stage.credential(permitFor())).toBe(lease)
    await rig.stage.change(new Map([['crm', new FakeIssuer(rig.clock.now, rig.journal)]]))
    expect(rig.issuer.revoked).toEqual(['canary-handle-1'])
    expect((await rig.lease()).id).not.toBe(lease.id)
  })

  it('ends what a provider that went holds for itself, after its leases, and nothing of those that stay', async () => {
    const rig = new CredentialRig()
    const ended: (readonly string[])[] = []
    const holding = Object.assign(rig.issuer, { close: async () => void ended.push([...rig.issuer.revoked]) })
    await rig.lease()
    await rig.stage.change(new Map([['crm', holding]]))
    expect(ended).toEqual([])
    await rig.stage.change(new Map())
    expect(ended).toEqual([['canary-handle-1']])
  })
})

describe('closing', () => {
  it('ends what providers hold for themselves, after their leases', async () => {
    const rig = new CredentialRig()
    const ended: (readonly string[])[] = []
    Object.assign(rig.issuer, { close: async () => void ended.push([...rig.issuer.revoked]) })
    await rig.lease()
    await rig.stage.close()
    expect(ended).toEqual([['canary-handle-1']])
  })

  it('takes back every lease', async () => {
    const rig = new CredentialRig()
    await rig.lease()
    await rig.lease({ task: { id: 't_02' } })
    await rig.stage.close()
    expect(rig.rows().map(({ state }) => state)).toEqual(['revoked', 'revoked'])
    expect(rig.stage.sizes()).toEqual({ out: 0, ending: 0, overdue: 0 })
  })

  it('waits for what an issuer is about to give and takes it back, though the call and its task have gone', async () => {
    const rig = new CredentialRig()
    rig.issuer.auto = false
    rig.open()
    const call = refusalOf(() => rig.stage.credential(permitFor()))
    await settled()
    await rig.stage.revokeTask(task, 'completed')
    await call
    const closed = rig.stage.close()
    rig.issuer.asked[0]?.give()
    await closed
    expect(rig.issuer.revoked).toEqual(['canary-handle-1'])
  })

  it('gives an issuer up that says nothing, and then its row says that nobody knows', async () => {
    const rig = new CredentialRig()
    rig.issuer.auto = false
    rig.open()
    const call = refusalOf(() => rig.stage.credential(permitFor()))
    await settled()
    const asked = rig.issuer.asked[0]
    asked?.signal.addEventListener('abort', () => asked.fail(new Refusal('credential.unavailable', { cause: new Unanswered() })))
    await rig.stage.close()
    expect((await call)?.code).toBe('listen.draining')
    expect(rig.rows()).toMatchObject([{ state: 'orphaned', revocation: 'expiry' }])
  })
})
