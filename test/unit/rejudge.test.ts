import { describe, expect, test } from 'vitest'
import type { Continuation, OpenLease, OpenStream } from '../../src/decide/continue.ts'
import { noDuties } from '../../src/decide/duties.ts'
import type { Place } from '../../src/match/again.ts'
import type { LedgerEvent } from '../../src/record/record.ts'
import { Refusal } from '../../src/refusal.ts'
import { makeRejudge, type RejudgeOptions } from '../../src/rejudge.ts'
import { Revoke, type OpenWork } from '../../src/revoke.ts'
import type { LeaseRow } from '../../src/state/leases.ts'
import type { TaskRow } from '../../src/state/state.ts'
import type { Standing } from '../../src/verdict.ts'
import { sketchDecision } from '../support/decision.ts'
import { quietLog } from '../support/policy-rig.ts'
import {
  sketchAgent,
  sketchCall,
  sketchCaller,
  sketchFacts,
  sketchLeaseRow,
  sketchQuestion,
  sketchRow,
  sketchTarget,
} from '../support/question.ts'

const caller = 'spiffe://acme.example/agent'
const other = 'spiffe://acme.example/other'
const goesOn: Continuation = { goesOn: true, reasons: [], duties: noDuties, revision: 'r2' }
const ends: Continuation = {
  goesOn: false,
  duties: noDuties,
  revision: 'r2',
  reasons: [
    { rule: 'a.rule', severity: 'high', effect: 'deny', observable: false, controls: [], message_agent: 'not any more', detail: {} },
    { rule: 'b.rule', severity: 'high', effect: 'deny', observable: false, controls: [], message_agent: 'not any more', detail: {} },
  ],
}

/** A house of plain fakes: `judged` are the ids of what was judged, `cut` and `taken` what was ended and why. */
class Rig {
  readonly revoke = new Revoke(async () => undefined)
  readonly judged: string[] = []
  readonly asked: (OpenStream | OpenLease)[] = []
  readonly cut = new Map<string, Refusal>()
  readonly taken: unknown[] = []
  readonly fulfilled: unknown[] = []
  readonly events: LedgerEvent[] = []
  readonly log = quietLog()
  readonly rows = new Map<string, TaskRow>()
  leases: LeaseRow[] = []
  revision = 'r2'
  agent: ReturnType<Standing['agent']> = sketchAgent()
  place: (id: string) => Place | null = () => sketchTarget()
  judge: (id: string) => Continuation = () => goesOn
  laid = true
  stopped: Refusal | null = null

  readonly standing: Standing = {
    judge: (asked) => {
      const id = asked.kind === 'stream' ? asked.call.id : asked.row.id
      this.judged.push(id)
      this.asked.push(asked)
      return this.judge(id)
    },
    agent: () => this.agent,
    fulfil: ({ call, caller: who, task, target }, effect, duties) => {
      if (duties !== noDuties) this.fulfilled.push([call.id, who.id, task.row.id, target.tool.name, effect, duties])
    },
    again: { call: ({ id }) => this.place(id), lease: ({ provider }) => this.place(provider), route: () => null },
  }

  readonly options: RejudgeOptions = {
    revoke: this.revoke,
    standing: () => (this.laid ? this.standing : null),
    revision: () => this.revision,
    task: (id) => this.rows.get(id) ?? null,
    ancestors: () => [],
    facts: () => sketchFacts(),
    stopped: { call: () => this.stopped, lease: () => this.stopped },
    clock: () => 1_790_000_000_000,
    tasksOf: (id) => [...this.rows.values()].filter((row) => row.caller === id).map((row) => row.id),
    leases: (tasks) => this.leases.filter(({ task }) => tasks === undefined || tasks.includes(task)),
    isOut: (id) => this.leases.some((row) => row.id === id),
    takeBack: async (id, cause, why) => {
      this.taken.push([id, cause, why])
      this.leases = this.leases.filter((row) => row.id !== id)
    },
    event: async (event) => void this.events.push(event),
    log: this.log,
  }

  /** Opens a call of a task; its id is its name. */
  open(id: string, task = 't_1', of = caller): OpenWork {
    const row = sketchRow({ id: task, caller: of })
    this.rows.set(task, row)
    const call = { ...sketchCall(), id, cut: (reason: Refusal) => void this.cut.set(id, reason) }
    const question = sketchQuestion({ call, caller: sketchCaller({ id: of }), task: { row, agent: sketchAgent() } })
    const work = sketchDecision(question, { revision: 'r1' })
    this.revoke.open(work)
    return work
  }

  lend(id: string, task = 't_1', of = caller): void {
    if (!this.rows.has(task)) this.rows.set(task, sketchRow({ id: task, caller: of }))
    this.leases.push(sketchLeaseRow({ id, task, caller: of }))
  }
}

