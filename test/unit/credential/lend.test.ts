import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import type { Permit } from '../../../src/decide/permit.ts'
import { Refusal } from '../../../src/refusal.ts'
import { Secret } from '../../../src/secret.ts'
import { Unanswered } from '../../../src/credential/provider.ts'
import { CredentialRig, decisionFor, permitFor } from '../../support/credential-rig.ts'
import { refusalOf, settled } from '../../support/identity-rig.ts'

describe('a lease', () => {
  it('is written as issuing before the issuer is asked, and told to the ledger before a call has it', async () => {
    const rig = new CredentialRig()
    await rig.lease()
    expect(rig.journal).toEqual(['row issuing', 'issuer asked', 'row live', 'lease.issued'])
  })

  it('is told of when calls can use it, and only then', async () => {
    const told: string[] = []
    const rig = new CredentialRig({ issued: ({ id, state, revision }) => void told.push(`${id} ${state} ${revision}`) })
    const lease = await rig.lease()
    await rig.lease()
    expect(told).toEqual([`${lease.id} live r1`])
    rig.issuer.answer = { excess: 'scope "all"' }
    await refusalOf(() => rig.lease({ tool: 'crm.order.read' }))
    expect(told).toHaveLength(1)
  })

  it('is taken back by itself, and its event says what was found', async () => {
    const rig = new CredentialRig()
    const [first, second] = [await rig.lease(), await rig.lease({ tool: 'crm.order.read' })]
    const judged = { revision: 'r2', code: 'decide.denied', detail: 'intent.tool' }
    await rig.stage.takeBack(first.id, 'policy', { judged })
    await rig.stage.takeBack(first.id, 'policy', { judged })
    expect([rig.row(first.id).state, rig.row(second.id).state]).toEqual(['revoked', 'live'])
    const ended = rig.events.filter(({ kind }) => kind === 'lease.revoked')
    expect(ended).toEqual([expect.objectContaining({ detail: expect.objectContaining({ id: first.id, cause: 'policy', judged }) })])
    expect((await rig.lease()).id).not.toBe(first.id)
  })

  it('is had again without a promise while it has life enough left', async () => {
    const rig = new CredentialRig()
    const first = await rig.lease()
    rig.clock.move(54_000)
    expect(rig.stage.credential(permitFor())).toBe(first)
    expect(rig.issuer.asked).toHaveLength(1)
  })

  it('is replaced when less than a fifth or five seconds of its life are left, and the old one is taken back when it ends', async () => {
    const rig = new CredentialRig()
    rig.issuer.answer = { expires: rig.clock.now() + 3_600_000 }
    const first = await rig.lease()
    rig.clock.move(55_000)
    const second = await rig.lease()
    expect(second.id).not.toBe(first.id)
    expect(rig.events.at(-1)?.detail).toMatchObject({ id: second.id, replaces: first.id })
    expect(rig.issuer.revoked).toEqual([])
    rig.clock.move(5000)
    await rig.stage.tick()
    expect(rig.issuer.revoked).toEqual(['canary-handle-1'])
    expect(rig.row(first.id).state).toBe('revoked')
  })

  it('is not lengthened by a wall clock that is put back', async () => {
    let tick = 0
    const rig = new CredentialRig({ ticks: () => tick })
    await rig.lease()
    rig.clock.move(-30_000)
    tick = 56_000
    await rig.lease()
    expect(rig.issuer.asked).toHaveLength(2)
  })

  it('is asked for once when many calls want it at the same time', async () => {
    const rig = new CredentialRig()
    rig.issuer.auto = false
    rig.open()
    const calls = Array.from({ length: 20 }, () => Promise.resolve(rig.stage.credential(permitFor())))
    await settled()
    expect(rig.issuer.asked).toHaveLength(1)
    rig.issuer.asked[0]?.give()
    const leases = await Promise.all(calls)
    expect(new Set(leases).size).toBe(1)
  })

  it.each([
    ['task', { task: { id: 't_02' } }],
    ['tool', { tool: 'crm.order.read' }],
    ['destination', { origin: 'https://crm2.acme.example' }],
    ['caller', { caller: 'spiffe://acme.example/other', task: { id: 't_03' } }],
    ['scopes', { credential: { scopes: ['a'] } }],
    ['audience', { credential: { audience: 'https://other.acme.example' } }],
    ['life that policy allows', { credential: { ttl: 10_000 } }],
  ])('is never shared with another %s', async (_what, other) => {
    const rig = new CredentialRig()
    const first = await rig.lease()
    const second = await rig.lease(other)
    expect(second.id).not.toBe(first.id)
    expect(second.secret.reveal()).not.toBe(first.secret.reveal())
  })

  it('is the same for the same scopes in another order', async () => {
    const rig = new CredentialRig()
    const first = await rig.lease({ credential: { scopes: ['b', 'a'] } })
    expect(await rig.lease({ credential: { scopes: ['a', 'b', 'a'] } })).toBe(first)
    expect(rig.issuer.asked[0]?.wanted.scopes).toEqual(['a', 'b'])
  })

  it('never outlives the task, the decision or the provider, whatever the issuer gives', async () => {
    const rig = new CredentialRig()
    rig.issuer.answer = { expires: rig.clock.now() + 3_600_000 }
    const now = rig.clock.now()
    expect((await rig.lease()).expires).toBe(now + 60_000)
    expect((await rig.lease({ credential: { ttl: 7000 } })).expires).toBe(now + 7000)
    expect((await rig.lease({ task: { id: 't_02', expires: now + 3000 } })).expires).toBe(now + 3000)
    expect(rig.issuer.asked.map(({ wanted }) => wanted.ttl)).toEqual([60_000, 7000, 3000])
  })

  it('is not had by a call whose task ends before the lease does', async () => {
    const rig = new CredentialRig()
    const first = await rig.lease()
    const second = await rig.lease({ task: { expires: first.expires - 1 } })
    expect(second.expires).toBe(first.expires - 1)
  })

  it('is not asked for anew at the end of its task, when a fresh one would live no longer', async () => {
    const rig = new CredentialRig()
    const task = { expires: rig.clock.now() + 10_000 }
    const first = await rig.lease({ task })
    rig.clock.move(9999)
    expect(rig.stage.credential(permitFor({ task }))).toBe(first)
  })
})

