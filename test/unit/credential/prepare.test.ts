import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import { Refusal } from '../../../src/refusal.ts'
import { Secret } from '../../../src/secret.ts'
import type { Issued, Placement } from '../../../src/credential/credential.ts'
import { Unanswered } from '../../../src/credential/provider.ts'
import { makeSeal } from '../../../src/state/seal.ts'
import { CredentialRig } from '../../support/credential-rig.ts'
import { removeStateFiles, stateFile } from '../../support/state-file.ts'
import { refusalOf, settled } from '../../support/identity-rig.ts'

const lost = new Refusal('credential.unavailable', { detail: 'cut', cause: new Unanswered() })

afterEach(removeStateFiles)

/** A rig whose issuer is asked and has not answered yet. */
async function asking(options: ConstructorParameters<typeof CredentialRig>[0] = {}) {
  const rig = new CredentialRig({ seal: makeSeal(randomBytes(32)), ...options })
  rig.issuer.prepares()
  rig.issuer.auto = false
  const call = refusalOf(() => rig.lease())
  await settled()
  const row = rig.rows()[0]
  if (row === undefined) throw new Error('no row was written')
  return { rig, call, row, handle: `canary-prepared-${row.id}` }
}

describe('what could take a credential back', () => {
  it('is sealed in the row before the issuer is asked, and handed to it', async () => {
    const { rig, row, handle } = await asking()
    expect(rig.journal).toEqual(['row issuing', 'prepared', 'row issuing: sealed, revocation', 'issuer asked'])
    expect(row).toMatchObject({ state: 'issuing', revocation: 'issuer', sealed: expect.stringMatching(/^s1\./) })
    expect(rig.issuer.asked[0]?.prepared?.reveal()).toBe(handle)
    expect(inspect(rig.rows(), { depth: 9 })).not.toContain('canary')
  })

  it('takes back an answer that nobody saw, and nothing is left as an orphan', async () => {
    const { rig, call, row, handle } = await asking()
    rig.issuer.asked[0]?.fail(lost)
    expect((await call)?.code).toBe('credential.unavailable')
    expect(rig.issuer.revoked).toEqual([handle])
    expect(rig.row(row.id)).toMatchObject({ state: 'revoked', revocation: 'issuer', sealed: null })
    expect(rig.kinds()).toEqual(['lease.revoked'])
  })

  it('does so after an error that nobody knows, and after a task that ended meanwhile', async () => {
    const first = await asking()
    first.rig.issuer.asked[0]?.fail(new TypeError('a bug'))
    await first.call
    expect(first.rig.issuer.revoked).toEqual([first.handle])
    const second = await asking()
    await second.rig.stage.revokeTask(second.row.task, 'completed')
    second.rig.issuer.asked[0]?.fail(lost)
    expect((await second.call)?.code).toBe('task.ended')
    await settled()
    expect(second.rig.issuer.revoked).toEqual([second.handle])
  })

  it('is tried again until the issuer confirms', async () => {
    const { rig, call, row, handle } = await asking()
    rig.issuer.revocations.push(() => Promise.reject(lost))
    rig.issuer.asked[0]?.fail(lost)
    await call
    expect(rig.row(row.id)).toMatchObject({ state: 'revoking', revocation: 'issuer', sealed: expect.any(String) })
    rig.clock.move(1000)
    await rig.stage.tick()
    expect(rig.issuer.revoked).toEqual([handle, handle])
    expect(rig.row(row.id).state).toBe('revoked')
  })

  it('is tried for a day past what was asked, and then says orphaned, not expired: nobody knows how long what came lives', async () => {
    const { rig, call, row } = await asking()
    rig.issuer.revocations.push(...Array.from({ length: 99 }, () => () => Promise.reject(lost)))
    rig.issuer.asked[0]?.fail(lost)
    await call
    rig.clock.move(3_600_000)
    await rig.stage.tick()
    expect(rig.row(row.id)).toMatchObject({ state: 'revoking', revocation: 'issuer' })
    rig.clock.move(86_400_000)
    await rig.stage.tick()
    expect(rig.row(row.id)).toMatchObject({ state: 'orphaned', revocation: 'expiry', sealed: null })
    expect(rig.kinds()).toEqual(['lease.revocation-failed', 'lease.revocation-overdue', 'lease.orphaned'])
    expect(rig.stage.sizes()).toEqual({ out: 0, ending: 0, overdue: 0 })
  })

  it('is not used when the issuer said no: nothing is left then', async () => {
    const { rig, call } = await asking()
    rig.issuer.asked[0]?.fail(new Refusal('credential.unavailable', { detail: 'the issuer answered 403' }))
    await call
    expect(rig.issuer.revoked).toEqual([])
    expect(rig.rows()).toMatchObject([{ state: 'discarded', sealed: null }])
  })

  it('is used when it is there and the issuer is never asked', async () => {
    const rig = new CredentialRig()
    rig.issuer.prepares()
    const change = rig.state.changeLease.bind(rig.state)
    rig.state.changeLease = (id, from, to) => {
      if ('sealed' in to && to.state === undefined) throw new Error('disk full')
      return change(id, from, to)
    }
    expect((await refusalOf(() => rig.lease()))?.code).toBe('record.failed')
    expect(rig.issuer.asked).toEqual([])
    expect(rig.issuer.revoked).toEqual([expect.stringMatching(/^canary-prepared-l_/)])
  })

  it('that cannot be had leaves a closed row, or an orphan when nobody knows', async () => {
    for (const [error, state] of [
      [new Refusal('credential.unavailable', { detail: 'no log-in' }), 'discarded'],
      [lost, 'orphaned'],
    ] as const) {
      const rig = new CredentialRig()
      rig.issuer.prepare = () => Promise.reject(error)
      expect((await refusalOf(() => rig.lease()))?.detail).toBe(error.detail)
      expect(rig.issuer.asked).toEqual([])
      expect(rig.rows()).toMatchObject([{ state }])
    }
  })

  it('takes back what came when its handle is the only one', async () => {
    const rig = new CredentialRig()
    rig.issuer.prepares()
    rig.issuer.answer = { handle: null }
    const lease = await rig.lease()
    await rig.stage.takeBack(lease.id, 'policy', {})
    expect(rig.issuer.revoked).toEqual([`canary-prepared-${lease.id}`])
  })
})