describe('a change of policy', () => {
  test('has everything judged that is open, streams before leases, and ends nothing that still may', async () => {
    const rig = new Rig()
    rig.lend('l_1')
    rig.open('c_1')
    rig.open('c_2', 't_2', other)
    expect(await makeRejudge(rig.options)({ cause: 'policy' })).toEqual({ streams: { kept: 2, cut: 0 }, leases: { kept: 1, revoked: 0 } })
    expect(rig.judged).toEqual(['c_1', 'c_2', 'l_1'])
    expect(rig.cut.size).toBe(0)
    expect(rig.taken).toEqual([])
    const detail = { cause: 'policy', revision: 'r2', streams: { kept: 2, cut: 0 }, leases: { kept: 1, revoked: 0 } }
    expect(rig.events).toEqual([{ kind: 'work.rejudged', by: 'countersign', detail }])
  })

  test('cuts and takes back what it refuses, and says which rules and which policy did', async () => {
    const rig = new Rig()
    rig.open('c_1')
    rig.open('c_2')
    rig.lend('l_1')
    rig.lend('l_2')
    rig.judge = (id) => (id.endsWith('1') ? ends : goesOn)
    const counts = { streams: { kept: 1, cut: 1 }, leases: { kept: 1, revoked: 1 } }
    expect(await makeRejudge(rig.options)({ cause: 'policy' })).toEqual(counts)
    const detail = 'a.rule b.rule (judged again by policy r2: policy)'
    expect([...rig.cut]).toEqual([['c_1', expect.objectContaining({ code: 'decide.denied', reasons: ['not any more'], detail })]])
    expect(rig.taken).toEqual([['l_1', 'policy', { judged: { revision: 'r2', code: 'decide.denied', detail } }]])
  })

  test('does what policy obliges to, whatever it says of the work', async () => {
    const rig = new Rig()
    rig.open('c_1')
    rig.lend('l_1')
    const duties = { ...noDuties, revokeLeases: true, notices: [{ to: 'soc', message: 'look' }] }
    rig.judge = (id) => ({ ...(id === 'c_1' ? goesOn : ends), duties })
    await makeRejudge(rig.options)({ cause: 'policy' })
    expect(rig.fulfilled).toEqual([
      ['c_1', caller, 't_1', 'crm.customer.read', 'allow', duties],
      ['l_1', caller, 't_1', 'crm.customer.read', 'deny', duties],
    ])
  })

  test('shows policy what it is about: as it was permitted, and as it is now', async () => {
    const rig = new Rig()
    rig.open('c_1')
    rig.rows.set('t_1', sketchRow({ id: 't_1', caller, state: 'paused' }))
    rig.agent = sketchAgent({ autonomy: 'supervised' })
    rig.lend('l_1')
    await makeRejudge(rig.options)({ cause: 'configuration' })
    const task = { row: { state: 'paused' }, agent: { autonomy: 'supervised' } }
    expect(rig.asked).toMatchObject([
      { kind: 'stream', cause: 'configuration', task, since: 1_790_000_000_000, revision: 'r1', sending: false },
      { kind: 'lease', cause: 'configuration', task, caller: { id: caller, trustDomain: 'acme.example' }, revision: 'r1' },
    ])
  })

  test('says nothing when nothing is open, and judges nothing before there is a policy', async () => {
    const rig = new Rig()
    const none = { streams: { kept: 0, cut: 0 }, leases: { kept: 0, revoked: 0 } }
    expect(await makeRejudge(rig.options)({ cause: 'policy' })).toEqual(none)
    rig.laid = false
    rig.open('c_1')
    expect(await makeRejudge(rig.options)({ cause: 'policy' })).toEqual(none)
    expect(rig.events).toEqual([])
  })
})

describe('what cannot be judged ends:', () => {
  test.each<readonly [string, string, (rig: Rig) => void]>([
    ['an engine that fails', 'decide.unavailable', (rig) => (rig.judge = () => throws(new Refusal('decide.unavailable')))],
    ['a bug', 'internal', (rig) => (rig.judge = () => throws(new TypeError('x')))],
    ['a task that ended', 'task.ended', (rig) => rig.rows.set('t_1', sketchRow({ ended: { at: 1, cause: 'x', by: 'clock' } }))],
    ['a task that is gone', 'task.ended', (rig) => rig.rows.delete('t_1')],
    ['an agent that is registered no more', 'task.agent-not-live', (rig) => (rig.agent = null)],
    ['an agent that is suspended', 'task.agent-not-live', (rig) => (rig.agent = sketchAgent({ lifecycle: 'suspended' }))],
    ['a route that is gone', 'match.unroutable', (rig) => (rig.place = () => null)],
  ])('%s', async (_what, code, change) => {
    const rig = new Rig()
    rig.open('c_1')
    rig.lend('l_1')
    change(rig)
    const counts = await makeRejudge(rig.options)({ cause: 'configuration' })
    expect(counts).toEqual({ streams: { kept: 0, cut: 1 }, leases: { kept: 0, revoked: 1 } })
    expect(rig.cut.get('c_1')?.code).toBe(code)
    expect(rig.taken).toEqual([['l_1', 'configuration', { judged: expect.objectContaining({ code }) }]])
  })

  test('and the others are judged all the same', async () => {
    const rig = new Rig()
    for (const id of ['c_1', 'c_2', 'c_3']) rig.open(id)
    rig.judge = (id) => (id === 'c_2' ? throws(new Error('only this one')) : goesOn)
    expect((await makeRejudge(rig.options)({ cause: 'policy' })).streams).toEqual({ kept: 2, cut: 1 })
    expect([...rig.cut.keys()]).toEqual(['c_2'])
  })

  test('nor does one that cannot be cut, taken back or told keep the others open', async () => {
    const rig = new Rig()
    const first = rig.open('c_1')
    first.question.call.cut = () => throws(new Error('cannot be cut'))
    rig.open('c_2')
    rig.lend('l_1')
    rig.judge = () => ends
    const takeBack = (): Promise<never> => Promise.reject(new Error('no state'))
    const event = (): Promise<never> => Promise.reject(new Refusal('record.failed'))
    await makeRejudge({ ...rig.options, takeBack, event })({ cause: 'policy' })
    expect([...rig.cut.keys()]).toEqual(['c_2'])
    expect(rig.log.lines.map(({ message }) => message)).toEqual([
      'open work could not be ended',
      'a lease that policy refused could not be taken back',
      'a judgement on open work could not be written to the ledger',
    ])
  })
})

