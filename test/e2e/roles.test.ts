import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { acts, roles, type Role } from '../../src/admin/roles.ts'
import { Browser, PeopleRig } from '../support/people-rig.ts'
import { publicClient } from '../support/sign-in-issuer.ts'
import { agentId, ask, type Answered } from '../support/running.ts'

const groupOf: Readonly<Record<Role, string>> = { viewer: 'staff', approver: 'approvers', operator: 'oncall', admin: 'owners' }
const named = { viewer: 'group:staff', operator: 'group:oncall', admin: ['group:owners'] }

/** One request of a command line that has a token of the issuer. */
async function asPerson(rig: PeopleRig, groups: readonly string[], method: string, path: string, body?: object): Promise<Answered> {
  const now = Math.floor(Date.now() / 1000)
  const token = await rig.issuer.mint({ iss: rig.issuer.issuer, aud: publicClient, sub: 'u-kim', iat: now, exp: now + 60, groups })
  return ask(rig.port, path, {
    method,
    headers: { authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
}

describe('roles at the admin port', () => {
  let rig: PeopleRig
  beforeAll(async () => {
    rig = await PeopleRig.start({ admin: { roles: named }, accounts: { 'u-vic': { groups: ['staff'] } } })
  })
  afterAll(() => rig[Symbol.asyncDispose]())

  test.each(acts)('$act takes the role $role, and no other but admin', async ({ act, method, path, role }) => {
    const at = `/v1/${path.replaceAll('*', 'nothing-is-called-so')}${act === 'logs.read' || act === 'decisions.read' ? '?follow=false' : ''}`
    for (const held of roles) {
      const answer = await asPerson(rig, [groupOf[held]], method, at, method === 'GET' ? undefined : {})
      const enough = held === role || held === 'admin' || role === 'viewer'
      if (enough) expect([act, held, answer.status]).not.toEqual([act, held, 403])
      else expect([held, answer.status, answer.json['title']]).toEqual([held, 403, expect.stringContaining(`takes the role ${role}`)])
    }
    const stranger = await asPerson(rig, ['interns'], method, at, method === 'GET' ? undefined : {})
    expect([stranger.status, stranger.json['title']]).toEqual([403, expect.stringContaining('have no role')])
    const local = await rig.localKeyAsk(method, at, method === 'GET' ? undefined : {})
    expect([401, 403]).not.toContain(local.status)
  })

  test('what does not stand in the table is not there, whoever asks', async () => {
    for (const [method, path] of [
      ['PATCH', '/v1/tasks'],
      ['DELETE', '/v1/kills/k_1'],
      ['POST', '/v1/logs'],
      ['GET', '/v2/tasks'],
      ['GET', '/x/tasks'],
    ] as const) {
      expect([path, (await asPerson(rig, ['owners'], method, path, {})).status]).toEqual([path, 404])
      expect([path, (await rig.localKeyAsk(method, path, {})).status]).toEqual([path, 404])
    }
  })

  test('an operator stops, and only an admin starts again; who was refused is told to whoever runs this', async () => {
    const engaged = await asPerson(rig, ['oncall'], 'POST', '/v1/kills', { scope: 'tool', name: 'mail.send', reason: 'odd' })
    expect([engaged.status, engaged.json['by']]).toEqual([201, 'person:u-kim'])
    const path = `/v1/kills/${String(engaged.json['id'])}/lift`
    expect((await asPerson(rig, ['oncall', 'approvers'], 'POST', path, { reason: 'fine' })).status).toBe(403)
    expect(rig.running.logged.some((line) => line.includes('"act":"kills.lift"') && line.includes('u-kim'))).toBe(true)
    expect((await asPerson(rig, ['owners'], 'POST', path, { reason: 'fine' })).status).toBe(200)
  })

  test('the local key may do everything, and what it says of a name stands in the ledger as said by the local key', async () => {
    const { task } = await rig.asked()
    const said = { reason: 'night shift', by: 'oncall' }
    const kill = await rig.admin('/v1/kills', { scope: 'tool', name: 'x.y', ...said })
    const opened = await rig.admin('/v1/tasks', { agent: agentId, purpose: 'look', ...said })
    for (const [path, body] of [
      [`/v1/kills/${String(kill.json['id'])}/lift`, said],
      [`/v1/tasks/${String(opened.json['id'])}/pause`, said],
      [`/v1/tasks/${String(opened.json['id'])}/resume`, said],
      [`/v1/tasks/${String(opened.json['id'])}/complete`, said],
      [`/v1/tasks/${task}/revoke`, said],
      [`/v1/agents/${encodeURIComponent(agentId)}/suspend`, said],
      [`/v1/agents/${encodeURIComponent(agentId)}/resume`, said],
      [`/v1/callers/${encodeURIComponent(agentId)}/clear-sensitivity`, said],
    ] as const)
      expect([path, (await rig.admin(path, body)).status]).toEqual([path, 200])
    const signal = `/v1/signals/caller/${encodeURIComponent(agentId)}/scanned`
    expect((await rig.localKeyAsk('PUT', signal, { ...said, value: true, ttl: '1m' })).status).toBe(200)
    expect((await rig.localKeyAsk('DELETE', signal, said)).status).toBe(200)
    const mine = rig.running.entries().filter(({ by }) => by === 'person:oncall')
    expect(mine.map(({ event, detail }) => [event, (detail as { method?: string }).method])).toEqual(
      [
        'kill.engaged',
        'task.opened',
        'kill.lifted',
        'task.paused',
        'task.resumed',
        'task.completed',
        'task.revoked',
        'agent.suspended',
        'agent.resumed',
        'caller.sensitivity-cleared',
        'signal.given',
        'signal.withdrawn',
      ].map((event) => [event, 'local-key']),
    )
  })

  test('a viewer of a task is no operator of it, by no way to say so', async () => {
    const task = (await rig.asked()).task ?? ''
    for (const verb of ['pause', 'resume', 'complete', 'revoke'])
      expect((await asPerson(rig, ['staff', 'approvers'], 'POST', `/v1/tasks/${task}/${verb}`, { reason: 'x', by: 'admin' })).status).toBe(
        403,
      )
    expect(rig.running.sidecar.foundation.state.task(task)).toMatchObject({ state: 'active' })
  })

  test('an agent that sits on loopback has no role, with no token of its own', async () => {
    const svid = await rig.running.svid()
    const now = Math.floor(Date.now() / 1000)
    const forged = await rig.issuer.mint({
      iss: rig.issuer.issuer,
      aud: 'another-client',
      sub: agentId,
      iat: now,
      exp: now + 60,
      groups: ['owners'],
    })
    for (const authorization of ['', `Bearer ${svid}`, `Bearer ${forged}`])
      for (const [method, path] of [
        ['GET', '/v1/tasks'],
        ['POST', '/v1/tasks'],
        ['POST', '/v1/kills'],
      ] as const)
        expect((await ask(rig.port, path, { method, headers: { authorization }, body: '{}' })).status).toBe(401)
  })
})

describe('roles change while people are signed in', () => {
  test('with the next request, not with the next session', async () => {
    await using rig = await PeopleRig.start({ admin: { roles: named }, accounts: { 'u-vic': { groups: ['staff'] } } })
    const browser = await rig.signedIn('u-vic')
    const page = await browser.visit('/')
    expect(page.status).toBe(200)
    await rig.reload({ admin: { roles: {} } })
    const gone = await browser.visit('/')
    expect([gone.status, gone.text]).toEqual([403, expect.stringContaining('no role')])
    const row = await rig.asked()
    const csrf = Browser.csrf(page)
    expect((await browser.submit(`/approvals/${row.id}`, { csrf, verb: 'approve', reason: 'x' })).status).toBe(403)
    await rig.reload({ admin: { roles: { viewer: ['person:u-vic'] } } })
    expect((await browser.visit('/')).status).toBe(200)
  })
})
