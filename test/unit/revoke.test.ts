import { describe, expect, test } from 'vitest'
import { Revoke, type OpenWork } from '../../src/revoke.ts'

function rig() {
  const happened: string[] = []
  const revoke = new Revoke(async (task, cause) => void happened.push(`leases of ${task}: ${cause}`))
  const work = (task: string, name: string): OpenWork => ({
    task,
    caller: 'spiffe://acme.example/agent',
    agent: 'spiffe://acme.example/agent',
    tool: 'a.b',
    route: 'a',
    cut: (reason) => happened.push(`cut ${name}: ${reason.code}`),
  })
  return { happened, revoke, work }
}

describe('the register of open work', () => {
  test('when a task ends its calls are cut before its leases are taken back, and no other task is touched', async () => {
    const { happened, revoke, work } = rig()
    revoke.open({}, work('t_1', 'one'))
    revoke.open({}, work('t_1', 'two'))
    revoke.open({}, work('t_2', 'other'))
    await revoke.taskEnded('t_1', 'completed')
    expect(happened).toEqual(['cut one: task.ended', 'cut two: task.ended', 'leases of t_1: completed'])
  })

  test('a call that is over is cut no more, however often it is said', async () => {
    const { happened, revoke, work } = rig()
    const call = {}
    revoke.open(call, work('t_1', 'one'))
    revoke.close(call)
    revoke.close(call)
    expect(revoke.size).toBe(0)
    await revoke.taskEnded('t_1', 'expired')
    expect(happened).toEqual(['leases of t_1: expired'])
  })

  test('a call that closes itself while it is cut does not save its neighbour', async () => {
    const { happened, revoke, work } = rig()
    const first = {}
    revoke.open(first, { ...work('t_1', 'one'), cut: () => revoke.close(first) })
    revoke.open({}, work('t_1', 'two'))
    await revoke.taskEnded('t_1', 'completed')
    expect(happened).toContain('cut two: task.ended')
  })

  test('shutdown cuts everything that is left', () => {
    const { happened, revoke, work } = rig()
    revoke.open({}, work('t_1', 'one'))
    revoke.open({}, work('t_2', 'two'))
    revoke.shutdown()
    expect(happened).toEqual(['cut one: listen.draining', 'cut two: listen.draining'])
  })
})
