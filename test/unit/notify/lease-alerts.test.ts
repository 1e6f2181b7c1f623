import { describe, expect, it } from 'vitest'
import type { CallNotice } from '../../../src/approve/oblige.ts'
import type { LeaseEvent } from '../../../src/credential/lease-event.ts'
import { LeaseAlerts } from '../../../src/notify/lease-alerts.ts'
import type { LeaseRow } from '../../../src/state/leases.ts'
import { KeptLog, settled, TestClock } from '../../support/identity-rig.ts'

const row = { id: 'l_1', task: 't_1', caller: 'spiffe://acme.example/one', tool: 'crm.customer.read', provider: 'crm' } as LeaseRow

const owners = {
  business: 'b@acme.example',
  security: null,
  incident: 'i@acme.example',
  route: 'r@acme.example',
  credential: 'c@acme.example',
}

function rig(to: readonly string[] = ['pager', 'chat']) {
  const clock = new TestClock()
  const told: CallNotice[] = []
  const log = new KeptLog()
  const fails = { now: false }
  const alerts = new LeaseAlerts({
    notify: async (notice) => {
      if (fails.now) throw new Error('disk full')
      told.push(notice)
    },
    row: (id) => (id === 'unknown' ? null : { ...row, id, provider: id.startsWith('l_other') ? 'other' : 'crm' }),
    to: () => to,
    answering: () => owners,
    clock: clock.now,
    log,
  })
  const event = (kind: LeaseEvent['kind'], id = 'l_1', detail: object = {}): void =>
    alerts.told({ kind, task: 't_1', caller: row.caller, by: 'countersign', detail: { id, ...detail } })
  return { clock, told, log, fails, event }
}

describe('an alert about a lease', () => {
  it.each([
    ['lease.revocation-failed', 'could not be taken back yet: the issuer answered 500'],
    ['lease.revocation-overdue', 'should have been taken back by now: the issuer answered 500'],
    ['lease.orphaned', 'cannot be taken back by anybody: only its expiry ends it: the issuer answered 500'],
  ] as const)('of %s reaches every notifier, with whoever answers for agent, route and credential', (kind, words) => {
    const { event, told } = rig()
    event(kind, 'l_1', { why: 'the issuer answered 500' })
    expect(told).toEqual(
      ['pager', 'chat'].map((to) => ({
        to,
        message: `credential l_1 of provider crm ${words}`,
        effect: 'deny',
        decision: 'l_1',
        task: 't_1',
        caller: row.caller,
        tool: row.tool,
        by: 'countersign',
        owners,
      })),
    )
  })

  it('is none of a lease that ended as it should, or that nobody knows', () => {
    const { event, told } = rig()
    for (const kind of ['lease.issued', 'lease.renewed', 'lease.revoked', 'lease.expired', 'lease.discarded'] as const) event(kind)
    event('lease.orphaned', 'unknown')
    expect(told).toEqual([])
  })

  it('comes once a minute for a provider, however many leases it is about, and says how many', () => {
    const { event, told, clock } = rig(['pager'])
    for (let at = 0; at < 1000; at++) event('lease.revocation-failed', `l_${at}`)
    event('lease.revocation-failed', 'l_other')
    event('lease.revocation-overdue')
    expect(told).toHaveLength(3)
    clock.move(60_000)
    event('lease.revocation-failed', 'l_1001')
    expect(told.at(-1)?.message).toContain('l_1001 of provider crm could not be taken back yet; 999 more of this provider')
    clock.move(-3_600_000)
    event('lease.revocation-failed', 'l_1002')
    expect(told).toHaveLength(5)
  })

  it('that cannot be written is the operator’s matter', async () => {
    const { event, log, fails } = rig(['pager'])
    fails.now = true
    event('lease.orphaned')
    await settled()
    expect(log.lines).toMatchObject([{ level: 'error', members: { lease: 'l_1', notifier: 'pager' } }])
  })
})
