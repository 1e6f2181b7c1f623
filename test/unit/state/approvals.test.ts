import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { ApprovalAnswer, ApprovalRow } from '../../../src/state/approvals.ts'
import { openSqlite, type SqliteState } from '../../../src/state/sqlite.ts'
import { answerOf, grantUntil, sketchApproval, sketchObjective } from '../../support/approvals.ts'
import { agentId, minute, mintOn, noon, otherId, sketchRow } from '../../support/task-rig.ts'

const open = (path = ':memory:'): SqliteState => openSqlite({ path, clock: () => noon })

function approved(state: SqliteState, change: Partial<ApprovalRow> = {}, given: Partial<ApprovalAnswer> = {}): ApprovalRow {
  const { id } = state.approvals.open(sketchApproval(change))
  const row = state.approvals.answer(id, answerOf(given), grantUntil(noon + 15 * minute))
  if (row === null) throw new Error('not answered')
  return row
}

const wanted = { task: 't_1', digest: 'sha256:aa', tool: 'pay.refund' }

describe('an approval', () => {
  it('is opened once for a task and a digest, while it is pending', () => {
    const { approvals } = open()
    const first = approvals.open(sketchApproval())
    expect(approvals.open(sketchApproval({ id: 'a_2' }))).toBe(first)
    expect(approvals.open(sketchApproval({ id: 'a_3', digest: 'sha256:bb' })).id).toBe('a_3')
    expect(approvals.open(sketchApproval({ id: 'a_4', task: 't_2' })).id).toBe('a_4')
    expect(approvals.pending(agentId)).toBe(3)
    approvals.answer(first.id, answerOf(), grantUntil(noon + minute))
    expect(approvals.open(sketchApproval({ id: 'a_5' })).id).toBe('a_5')
    expect(approvals.latest(wanted)?.id).toBe('a_5')
  })

  it('needs its quorum of different people, each once', () => {
    const { approvals } = open()
    approvals.open(sketchApproval({ quorum: 2 }))
    const say = (by: string, more: Partial<ApprovalAnswer> = {}) =>
      approvals.answer('a_1', answerOf({ by, ...more }), grantUntil(noon + minute))?.state
    expect(say('person:ada')).toBe('pending')
    expect(say('person:ada')).toBeUndefined()
    expect(say('person:ben')).toBe('approved')
    expect(say('person:eve')).toBeUndefined()
  })

  it('takes all who use the local key for one person', () => {
    const { approvals } = open()
    approvals.open(sketchApproval({ quorum: 2 }))
    const say = (by: string, method: ApprovalAnswer['method']) =>
      approvals.answer('a_1', answerOf({ by, method }), grantUntil(noon + minute))?.state
    expect(say('person:ada', 'local-key')).toBe('pending')
    expect(say('person:ben', 'local-key')).toBe('pending')
    expect(say('person:eve', 'oidc')).toBe('approved')
  })

  it('is closed by one who declines, and granted by one who breaks the glass', () => {
    const { approvals } = open()
    approvals.open(sketchApproval({ quorum: 3 }))
    expect(approvals.answer('a_1', answerOf({ verdict: 'decline' }), grantUntil(noon))).toMatchObject({ state: 'declined', granted: null })
    approvals.open(sketchApproval({ id: 'a_2', quorum: 3 }))
    expect(approvals.answer('a_2', answerOf({ breakGlass: true }), grantUntil(noon + minute))?.state).toBe('approved')
  })

  it('covers its action alone, or the tools of its objective, in its time', () => {
    const { approvals } = open()
    approvals.open(sketchApproval())
    expect(approvals.usable(wanted, noon)).toEqual([])
    approvals.answer('a_1', answerOf(), grantUntil(noon + minute))
    const ids = (change: Partial<typeof wanted>, now = noon) => approvals.usable({ ...wanted, ...change }, now).map(({ id }) => id)
    expect(ids({})).toEqual(['a_1'])
    expect([ids({ digest: 'sha256:bb' }), ids({ task: 't_2' }), ids({}, noon + minute)]).toEqual([[], [], []])
    approvals.open(sketchApproval({ id: 'a_2', digest: 'sha256:cc' }))
    approvals.answer('a_2', answerOf(), { expires: noon + minute, objective: sketchObjective({ tools: ['pay.*'], until: noon + 1000 }) })
    expect(ids({})).toEqual(['a_1', 'a_2'])
    expect([ids({ tool: 'pay.void', digest: 'x' }), ids({ tool: 'mail.send', digest: 'x' })]).toEqual([['a_2'], []])
    expect(ids({ digest: 'x' }, noon + 1000)).toEqual([])
  })

  it('is closed by time and by people, and by people also after it was used; what was shown of the body goes then', () => {
    const state = open()
    const closed = { at: noon, by: 'clock', reason: 'late' }
    const { id } = approved(state)
    expect(state.approvals.overdue(noon + 15 * minute).map((row) => row.id)).toEqual([id])
    expect(state.approvals.approval(id)?.shown.body).toBe('{"amount":180}')
    expect(state.approvals.redeem(id, noon)).toBe(true)
    expect(state.approvals.close(id, 'expired', closed)).toBeNull()
    expect(state.approvals.close(id, 'withdrawn', closed)).toMatchObject({ state: 'withdrawn', shown: { body: null } })
    expect(state.approvals.close(id, 'withdrawn', closed)).toBeNull()
    expect(state.approvals.close('a_none', 'withdrawn', closed)).toBeNull()
    expect(state.approvals.overdue(noon + 15 * minute)).toEqual([])
  })

  it('is listed newest first, by task and state', () => {
    const state = open()
    approved(state)
    state.approvals.open(sketchApproval({ id: 'a_2', task: 't_2' }))
    state.approvals.redeem('a_1', noon)
    const ids = (filter: Parameters<typeof state.approvals.approvals>[0]) => state.approvals.approvals(filter).map(({ id }) => id)
    expect(ids({})).toEqual(['a_2', 'a_1'])
    expect([ids({ task: 't_1' }), ids({ states: ['pending'] }), ids({ states: ['redeemed'] }), ids({ limit: 1 })]).toEqual([
      ['a_1'],
      ['a_2'],
      ['a_1'],
      ['a_2'],
    ])
    state.flush()
    expect(ids({ states: ['redeemed'] })).toEqual(['a_1'])
  })
})