describe('a change that concerns one caller', () => {
  test('is judged at once, on what that caller has open, but for the call that made it', async () => {
    const rig = new Rig()
    rig.open('c_1', 't_1')
    rig.open('c_2', 't_2')
    const reading = rig.open('c_3', 't_2')
    rig.open('c_4', 't_3', other)
    rig.lend('l_1', 't_1')
    rig.lend('l_2', 't_3', other)
    rig.judge = () => ends
    const run = makeRejudge(rig.options)({ cause: 'sensitivity', caller, except: reading })
    expect([...rig.cut.keys()]).toEqual(['c_1', 'c_2'])
    expect(await run).toEqual({ streams: { kept: 0, cut: 2 }, leases: { kept: 0, revoked: 1 } })
    expect(rig.events).toEqual([expect.objectContaining({ kind: 'work.rejudged', caller })])
    expect(rig.events[0]?.task).toBeUndefined()
  })

  test('may concern one task of it only', async () => {
    const rig = new Rig()
    rig.open('c_1', 't_1')
    rig.open('c_2', 't_2')
    rig.lend('l_1', 't_1')
    rig.lend('l_2', 't_2')
    await makeRejudge(rig.options)({ cause: 'pause', caller, task: 't_1' })
    expect(rig.judged).toEqual(['c_1', 'l_1'])
    expect(rig.events).toEqual([expect.objectContaining({ task: 't_1', caller })])
  })
})

describe('much that is open', () => {
  /** Each judgement fills a turn. */
  const slow = (rig: Rig): RejudgeOptions => ({ ...rig.options, turn: 0 })

  test('is judged turn by turn, so that other work goes on in between, and what closed meanwhile is let be', async () => {
    const rig = new Rig()
    const works = Array.from({ length: 5 }, (_, at) => rig.open(`c_${at}`))
    rig.judge = (id) => {
      if (id === 'c_1') setImmediate(() => rig.revoke.close(works[3]?.question.call ?? sketchCall()))
      return goesOn
    }
    const run = makeRejudge(slow(rig))({ cause: 'policy' })
    expect(rig.judged).toEqual(['c_0'])
    expect((await run).streams).toEqual({ kept: 4, cut: 0 })
    expect(rig.judged).toEqual(['c_0', 'c_1', 'c_2', 'c_4'])
  })

  test('is judged once more when all of it changed meanwhile, however often, and each piece by the newest policy', async () => {
    const rig = new Rig()
    for (let at = 0; at < 3; at++) rig.open(`c_${at}`)
    const rejudge = makeRejudge(slow(rig))
    const first = rejudge({ cause: 'policy' })
    const [second, third] = [rejudge({ cause: 'policy' }), rejudge({ cause: 'configuration' })]
    expect(third).toBe(second)
    rig.revision = 'r3'
    await Promise.all([first, second, third])
    expect(rig.judged).toEqual(['c_0', 'c_1', 'c_2', 'c_0', 'c_1', 'c_2'])
    expect(rig.events.map(({ detail }) => [detail['cause'], detail['revision']])).toEqual([
      ['policy', 'r3'],
      ['configuration', 'r3'],
    ])
    await rejudge({ cause: 'policy' })
    expect(rig.judged).toHaveLength(9)
  })

  test('does not keep one caller waiting', async () => {
    const rig = new Rig()
    for (let at = 0; at < 3; at++) rig.open(`c_${at}`)
    const mine = rig.open('c_mine', 't_9', other)
    const rejudge = makeRejudge(slow(rig))
    const all = rejudge({ cause: 'policy' })
    const run = rejudge({ cause: 'sensitivity', caller: other })
    expect(rig.judged).toEqual(['c_0', 'c_mine'])
    rig.revoke.close(mine.question.call)
    await Promise.all([all, run])
  })
})

function throws(error: Error): never {
  throw error
}
