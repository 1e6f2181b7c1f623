import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { leaseEndingPolicy } from '../support/policy-rig.ts'
import { VaultRig } from '../support/vault-rig.ts'

/**
 * A real OpenBao, set up by the commands of docs/vault.md, makes roles in a real PostgreSQL, and a Countersign in a process of its own lends them. Each
 * claim is looked at where it must be true: in PostgreSQL and in OpenBao.
 */
let rig: VaultRig

beforeAll(async () => {
  rig = await VaultRig.start()
})
afterAll(() => rig[Symbol.asyncDispose]())
afterEach(() => {
  rig.proxy.plan = () => null
})

/** Times go to whoever reads the run. */
function measured(what: string, ms: number): void {
  console.log(`openbao: ${what}: ${ms} ms`)
}

/** A task whose role is in use. */
async function running(): Promise<{ readonly task: string; readonly role: string }> {
  const task = await rig.open()
  const answer = await rig.call(task)
  expect(answer.status, answer.text).toBe(200)
  return { task, role: String(answer.json['user']) }
}

const children = async () => (await rig.bao.tokens()).filter(({ path }) => path.startsWith('auth/token/create'))

describe('a database role for a task', () => {
  it('is there while the task runs, is the task’s own, and is gone within a second of its completion', async () => {
    const [one, two] = [await running(), await running()]
    expect(await rig.postgres.roles()).toEqual(expect.arrayContaining([one.role, two.role]))
    expect(one.role).not.toBe(two.role)
    expect((await rig.call(one.task)).json['user']).toBe(one.role)
    const metas = (await children()).map(({ meta }) => meta?.['task'])
    expect(new Set(metas)).toEqual(new Set([one.task, two.task]))
    await rig.complete(one.task)
    const began = performance.now()
    await rig.until(async () => !(await rig.postgres.roles()).includes(one.role))
    const took = Math.round(performance.now() - began)
    measured('role gone after completion', took)
    expect(took).toBeLessThan(1000)
    expect(await rig.postgres.roles()).toEqual([two.role])
    await rig.complete(two.task)
    await rig.rolesGone()
    expect(await children()).toEqual([])
    expect(await rig.bao.leases()).toEqual([])
  })

  it('is gone by the time that its completion is answered, which waits for it', async () => {
    const { task } = await running()
    const began = performance.now()
    expect((await rig.complete(task)).status).toBe(200)
    measured('completion, with the revocation that it waits for', Math.round(performance.now() - began))
    expect(await rig.postgres.roles()).toEqual([])
    expect(rig.events('lease.revoked').at(-1)).toMatchObject({ cause: 'completed', revocation: 'issuer' })
  })

  it('is gone within a second of a kill', async () => {
    const { task } = await running()
    const began = performance.now()
    expect((await rig.kill(task)).status).toBeLessThan(300)
    const took = await rig.rolesGone(began)
    measured('role gone after kill', took)
    expect(took).toBeLessThan(1000)
    expect(await children()).toEqual([])
  })

  it('is gone within five seconds of the restart after kill -9, with its token and the login it hung from', async () => {
    await running()
    await running()
    await rig.sidecar.kill()
    expect(await rig.postgres.roles()).toHaveLength(2)
    const began = performance.now()
    await rig.restart()
    const up = performance.now()
    const took = await rig.rolesGone(up)
    measured('roles gone after the restarted process was up', took)
    measured('the same, with its start', Math.round(performance.now() - began))
    expect(took).toBeLessThan(5000)
    expect(await rig.bao.tokens()).toEqual([])
    const ended = rig.events('lease.revoked').slice(-2)
    expect(ended).toEqual([expect.objectContaining({ cause: 'a crash' }), expect.objectContaining({ cause: 'a crash' })])
  })

  it.each([
    ['the token is made', 'auth/token/create'],
    ['the role is made', 'database/creds'],
  ])('is gone within five seconds of the restart after kill -9 while %s', async (_when, path) => {
    const task = await rig.open()
    let reached: () => void = () => undefined
    const asked = new Promise<void>((resolve) => (reached = resolve))
    // OpenBao does it, and its answer is on the way when the process dies
    rig.proxy.plan = (passing) => {
      if (!passing.path.includes(path)) return null
      reached()
      return { slow: 3000 }
    }
    const lost = rig.call(task).catch(() => null)
    await asked
    await rig.until(async () => (await (path === 'database/creds' ? rig.postgres.roles() : children())).length > 0)
    await rig.sidecar.kill()
    await lost
    rig.proxy.plan = () => null
    await rig.restart()
    const up = performance.now()
    await rig.rolesGone(up)
    await rig.until(async () => (await rig.bao.tokens()).length === 0 || performance.now() > up + 5000)
    measured(`role and tokens gone after the restarted process was up, killed at ${path}`, Math.round(performance.now() - up))
    expect(await rig.bao.tokens()).toEqual([])
    expect(await rig.postgres.roles()).toEqual([])
  })

  it('outlives an outage of its database by as long as that lasts, which the ledger does not call revoked', async () => {
    const { task } = await running()
    await rig.postgres.stop()
    await rig.complete(task)
    expect(rig.events('lease.revocation-failed').at(-1)).toMatchObject({ cause: 'completed' })
    const before = rig.events('lease.revoked').length
    await rig.postgres.serve()
    await rig.rolesGone()
    await rig.until(() => rig.events('lease.revoked').length > before)
    expect(await children()).toEqual([])
  })

  it('shows neither password nor token anywhere', async () => {
    const { task } = await running()
    const password =
      Buffer.from(String(rig.upstream.seen.at(-1)?.headers.authorization).slice(6), 'base64')
        .toString()
        .split(':')[1] ?? ''
    expect(password.length).toBeGreaterThan(10)
    await rig.complete(task)
    const text = rig.ledger() + rig.sidecar.logged.join('\n')
    expect(text).not.toContain(password)
    expect(text).not.toMatch(/\bs\.[A-Za-z0-9]{24}\b/)
  })

  it('is gone within a second of a policy that forbids it', async () => {
    await running()
    const loaded = performance.now()
    const judged = await rig.policy(leaseEndingPolicy)
    const took = await rig.rolesGone(judged)
    measured('role gone after the policy is in force', took)
    measured('role gone after SIGHUP, reading and measuring the bundle counted in', Math.round(performance.now() - loaded))
    expect(took).toBeLessThan(1000)
    expect(await children()).toEqual([])
  })
})