describe('using an approval', () => {
  it('succeeds exactly once in each of 10,000 races', () => {
    const state = open()
    const tasks = Array.from({ length: 100 }, (_, at) => sketchRow({ id: `t_${at}`, intent: { ...sketchRow().intent, budget: {} } }))
    for (const row of tasks) state.openTask(row)
    let won = 0
    let lost = 0
    for (let race = 0; race < 10_000; race++) {
      const row = tasks[race % tasks.length] ?? sketchRow()
      const { id } = approved(state, { id: `a_${race}`, task: row.id, digest: `sha256:${race}` })
      // each judged before any was minted, and again on fresh facts when it lost those
      for (const first of [
        mintOn(state, row, noon, { approval: id }),
        mintOn(state, row, noon, { approval: id }),
        mintOn(state, row, noon, { approval: id }),
      ]) {
        let answer = state.mint(first)
        if (!answer.minted && answer.why === 'stale') answer = state.mint(mintOn(state, row, noon, { approval: id }))
        if (answer.minted) won++
        else if (answer.why === 'approval') lost++
      }
      if (race % 500 === 0) state.flush()
    }
    expect([won, lost]).toEqual([10_000, 20_000])
    const spent = tasks.reduce((sum, row) => sum + (state.facts(row.id, row.caller).task.spent['calls'] ?? 0), 0)
    expect(spent).toBe(10_000)
  })

  it('succeeds as often as its objective says', () => {
    const state = open()
    state.openTask(sketchRow({ id: 't_1' }))
    state.approvals.open(sketchApproval())
    state.approvals.answer('a_1', answerOf(), { expires: noon + minute, objective: sketchObjective({ calls: 3 }) })
    const row = { id: 't_1', caller: agentId }
    const minted = Array.from({ length: 5 }, () => state.mint(mintOn(state, row, noon, { approval: 'a_1' })).minted)
    expect(minted).toEqual([true, true, true, false, false])
    expect(state.approvals.approval('a_1')).toMatchObject({ state: 'redeemed', used: 3 })
  })

  it('is refused for another task, spends nothing, and is not undone by a limit that the call does not pass', () => {
    const state = open()
    for (const id of ['t_1', 't_2']) state.openTask(sketchRow({ id }))
    approved(state)
    expect(state.mint(mintOn(state, { id: 't_2', caller: agentId }, noon, { approval: 'a_1' }))).toMatchObject({ why: 'approval' })
    expect(state.facts('t_2', agentId).task.spent).toEqual({})
    const limits = [{ key: 'k', scope: 'all', calls: 1, per: minute } as const]
    const row = { id: 't_1', caller: agentId }
    expect(state.mint(mintOn(state, row, noon, { limits })).minted).toBe(true)
    expect(state.mint(mintOn(state, row, noon, { limits, approval: 'a_1' }))).toMatchObject({ why: 'decide.rate-limited' })
    expect(state.approvals.approval('a_1')?.state).toBe('approved')
  })

  it('that is about a task is used once, names the task that it opened, and is written when it is used', () => {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-approvals-'))
    try {
      const path = join(folder, 'state.db')
      const state = open(path)
      state.approvals.open(sketchApproval({ matter: 'task-open', task: null, state: 'approved', granted: noon, digest: 'sha256:cc' }))
      const asked = { task: null, digest: 'sha256:cc', tool: null }
      expect(state.approvals.usable(asked, noon)).toHaveLength(1)
      expect(state.approvals.usable({ ...asked, digest: 'sha256:dd' }, noon)).toEqual([])
      expect(state.approvals.redeemable('a_1', { task: 't_1', caller: agentId }, noon)).toBe(false)
      expect(state.approvals.spend('a_1', noon + 16 * minute, 't_9')).toBeNull()
      expect(state.approvals.spend('a_1', noon, 't_9')).toMatchObject({ state: 'redeemed', used: 1, opens: 't_9' })
      expect(state.approvals.spend('a_1', noon, 't_8')).toBeNull()
      // as after a crash: nothing was flushed
      copyFileSync(path, join(folder, 'crashed.db'))
      copyFileSync(`${path}-wal`, join(folder, 'crashed.db-wal'))
      const crashed = open(join(folder, 'crashed.db'))
      expect(crashed.approvals.latest(asked)).toMatchObject({ state: 'redeemed', opens: 't_9' })
      crashed.close()
      state.close()
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  it('for every task of a caller covers no task of another, and no task that is to be opened', () => {
    const state = open()
    for (const [id, caller] of [
      ['t_1', agentId],
      ['t_2', otherId],
    ] as const)
      state.openTask(sketchRow({ id, caller }))
    state.approvals.open(
      sketchApproval({ task: null, state: 'approved', granted: noon, digest: '', objective: sketchObjective({ calls: 1 }) }),
    )
    const of = (task: string, caller: string) => state.approvals.usable({ ...wanted, task, caller }, noon)
    expect(of('t_1', agentId)).toHaveLength(1)
    expect(of('t_2', otherId)).toEqual([])
    expect(state.approvals.usable({ task: null, caller: agentId, digest: '', tool: null }, noon)).toEqual([])
    expect(state.mint(mintOn(state, { id: 't_2', caller: otherId }, noon, { approval: 'a_1' }))).toMatchObject({ why: 'approval' })
    expect(state.mint(mintOn(state, { id: 't_1', caller: agentId }, noon, { approval: 'a_1' })).minted).toBe(true)
    expect(of('t_1', agentId)).toEqual([])
  })

  it('of a state file from before tasks were asked about is one about a call, in the order it was asked', () => {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-approvals-'))
    try {
      const path = join(folder, 'state.db')
      open(path).close()
      const db = new DatabaseSync(path)
      db.exec('DROP TABLE approvals; DROP TABLE counted; PRAGMA user_version = 4')
      db.exec(
        'CREATE TABLE approvals (id TEXT PRIMARY KEY, task TEXT NOT NULL, state TEXT NOT NULL, expires INTEGER NOT NULL, row TEXT NOT NULL)',
      )
      for (const id of ['a_2', 'a_1']) {
        const { matter: _none, ...row } = sketchApproval({ id, state: id === 'a_1' ? 'pending' : 'declined' })
        db.prepare('INSERT INTO approvals VALUES (?, ?, ?, ?, ?)').run(id, 't_1', row.state, row.expires, JSON.stringify(row))
      }
      db.close()
      const state = open(path)
      expect(state.approvals.approvals({ task: 't_1' }).map(({ id, matter }) => [id, matter])).toEqual([
        ['a_1', 'call'],
        ['a_2', 'call'],
      ])
      expect(state.approvals.latest(wanted)?.id).toBe('a_1')
      expect(state.approvals.pending(agentId)).toBe(1)
      state.close()
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  it('outlives the process once it is flushed, and so does what is open', () => {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-approvals-'))
    try {
      const path = join(folder, 'state.db')
      let state = open(path)
      approved(state)
      state.approvals.open(sketchApproval({ id: 'a_2', digest: 'sha256:bb' }))
      state.close()
      state = open(path)
      expect(state.approvals.pending(agentId)).toBe(1)
      expect(state.approvals.usable(wanted, noon)).toHaveLength(1)
      state.approvals.redeem('a_1', noon)
      expect(state.approvals.redeem('a_1', noon)).toBe(false)
      state.flush()
      state.close()
      state = open(path)
      expect(state.approvals.usable(wanted, noon)).toEqual([])
      expect(state.approvals.approval('a_1')).toMatchObject({ state: 'redeemed', used: 1, shown: { body: null } })
      state.close()
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
