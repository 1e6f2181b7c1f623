import { afterEach, describe, expect, it, vi } from 'vitest'
import type { CallNotice } from '../../../src/approve/oblige.ts'
import { Notices } from '../../../src/notify/notices.ts'
import type { NoticeEvent, Notifier } from '../../../src/notify/notifier.ts'
import type { LedgerEvent } from '../../../src/record/record.ts'
import { Refusal } from '../../../src/refusal.ts'

const minute = 60_000
const noticeOf = (change: Partial<CallNotice> = {}): CallNotice => ({
  to: 'ledger',
  message: 'look',
  effect: 'deny',
  decision: 'c_1',
  task: 't_1',
  caller: 'spiffe://acme.example/agent',
  tool: 'mail.send',
  owners: {
    business: 'b@acme.example',
    security: 's@acme.example',
    incident: 'i@acme.example',
    route: 'mail@acme.example',
    credential: null,
  },
  ...change,
})

const open: Notices[] = []
afterEach(async () => {
  for (const notices of open.splice(0)) await notices.close()
})

function rig() {
  const events: LedgerEvent[] = []
  const counted: string[] = []
  const waits: number[] = []
  const time = { now: 1_790_000_000_000, full: false }
  let ids = 0
  const notices = new Notices({
    event: async (event) => {
      if (time.full) throw new Refusal('record.failed')
      events.push(event)
    },
    clock: () => time.now,
    newId: (kind) => `${kind}_${ids++}`,
    source: 'https://countersign.acme.example',
    log: { warn: () => undefined, error: () => undefined },
    count: (name, delivery) => void counted.push(`${name} ${delivery}`),
    wait: async (ms, signal) => {
      waits.push(ms)
      signal.throwIfAborted()
    },
  })
  open.push(notices)
  const times = (): unknown[] => events.map(({ detail }) => [detail['message'], detail['times']])
  return { notices, events, counted, waits, time, times }
}

/** Takes what it is given after so many refusals. */
function inbox(refusals = 0): Notifier & { readonly taken: NoticeEvent[] } {
  const taken: NoticeEvent[] = []
  return {
    type: 'inbox',
    taken,
    deliver: async (event) => {
      if (refusals-- > 0) throw new Error('not now')
      taken.push(event)
    },
  }
}

describe('a notice', () => {
  it('is an event of the ledger that says what it is about', async () => {
    const { notices, events } = rig()
    await notices.notify(noticeOf())
    const detail = {
      to: 'ledger',
      message: 'look',
      effect: 'deny',
      decision: 'c_1',
      tool: 'mail.send',
      owners: noticeOf().owners,
      times: 1,
    }
    expect(events).toEqual([{ kind: 'notification', task: 't_1', caller: 'spiffe://acme.example/agent', by: 'policy', detail }])
  })

  it('that is the same within a minute is counted, and the next line says how often', async () => {
    const { notices, time, times } = rig()
    for (let at = 0; at < 100; at++) await notices.notify(noticeOf({ decision: `c_${at}` }))
    expect(times()).toEqual([['look', 1]])
    time.now += minute
    await notices.notify(noticeOf())
    expect(times()).toEqual([
      ['look', 1],
      ['look', 100],
    ])
  })

  it('that is counted is written down after the minute, also when no other comes, and on closing', async () => {
    const { notices, time, times } = rig()
    for (let at = 0; at < 3; at++) await notices.notify(noticeOf())
    await notices.sum()
    expect(times()).toHaveLength(1)
    time.now += minute
    await notices.sum()
    expect(times()).toEqual([
      ['look', 1],
      ['look', 2],
    ])
    for (let at = 0; at < 5; at++) await notices.notify(noticeOf())
    await notices.close()
    expect(times().slice(2)).toEqual([
      ['look', 1],
      ['look', 4],
    ])
  })

  it('to another, of another task or with another message is another', async () => {
    const { notices, events } = rig()
    for (const change of [{}, { to: 'oncall' }, { task: 't_2' }, { message: 'listen' }]) await notices.notify(noticeOf(change))
    expect(events).toHaveLength(4)
  })

  it('that an agent makes ever different fills nothing: past 32 in a minute the rest is one', async () => {
    const { notices, time, times } = rig()
    for (let at = 0; at < 1000; at++) await notices.notify(noticeOf({ message: `order ${at}` }))
    expect(times()).toHaveLength(33)
    expect(times().at(-1)).toEqual(['more notices of this task than are written one by one', 1])
    time.now += minute
    await notices.sum()
    expect(times().slice(33)).toEqual([['more notices of this task than are written one by one', 967]])
  })

  it('that could not be written is not taken for said', async () => {
    const { notices, time, events } = rig()
    time.full = true
    await expect(notices.notify(noticeOf())).rejects.toMatchObject({ code: 'record.failed' })
    time.full = false
    await notices.notify(noticeOf())
    expect(events).toHaveLength(1)
  })
})

