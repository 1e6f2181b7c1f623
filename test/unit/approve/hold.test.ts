import { describe, expect, it } from 'vitest'
import { Holds } from '../../../src/approve/hold.ts'
import { ClientGone } from '../../../src/listen/call.ts'
import { Refusal } from '../../../src/refusal.ts'
import type { ApprovalRow } from '../../../src/state/approvals.ts'
import { sketchApproval } from '../../support/approvals.ts'

function rig(most = 2) {
  const rows = new Map<string, ApprovalRow>([['a_1', sketchApproval()]])
  const listeners = new Set<(row: ApprovalRow) => void>()
  const watch = (listener: (row: ApprovalRow) => void) => {
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }
  const holds = new Holds({ watch, read: (id) => rows.get(id) ?? null, most: () => most })
  const abort = new AbortController()
  let calls = 0
  const wait = (change: { caller?: string; approval?: string; wait?: number } = {}) =>
    holds.wait({ call: { id: `c_${++calls}`, signal: abort.signal }, caller: 'spiffe://a', approval: 'a_1', wait: 60_000, ...change })
  const becomes = (state: ApprovalRow['state']) => {
    const row = sketchApproval({ state })
    rows.set(row.id, row)
    for (const listener of listeners) listener(row)
  }
  return { holds, abort, wait, becomes, listeners }
}

describe('a held call', () => {
  it('is woken by the answer, however many wait for it, and also by one that came before', async () => {
    const { holds, wait, becomes } = rig()
    const both = [wait(), wait()]
    becomes('pending')
    expect(holds.size).toBe(2)
    becomes('approved')
    expect((await Promise.all(both)).map((row) => row?.state)).toEqual(['approved', 'approved'])
    expect((await wait())?.state).toBe('approved')
    expect(await wait({ approval: 'a_none' })).toBeNull()
    expect(holds.size).toBe(0)
  })

  it('gives up after its time', async () => {
    const { holds, wait } = rig()
    expect(await wait({ wait: 1 })).toBeNull()
    expect(await wait({ wait: 0 })).toBeNull()
    expect(holds.size).toBe(0)
  })

  it('ends at once with whatever cuts it', async () => {
    const { abort, wait, holds } = rig()
    const held = wait()
    abort.abort(new Refusal('task.ended'))
    await expect(held).rejects.toMatchObject({ code: 'task.ended' })
    await expect(wait()).rejects.toMatchObject({ code: 'task.ended' })
    expect(holds.size).toBe(0)
    const other = rig()
    const gone = other.wait()
    other.abort.abort(new ClientGone())
    await expect(gone).rejects.toMatchObject({ code: 'listen.malformed' })
  })

  it('is one of a few of its caller; the next is answered at once', async () => {
    const { wait, becomes, holds } = rig()
    const held = [wait(), wait(), wait({ caller: 'spiffe://b' })]
    expect(await wait()).toBeNull()
    expect(holds.size).toBe(3)
    becomes('declined')
    await Promise.all(held)
  })

  it('is let go when Countersign shuts down, and none is held after', async () => {
    const { holds, wait, listeners } = rig()
    const held = wait()
    holds.close()
    expect(await held).toBeNull()
    expect(await wait()).toBeNull()
    expect(listeners.size).toBe(0)
  })
})