describe('a route', () => {
  it('without a credential gets none', () => {
    expect(new CredentialRig().stage.credential(permitFor({ provider: null }))).toBeNull()
  })

  it('with an unknown provider is refused', async () => {
    const rig = new CredentialRig()
    expect((await refusalOf(() => rig.stage.credential(permitFor({ provider: 'gone' }))))?.code).toBe('credential.unavailable')
  })
})

describe('a permit', () => {
  it('that no decision minted gets nothing', async () => {
    const rig = new CredentialRig()
    const forged = { decision: decisionFor(), signal: new AbortController().signal } as unknown as Permit
    expect((await refusalOf(() => rig.stage.credential(forged)))?.code).toBe('internal')
    expect(rig.journal).toEqual([])
  })

  it('whose call has ended gets nothing, though a lease is there', async () => {
    const rig = new CredentialRig()
    await rig.lease()
    const reason = new Refusal('task.ended')
    expect(await refusalOf(() => rig.stage.credential(permitFor({ signal: AbortSignal.abort(reason) })))).toBe(reason)
  })

  it('whose call ends while the issuer is asked lets go at once, and what comes is there for the next call of its task', async () => {
    const rig = new CredentialRig()
    rig.issuer.auto = false
    rig.open()
    const reason = new Refusal('listen.draining')
    for (let hangsUp = 0; hangsUp < 3; hangsUp++) {
      const call = new AbortController()
      const refusal = refusalOf(() => rig.stage.credential(permitFor({ signal: call.signal })))
      await settled()
      call.abort(reason)
      expect(await refusal).toBe(reason)
    }
    expect(rig.issuer.asked.map(({ signal }) => signal.aborted)).toEqual([false])
    rig.issuer.asked[0]?.give()
    await settled()
    expect(rig.stage.credential(permitFor())).toMatchObject({ id: rig.rows()[0]?.id })
    await rig.stage.revokeTask(rig.rows()[0]?.task ?? '', 'completed')
    expect(rig.issuer.revoked).toEqual(['canary-handle-1'])
  })
})

