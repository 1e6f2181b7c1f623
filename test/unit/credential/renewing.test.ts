import { describe, expect, it } from 'vitest'
import { Refusal } from '../../../src/refusal.ts'
import { Unanswered } from '../../../src/credential/provider.ts'
import { CredentialRig, permitFor, type PermitSketch } from '../../support/credential-rig.ts'
import { settled } from '../../support/identity-rig.ts'
import { sketchFacts, sketchRow } from '../../support/question.ts'

const task = sketchRow().id
const lost = new Refusal('credential.unavailable', { detail: 'cut', cause: new Unanswered() })

/** A lease of 60 s of which 5 s are left. */
async function nearEnd(sketch: PermitSketch = {}, life?: number) {
  const rig = new CredentialRig()
  if (life !== undefined) rig.issuer.answer = { expires: rig.clock.now() + life }
  rig.issuer.renews()
  const start = rig.clock.now()
  const lease = await rig.lease(sketch)
  rig.clock.move(55_000)
  return { rig, lease, start }
}

describe('a lease near its end', () => {
  it('is renewed once, while calls go on with it; then it serves for as long as the issuer says', async () => {
    const { rig, lease, start } = await nearEnd()
    for (let call = 0; call < 20; call++) expect(rig.stage.credential(permitFor())).toBe(lease)
    await settled()
    expect(rig.issuer.renewals).toMatchObject([{ handle: 'canary-handle-1', ttl: 60_000 }])
    rig.issuer.renewals[0]?.give(start + 100_000)
    await settled()
    const after = rig.stage.credential(permitFor())
    expect(after).toMatchObject({ id: lease.id, digest: lease.digest, expires: start + 100_000 })
    expect(rig.row(lease.id)).toMatchObject({ state: 'live', expires: start + 100_000 })
    expect(rig.issuer.asked).toHaveLength(1)
    expect(rig.events.at(-1)).toMatchObject({
      kind: 'lease.renewed',
      task,
      detail: {
        id: lease.id,
        expires_before: start + 60_000,
        expires: start + 100_000,
        use_until_before: start + 60_000,
        use_until: start + 100_000,
      },
    })
    rig.clock.move(44_000)
    await rig.stage.tick()
    expect(rig.row(lease.id).state).toBe('live')
    rig.clock.move(1000)
    await rig.stage.tick()
    expect(rig.row(lease.id).state).toBe('expired')
  })

  it('is never used past the end of its task or what the decision allows, whatever the issuer says', async () => {
    const { rig, start } = await nearEnd({ credential: { ttl: 60_000 } })
    void rig.stage.credential(permitFor({ credential: { ttl: 60_000 } }))
    await settled()
    rig.issuer.renewals[0]?.give(start + 3_600_000)
    await settled()
    expect((await rig.lease({ credential: { ttl: 60_000 } })).expires).toBe(start + 115_000)
    expect(rig.rows()).toMatchObject([{ expires: start + 3_600_000 }])
    const ending = { task: { id: 't_02', expires: rig.clock.now() + 70_000 } }
    await rig.lease(ending)
    rig.clock.move(55_000)
    void rig.stage.credential(permitFor(ending))
    await settled()
    expect(rig.issuer.renewals[1]?.ttl).toBe(15_000)
  })

  it('says in its row how long it may live before the issuer is asked, so that no crash hides it', async () => {
    const { rig, lease, start } = await nearEnd()
    void rig.stage.credential(permitFor())
    expect(rig.row(lease.id).expires).toBe(start + 115_000)
    await settled()
    expect(rig.journal.slice(-2)).toEqual(['row live: expires', 'issuer asked to renew'])
    rig.issuer.revocations.push(...Array.from({ length: 99 }, () => () => Promise.reject(lost)))
    await rig.stage.revokeTask(task, 'completed')
    rig.clock.move(10_000)
    await rig.stage.tick()
    expect(rig.row(lease.id).state).toBe('revoking')
  })

  it.each<[string, PermitSketch]>([
    ['another policy', { revision: 'r2' }],
    ['more read by its task', { facts: withTaskRead('personal') }],
    ['more known to its caller', { facts: { ...sketchFacts(), caller: { ...sketchFacts().caller, sensitivity: { personal: 1 } } } }],
    ['an agent registered otherwise', { agent: { autonomy: 'unattended' as never } }],
  ])('is not renewed under %s: the call gets a fresh one, and the old one is taken back at its end', async (_what, sketch) => {
    const { rig, lease } = await nearEnd({}, 3_600_000)
    const fresh = await rig.lease(sketch)
    expect(fresh.id).not.toBe(lease.id)
    expect(rig.issuer.renewals).toEqual([])
    expect(rig.row(fresh.id).context).not.toBe(rig.row(lease.id).context)
    rig.clock.move(5000)
    await rig.stage.tick()
    expect([rig.row(lease.id).state, rig.row(fresh.id).state]).toEqual(['revoked', 'live'])
  })

  it('that is being renewed is not handed to a call of another context, and lives no longer once another serves', async () => {
    const { rig, lease, start } = await nearEnd({}, 3_600_000)
    void rig.stage.credential(permitFor())
    await settled()
    const fresh = await rig.lease({ revision: 'r2' })
    rig.issuer.renewals[0]?.give(start + 115_000)
    await settled()
    expect(rig.stage.credential(permitFor({ revision: 'r2' }))).toBe(fresh)
    rig.clock.move(5000)
    await rig.stage.tick()
    expect(rig.row(lease.id).state).toBe('revoked')
    expect(rig.kinds()).not.toContain('lease.renewed')
  })

  it('of a row without a context is not renewed', async () => {
    const { rig, lease } = await nearEnd()
    const held = rig.stage.book.get(lease.id)
    if (held === undefined) throw new Error('it is not out')
    const { context: _gone, ...row } = held.row
    rig.stage.book.change(lease.id, { row })
    expect((await rig.lease()).id).not.toBe(lease.id)
  })

  it.each([
    [
      'says no',
      (rig: CredentialRig) => rig.issuer.renewals[0]?.fail(new Refusal('credential.unavailable', { detail: 'the issuer answered 403' })),
    ],
    ['lets it live no longer', (rig: CredentialRig) => rig.issuer.renewals[0]?.give(rig.clock.now() + 5000)],
    ['names no time', (rig: CredentialRig) => rig.issuer.renewals[0]?.give(Number.NaN)],
    ['fails', (rig: CredentialRig) => rig.issuer.renewals[0]?.fail(new TypeError('canary-secret'))],
  ])('whose issuer %s is replaced by the next call', async (_what, answer) => {
    const { rig, lease } = await nearEnd()
    expect(rig.stage.credential(permitFor())).toBe(lease)
    await settled()
    answer(rig)
    await settled()
    expect(rig.events.at(-1)).toMatchObject({ kind: 'lease.renewal-failed', detail: { id: lease.id } })
    expect((await rig.lease()).id).not.toBe(lease.id)
    expect(rig.issuer.renewals).toHaveLength(1)
    expect(JSON.stringify([rig.events, rig.log.lines])).not.toContain('canary')
  })

  it('is not used past an end that its issuer says is nearer', async () => {
    const { rig, lease } = await nearEnd()
    void rig.stage.credential(permitFor())
    await settled()
    rig.issuer.renewals[0]?.give(rig.clock.now() + 1000)
    await settled()
    rig.clock.move(1000)
    await rig.stage.tick()
    expect(rig.row(lease.id).state).toBe('expired')
  })

  it('says until when it may live: as before when the issuer said no, as was asked when nobody knows', async () => {
    for (const [error, expires] of [
      [new Refusal('credential.unavailable'), 60_000],
      [lost, 115_000],
    ] as const) {
      const { rig, lease, start } = await nearEnd()
      void rig.stage.credential(permitFor())
      await settled()
      rig.issuer.renewals[0]?.fail(error)
      await settled()
      expect(rig.row(lease.id).expires).toBe(start + expires)
    }
  })

  it('whose task is paused or has ended is not renewed', async () => {
    const { rig } = await nearEnd()
    rig.state.pauseTask(task, { by: 'person', at: 1, reason: 'look' })
    void rig.stage.credential(permitFor())
    await settled()
    expect(rig.issuer.renewals).toEqual([])
  })

  it('that is taken back while it is renewed is gone, and what the issuer still says changes nothing', async () => {
    const { rig, lease, start } = await nearEnd()
    void rig.stage.credential(permitFor())
    await settled()
    await rig.stage.revokeTask(task, 'completed')
    expect(rig.issuer.renewals[0]?.signal.aborted).toBe(true)
    rig.issuer.renewals[0]?.give(start + 500_000)
    await settled()
    expect(rig.row(lease.id)).toMatchObject({ state: 'revoked' })
    expect(rig.stage.book.has(lease.id)).toBe(false)
    expect(rig.kinds()).toEqual(['lease.issued', 'lease.revoked'])
  })

  it('that is being renewed keeps no process from closing', async () => {
    const { rig, lease } = await nearEnd()
    void rig.stage.credential(permitFor())
    await settled()
    await rig.stage.close()
    expect(rig.row(lease.id).state).toBe('revoked')
  })

  it('is not renewed when the ledger cannot be written', async () => {
    const { rig, lease, start } = await nearEnd()
    void rig.stage.credential(permitFor())
    await settled()
    rig.fails = true
    rig.issuer.renewals[0]?.give(start + 115_000)
    await settled()
    rig.clock.move(5000)
    await rig.stage.tick()
    expect(rig.stage.book.has(lease.id)).toBe(false)
  })

  it('is renewed by the clock that nobody can set', async () => {
    let tick = 0
    const rig = new CredentialRig({ ticks: () => tick })
    rig.issuer.renews()
    const lease = await rig.lease()
    tick = 55_000
    rig.clock.move(-3_600_000)
    expect(rig.stage.credential(permitFor())).toBe(lease)
    await settled()
    rig.issuer.renewals[0]?.give(rig.clock.now() + 7_200_000)
    await settled()
    tick = 116_000
    await rig.stage.tick()
    expect(rig.stage.book.has(lease.id)).toBe(false)
  })
})

function withTaskRead(name: string): ReturnType<typeof sketchFacts> {
  const facts = sketchFacts()
  return { ...facts, task: { ...facts.task, sensitivity: [name] } }
}