describe('a crash while the issuer is asked', () => {
  it('leaves a row by whose handle the next start takes back what came', async () => {
    const path = stateFile()
    const seal = makeSeal(randomBytes(32))
    const { rig, row, handle } = await asking({ path, seal })
    rig.state.close()
    const after = new CredentialRig({ path, seal })
    await after.stage.sweep()
    expect(after.issuer.revoked).toEqual([handle])
    expect(after.row(row.id)).toMatchObject({ state: 'revoked', sealed: null })
    expect(after.events).toMatchObject([{ kind: 'lease.revoked', detail: { revocation: 'issuer', digest: null } }])
    await after.stage.close()
  })

  it('takes back what came although the time that was asked for has passed: nobody knows how long it lives', async () => {
    const path = stateFile()
    const seal = makeSeal(randomBytes(32))
    const { rig, row, handle } = await asking({ path, seal })
    rig.state.close()
    const after = new CredentialRig({ path, seal })
    after.clock.move(3_600_000)
    after.issuer.revocations.push(() => Promise.reject(lost))
    await after.stage.sweep()
    expect(after.row(row.id).state).toBe('revoking')
    after.clock.move(1000)
    await after.stage.tick()
    expect(after.issuer.revoked).toEqual([handle, handle])
    expect(after.row(row.id).state).toBe('revoked')
    await after.stage.close()
  })

  it.each([
    ['no key', null],
    ['another key', makeSeal(randomBytes(32))],
  ])('leaves an orphan with %s, for the handle died with the process', async (_what, seal) => {
    const path = stateFile()
    const { rig, row } = await asking({ path, seal: seal && makeSeal(randomBytes(32)) })
    expect(rig.row(row.id).sealed === null).toBe(seal === null)
    rig.state.close()
    const after = new CredentialRig({ path, seal })
    await after.stage.sweep()
    expect(after.issuer.revoked).toEqual([])
    expect(after.row(row.id)).toMatchObject({ state: 'orphaned', revocation: 'expiry', sealed: null })
    await after.stage.close()
  })
})