describe('a decision', () => {
  it.each([
    ['a scope that is not offered', { scopes: ['a', 'z'] }],
    ['an audience that is not offered', { audience: 'https://evil.example' }],
    ['a longer life', { ttl: 60_001 }],
    ['no life', { ttl: 0 }],
    ['a life that is no number', { ttl: Number.NaN }],
    ['another provider', { provider: 'payments' }],
  ])('that asks for %s is malformed', async (_what, credential) => {
    const rig = new CredentialRig()
    const refusal = await refusalOf(() => rig.lease({ credential }))
    expect(refusal?.code).toBe('decide.malformed')
    expect(rig.issuer.asked).toEqual([])
  })

  it('may name the provider of its route', async () => {
    expect((await new CredentialRig().lease({ credential: { provider: 'crm' } })).provider).toBe('crm')
  })
})

describe('an issuer', () => {
  it('that says no leaves a closed row and no orphan', async () => {
    const rig = new CredentialRig()
    rig.issuer.auto = false
    const call = refusalOf(() => rig.lease())
    await settled()
    rig.issuer.asked[0]?.fail(new Refusal('credential.unavailable', { detail: 'the issuer answered 400 invalid_scope' }))
    expect((await call)?.detail).toContain('invalid_scope')
    expect(rig.rows().map(({ state }) => state)).toEqual(['discarded'])
  })

  it('whose answer was not seen leaves an orphan that only expiry ends', async () => {
    const rig = new CredentialRig()
    rig.issuer.auto = false
    const call = refusalOf(() => rig.lease())
    await settled()
    rig.issuer.asked[0]?.fail(new Refusal('credential.unavailable', { detail: 'cut', cause: new Unanswered() }))
    expect((await call)?.code).toBe('credential.unavailable')
    expect(rig.rows()).toMatchObject([{ state: 'orphaned', revocation: 'expiry' }])
    expect(rig.kinds()).toEqual(['lease.orphaned'])
  })

  it('that fails in an unknown way is told without a word of its error', async () => {
    const rig = new CredentialRig()
    rig.issuer.auto = false
    const call = refusalOf(() => rig.lease())
    await settled()
    rig.issuer.asked[0]?.fail(new TypeError('canary-secret in a message'))
    expect(inspect(await call, { depth: 9 })).not.toContain('canary')
  })

  it('that gives more than was asked has it taken back, and the call is refused', async () => {
    const rig = new CredentialRig()
    rig.issuer.answer = { excess: 'its scope is wider than asked' }
    const refusal = await refusalOf(() => rig.lease())
    expect(refusal?.code).toBe('credential.too-wide')
    expect(rig.issuer.revoked).toEqual(['canary-handle-1'])
    expect(rig.kinds()).toEqual(['lease.issued', 'lease.revoked'])
    expect(rig.stage.book.size).toBe(0)
  })

  it.each([
    ['nothing', ''],
    ['a line end', 'token\r\nx-evil: 1'],
    ['bytes beyond ASCII', 'tökén'],
  ])('that gives %s for a header is refused', async (_what, text) => {
    const rig = new CredentialRig()
    rig.issuer.answer = { secret: new Secret(text) }
    expect((await refusalOf(() => rig.lease()))?.code).toBe('credential.unavailable')
    expect(rig.issuer.revoked).toEqual(['canary-handle-1'])
  })

  it.each([Number.NaN, Number.POSITIVE_INFINITY, 1e300])(
    'that gives one that ends at %s has it taken back, and the call is refused',
    async (expires) => {
      const rig = new CredentialRig()
      rig.issuer.answer = { expires }
      rig.issuer.revocations.push(() => Promise.reject(new Error('down')))
      expect((await refusalOf(() => rig.lease()))?.code).toBe('credential.too-wide')
      rig.clock.move(60_000)
      await rig.stage.tick()
      expect(rig.rows().map(({ state }) => state)).toEqual(['expired'])
    },
  )

  it('that gives what has expired is refused', async () => {
    const rig = new CredentialRig()
    rig.issuer.answer = { expires: rig.clock.now() }
    expect((await refusalOf(() => rig.lease()))?.code).toBe('credential.unavailable')
  })
})