describe('a notifier', () => {
  it('gets a CloudEvent for each line, and nothing that is for another', async () => {
    const { notices, counted, time } = rig()
    const [one, other] = [inbox(), inbox()]
    notices.change(
      new Map([
        ['one', one],
        ['other', other],
      ]),
    )
    await notices.notify(noticeOf({ to: 'one' }))
    await notices.notify(noticeOf({ to: 'ledger' }))
    await notices.close()
    expect(other.taken).toEqual([])
    expect(one.taken).toEqual([
      {
        specversion: '1.0',
        id: 'e_0',
        source: 'https://countersign.acme.example',
        type: 'countersign.notification',
        time: new Date(time.now).toISOString(),
        subject: 't_1',
        datacontenttype: 'application/json',
        data: expect.objectContaining({ to: 'one', message: 'look', decision: 'c_1', task: 't_1', times: 1 }),
      },
    ])
    expect(counted).toEqual(['one delivered'])
  })

  it('is tried again with waits that grow to four seconds, and given up after two minutes', async () => {
    const { notices, counted, waits } = rig()
    const [kind, deaf] = [inbox(2), inbox(1000)]
    notices.change(
      new Map([
        ['kind', kind],
        ['deaf', deaf],
      ]),
    )
    await notices.notify(noticeOf({ to: 'kind' }))
    await vi.waitFor(() => expect(counted).toEqual(['kind delivered']))
    expect(waits).toEqual([1000, 2000])
    await notices.notify(noticeOf({ to: 'deaf' }))
    await vi.waitFor(() => expect(counted).toHaveLength(2))
    expect(waits.slice(2)).toEqual([1000, 2000, ...Array<number>(29).fill(4000)])
    expect(counted[1]).toBe('deaf failed')
  })

  it('that takes nothing holds a thousand, and what comes then is dropped', async () => {
    const { notices, counted } = rig()
    const stuck: Notifier = {
      type: 'stuck',
      deliver: (_, signal) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('aborted')))),
    }
    notices.change(new Map([['stuck', stuck]]))
    for (let at = 0; at < 1005; at++) await notices.notify(noticeOf({ to: 'stuck', task: `t_${at}` }))
    expect(counted).toEqual(Array(5).fill('stuck dropped'))
    notices.change(new Map())
    await vi.waitFor(() => expect(counted).toHaveLength(1005))
    expect(new Set(counted)).toEqual(new Set(['stuck dropped']))
  })

  it('that a reload replaced gets what waits', async () => {
    const { notices } = rig()
    const after = inbox()
    const before: Notifier = {
      type: 'before',
      deliver: async () => {
        notices.change(new Map([['one', after]]))
        throw new Error('not now')
      },
    }
    notices.change(new Map([['one', before]]))
    await notices.notify(noticeOf({ to: 'one' }))
    await vi.waitFor(() => expect(after.taken).toHaveLength(1))
  })
})