describe('what comes with a secret', () => {
  it('goes on with the lease, and its digest covers all of it', async () => {
    const rig = new CredentialRig()
    rig.issuer.placement = { in: 'sigv4', service: 's3', region: 'eu-1' }
    const parts = { session_token: new Secret('canary-session') }
    rig.issuer.answer = { secret: new Secret('canary-key'), user: 'AKIA1', parts }
    const one = await rig.lease()
    expect([one.user, one.parts]).toEqual(['AKIA1', parts])
    rig.issuer.answer = { ...rig.issuer.answer, parts: { session_token: new Secret('canary-other') } }
    const other = await rig.lease({ tool: 'crm.order.read' })
    expect(one.digest).toMatch(/^sha256:[0-9a-f]{64}$/)
    expect(other.digest).not.toBe(one.digest)
    const text = inspect([one, rig.events, rig.rows()], { depth: 9, showHidden: true }) + JSON.stringify([one, rig.events, rig.rows()])
    expect(text).not.toContain('canary')
  })

  it('is found by each secret in it, for whoever presents one presents it alone', async () => {
    const rig = new CredentialRig()
    rig.issuer.answer = { secret: new Secret('abcdefgh'), parts: { session_token: new Secret('canary-session') } }
    const lease = await rig.lease()
    const presented = 'sha256:9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab'
    expect(rig.stage.book.find(presented, rig.clock.now(), rig.clock.now())?.lease).toBe(lease)
    await rig.stage.takeBack(lease.id, 'policy', {})
    expect(rig.stage.book.find(presented, rig.clock.now(), rig.clock.now())).toBeNull()
  })

  const signed: Placement = { in: 'sigv4', service: 's3', region: 'eu-central-1' }
  const swapped: Placement = { in: 'placeholder', text: 'a-key-that-agents-know' }
  const session = (text: string): Partial<Issued> => ({ user: 'ASIA0', parts: { session_token: new Secret(text) } })

  it.each<[string, Partial<Issued>, Placement?]>([
    ['a part with a line end', session('a\r\nx-evil: 1'), signed],
    ['a part that is longer than any header', session('a'.repeat(16_385)), signed],
    ['a name with a line end', { user: 'a\r\nx-evil: 1' }],
    ['a name with a colon', { user: 'root:' }],
    ['an empty name', { user: '' }],
    ['a secret that is longer than any header', { secret: new Secret('a'.repeat(16_385)) }],
    ['a secret that is too short to be found in answers', { secret: new Secret('hunter2') }],
    ['a secret that is the placeholder', { secret: new Secret('a-key-that-agents-know') }, swapped],
    ['a secret with a NUL', { secret: new Secret('a-secret\0with-more') }, { in: 'query', name: 'key' }],
  ])('is refused and taken back when it holds %s', async (_what, answer, placement) => {
    const rig = new CredentialRig()
    rig.issuer.answer = answer
    if (placement !== undefined) rig.issuer.placement = placement
    expect((await refusalOf(() => rig.lease()))?.code).toBe('credential.unavailable')
    expect(rig.issuer.revoked).toEqual(['canary-handle-1'])
  })

  it('is refused when the name is missing where the request needs one', async () => {
    const rig = new CredentialRig()
    rig.issuer.placement = { in: 'basic', user: null }
    expect((await refusalOf(() => rig.lease()))?.code).toBe('credential.unavailable')
    rig.issuer.answer = { user: 'v-token-crm' }
    expect((await rig.lease()).user).toBe('v-token-crm')
  })
})

describe('an issuer with a shortest life', () => {
  it('may let it live until then; the lease is used no longer than was asked, and ends at the issuer before', async () => {
    const rig = new CredentialRig()
    rig.issuer.floor = 900_000
    const start = rig.clock.now()
    rig.issuer.answer = { expires: start + 900_000 }
    const lease = await rig.lease()
    expect([lease.expires, rig.row(lease.id).expires]).toEqual([start + 60_000, start + 900_000])
    rig.clock.move(60_000)
    await rig.stage.tick()
    expect(rig.row(lease.id).state).toBe('revoked')
  })

  it('that answers nothing leaves a row that says how long what it gave may live', async () => {
    const rig = new CredentialRig()
    rig.issuer.floor = 900_000
    rig.issuer.auto = false
    const call = refusalOf(() => rig.lease())
    await settled()
    rig.issuer.asked[0]?.fail(lost)
    await call
    expect(rig.rows()).toMatchObject([{ state: 'orphaned', expires: rig.clock.now() + 900_000 }])
  })
})