describe('a state or ledger that cannot be written', () => {
  it('stops the issuer from being asked', async () => {
    const rig = new CredentialRig()
    rig.state.putLease = () => {
      throw new Error('disk full')
    }
    expect((await refusalOf(() => rig.lease()))?.code).toBe('record.failed')
    expect(rig.issuer.asked).toEqual([])
  })

  it('has what came taken back', async () => {
    const rig = new CredentialRig({ event: () => Promise.reject(new Refusal('record.failed')) })
    expect((await refusalOf(() => rig.lease()))?.code).toBe('record.failed')
    expect(rig.issuer.revoked).toEqual(['canary-handle-1'])
    expect(rig.log.lines.some(({ level }) => level === 'error')).toBe(true)
  })
})

describe('leases that are taken back while their task goes on', () => {
  const why = new Refusal('credential.unavailable', { retry: 'later' })

  it('can be had by no call from the same tick on, and the next call gets a fresh one', async () => {
    const rig = new CredentialRig()
    const first = await rig.lease()
    const done = rig.stage.revokeTask(decisionFor().question.task.row.id, 'obligation', why)
    expect(rig.stage.book.has(first.id)).toBe(false)
    const next = await rig.stage.credential(permitFor())
    expect(next?.id).not.toBe(first.id)
    await done
    expect(rig.row(first.id).state).toBe('revoked')
  })

  it('are not waited for any more: those who did hear why, and a call of the same tick has one of its own', async () => {
    const rig = new CredentialRig()
    rig.issuer.auto = false
    rig.open()
    const waiting = refusalOf(() => rig.stage.credential(permitFor()))
    await settled()
    const done = rig.stage.revokeTask(decisionFor().question.task.row.id, 'obligation', why)
    const fresh = Promise.resolve(rig.stage.credential(permitFor()))
    await settled()
    expect(await waiting).toBe(why)
    expect(rig.issuer.asked).toHaveLength(2)
    rig.issuer.asked[0]?.give()
    rig.issuer.asked[1]?.give()
    const lease = await fresh
    await done
    expect(rig.stage.credential(permitFor())).toBe(lease)
    await settled()
    expect(rig.issuer.revoked).toHaveLength(1)
  })
})

describe('the value of a credential', () => {
  it('is in no event, row, log line, error or inspection', async () => {
    const rig = new CredentialRig()
    const held = await rig.lease()
    rig.issuer.revocations.push(() => Promise.reject(new Error('canary-secret-1 is unknown')))
    await rig.stage.revokeTask(held.id, 'completed')
    await rig.stage.revokeTask('t_01JDZZZZZZZZZZZZZZZZZZZZZZ', 'completed')
    rig.issuer.answer = { excess: 'too long' }
    const refusal = await refusalOf(() => rig.lease())
    const everything = [rig.events, rig.rows(), rig.log.lines, refusal, held, rig.stage, rig.stage.book, rig.state]
    const text = inspect(everything, { depth: 12, showHidden: true }) + JSON.stringify([rig.events, rig.rows(), rig.log.lines, held])
    expect(text).not.toContain('canary')
    expect(held.secret.reveal()).toContain('canary')
  })
})
