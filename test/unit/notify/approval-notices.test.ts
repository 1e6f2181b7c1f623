import { describe, expect, it } from 'vitest'
import type { ApprovalNotice, Channel } from '../../../src/approve/channel.ts'
import { ApprovalNotices, type Telling } from '../../../src/notify/approval-notices.ts'
import type { ApprovalAnswer, ApprovalRow } from '../../../src/state/approvals.ts'
import { shown } from '../../support/asked.ts'

const minute = 60_000
const first: ApprovalRow = {
  id: 'a_1',
  state: 'pending',
  matter: 'call',
  task: 't_1',
  caller: shown.caller,
  call: 'c_1',
  digest: 'd',
  tool: shown.tool,
  route: shown.route,
  shown,
  approvers: [],
  quorum: 2,
  single: false,
  excluded: [],
  revision: 'r1',
  opened: 0,
  expires: 60 * minute,
  objective: null,
  used: 0,
  answers: [],
  granted: null,
  closed: null,
}
const yes = (by: string, more: Partial<ApprovalAnswer> = {}): ApprovalAnswer => ({
  by,
  method: 'oidc',
  groups: [],
  verdict: 'approve',
  reason: 'x',
  at: 0,
  breakGlass: false,
  objective: null,
  ...more,
})

function rig(options: { readonly pending?: readonly ApprovalRow[]; readonly fail?: () => boolean } = {}) {
  const told: { readonly channel: string; readonly notice: ApprovalNotice }[] = []
  const counted: string[] = []
  const logged: string[] = []
  const events: object[] = []
  const clock = { now: 0 }
  let change: (row: ApprovalRow) => void = () => {}
  const log = {
    warn: (_: object, message: string) => void logged.push(message),
    error: (_: object, message: string) => void logged.push(message),
  }
  const notices = new ApprovalNotices({
    approvals: {
      list: () => options.pending ?? [],
      watch: (listener) => {
        change = listener
        return () => (change = () => {})
      },
    },
    event: async (event) => void events.push(event),
    clock: () => clock.now,
    log,
    count: (name, delivery) => void counted.push(`${name} ${delivery}`),
    wait: async () => {},
  })
  const channel = (name: string): Channel => ({
    type: 'webhook',
    name,
    chat: null,
    deliver: async (notice) => {
      if (options.fail?.() === true) throw new Error('it answered 500')
      told.push({
        channel: name,
        notice,
      })
    },
  })
  const telling = (names: readonly string[], escalate: Telling['escalate'] = null): Telling => ({
    channels: new Map(names.map((name) => [name, channel(name)])),
    escalate,
    publicUrl: 'https://countersign.acme.example',
  })
  const said = (): string[] => told.map(({ channel: name, notice: { kind } }) => `${name} ${kind}`)
  return { notices, told, counted, logged, events, clock, telling, said, change: (row: ApprovalRow) => change(row) }
}

describe('notices of approvals', () => {
  it('tell every channel what is asked, answered and over, once each, with a link that holds the id alone', async () => {
    const { notices, telling, change, said, told } = rig()
    await notices.change(telling(['a', 'b']))
    change(first)
    change(first)
    change({ ...first, answers: [yes('person:x')] })
    change({ ...first, state: 'approved', answers: [yes('person:x'), yes('person:y')], granted: 1 })
    change({ ...first, state: 'withdrawn', answers: [yes('person:x'), yes('person:y')], granted: 1 })
    await notices.close()
    const once = ['asked', 'answered', 'answered', 'closed']
    expect(said().toSorted()).toEqual([...once.map((kind) => `a ${kind}`), ...once.map((kind) => `b ${kind}`)].toSorted())
    expect(new Set(told.filter(({ channel }) => channel === 'a').map(({ notice: { id } }) => id)).size).toBe(4)
    expect(told[0]?.notice.link).toBe('https://countersign.acme.example/approvals/a_1')
  })

  it('name the incident owner when nobody answers, once, on the channel that is for it, and again after an answer that was not enough', async () => {
    const { notices, telling, change, said, told, clock, events } = rig()
    await notices.change(telling(['a', 'pager'], { after: 10 * minute, to: 'pager' }))
    change(first)
    clock.now = 10 * minute - 1
    notices.sweep()
    expect(events).toEqual([])
    clock.now = 10 * minute
    notices.sweep()
    notices.sweep()
    expect(events).toMatchObject([
      { kind: 'approval.escalated', by: 'clock', detail: { approval: 'a_1', owner: shown.owners['incident'], channel: 'pager' } },
    ])
    change({ ...first, answers: [yes('person:x', { at: 11 * minute })] })
    clock.now = 21 * minute
    notices.sweep()
    expect(events).toHaveLength(2)
    change({ ...first, state: 'declined', answers: [yes('person:x', { at: 11 * minute }), yes('person:y', { verdict: 'decline' })] })
    clock.now = 60 * minute
    notices.sweep()
    expect(events).toHaveLength(2)
    await notices.close()
    expect(said().filter((one) => one.endsWith('escalated'))).toEqual(['pager escalated', 'pager escalated'])
    expect(told.find(({ notice }) => notice.kind === 'escalated')?.notice.owner).toBe(shown.owners['incident'])
  })

  it('are loud about a broken glass: every channel, the owner by name, the log', async () => {
    const { notices, telling, change, said, told, logged } = rig()
    await notices.change(telling(['a', 'b'], { after: minute, to: 'b' }))
    change(first)
    change({ ...first, state: 'approved', answers: [yes('person:x', { breakGlass: true })], granted: 1 })
    await notices.close()
    expect(said()).toEqual(expect.arrayContaining(['a break-glass', 'b break-glass']))
    expect(told.find(({ notice }) => notice.kind === 'break-glass')?.notice.owner).toBe(shown.owners['incident'])
    expect(logged).toEqual(['a person broke the glass'])
  })

  it('tell again what an earlier process left pending, under the same id', async () => {
    const { notices, telling, told } = rig({ pending: [first] })
    await notices.change(telling(['a']))
    await notices.change(telling(['a']))
    await notices.close()
    expect(told.map(({ notice: { id } }) => id)).toEqual(['a_1.asked.0'])
  })

  it('are tried again while a receiver is down, and given up in the log and in the numbers, never silently', async () => {
    let down = 3
    const some = rig({ fail: () => down-- > 0 })
    await some.notices.change(some.telling(['a']))
    some.change(first)
    await some.notices.close()
    expect([some.said(), some.counted]).toEqual([['a asked'], ['approve.a delivered']])
    const none = rig({ fail: () => true })
    await none.notices.change(none.telling(['a']))
    none.change(first)
    await none.notices.close()
    expect(none.counted).toEqual(['approve.a failed'])
    expect(none.logged.some((line) => line.includes('a notice was not handed on'))).toBe(true)
  })
})
