import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { givenDecision, writeGiven } from '../support/given.ts'
import { admin, get, kill, openTask, post } from '../support/kill-rig.ts'
import { LendingIssuer } from '../support/lending-issuer.ts'
import { app, appKey, GithubApp, installation } from '../support/github-app.ts'
import { agentId, anyTool, ask, freeAgent, routeTo, Running, TestUpstream, type RunningOptions, type Settings } from '../support/running.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-lending-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const helper = 'spiffe://acme.example/ns/test/sa/helper'
const tool = { effect: 'read', risk: 'low', egress: 'internal' }
const crm = [
  { name: 'crm.read', match: 'GET /customers/{id}', ...tool },
  { name: 'crm.list', match: 'GET /lists/{id}', ...tool },
]

/** Two upstreams behind four routes of one provider, and the issuer that sees what is asked. */
class Company implements AsyncDisposable {
  readonly issuer: LendingIssuer
  readonly upstreams: readonly [TestUpstream, TestUpstream]
  readonly running: Running

  private constructor(issuer: LendingIssuer, upstreams: readonly [TestUpstream, TestUpstream], running: Running) {
    this.issuer = issuer
    this.upstreams = upstreams
    this.running = running
  }

  static async start(): Promise<Company> {
    const issuer = await LendingIssuer.start()
    const upstreams = [await TestUpstream.start(), await TestUpstream.start()] as const
    return new Company(issuer, upstreams, await Running.start(Company.options(issuer, upstreams)))
  }

  static options(issuer: LendingIssuer, [one, two]: readonly [TestUpstream, TestUpstream], provider: Settings = {}): RunningOptions {
    const credential = 'crm'
    return {
      routes: {
        crm: routeTo(`${one.url}/v1`, 'crm', { credential, tools: crm }),
        old: routeTo(`${one.url}/v0`, 'old', { credential }),
        mirror: routeTo(`${two.url}/v1`, 'mirror', { credential, tools: [anyTool('mirror.any')] }),
        bare: routeTo(`${one.url}/v1`, 'bare'),
      },
      providers: { crm: issuer.provider(provider) },
      agents: [freeAgent({ implicit: false }), freeAgent({ id: helper, implicit: false })],
      env: { CLIENT_SECRET: 'a-client-secret' },
    }
  }

  reload(provider: Settings, settings: RunningOptions['settings'] = {}): Promise<void> {
    return this.running.reload({ ...Company.options(this.issuer, this.upstreams, provider), settings })
  }

  /** Token → where it was seen: upstream and path, in order. */
  seen(): Map<string, string[]> {
    const seen = new Map<string, string[]>()
    for (const [at, upstream] of this.upstreams.entries())
      for (const { url, headers } of upstream.seen) {
        const token = String(headers.authorization).replace('Bearer ', '')
        seen.set(token, [...(seen.get(token) ?? []), `${at}${url}`])
      }
    return seen
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.running[Symbol.asyncDispose]()
    for (const upstream of this.upstreams) await upstream[Symbol.asyncDispose]()
    await this.issuer[Symbol.asyncDispose]()
  }
}

/** Gives what was handed on to the helper: a child task. */
async function handOn(running: Running, task: string): Promise<string> {
  const offered = await post(running, `/.countersign/v1/tasks/${task}/hand-off`, { to: helper, purpose: 'read it' })
  const { id: grant, token } = offered.json
  return String((await post(running, '/.countersign/v1/tasks', { grant, token }, helper)).json['id'])
}

describe('a lease', () => {
  test('is nobody else’s: each tool, route, host, task, caller and child has one of its own, and a claim to another’s gets none', async () => {
    await using company = await Company.start()
    const { running, issuer } = company
    const [mine, second, theirs] = [await openTask(running), await openTask(running), await openTask(running, helper)]
    const child = await handOn(running, mine)
    const calls: (readonly [path: string, id: string, task: string])[] = [
      ['/crm/customers/1', agentId, mine],
      ['/crm/lists/1', agentId, mine],
      ['/old/customers/1', agentId, mine],
      ['/mirror/customers/1', agentId, mine],
      ['/crm/customers/2', agentId, second],
      ['/crm/customers/3', helper, theirs],
      ['/crm/customers/4', helper, child],
    ]
    for (let round = 0; round < 2; round++)
      for (const [path, id, task] of calls) expect((await get(running, path, id, task)).status, path).toBe(200)
    expect(issuer.given.size).toBe(calls.length)
    // one token, one place, for one task: no other place ever saw it
    expect([...company.seen().values()].map((places) => new Set(places).size)).toEqual(calls.map(() => 1))

    for (const [path, id, task] of [
      ['/crm/customers/1', helper, mine],
      ['/crm/customers/1', agentId, theirs],
      ['/crm/customers/1', agentId, child],
      ['/crm/customers/1', helper, ''],
    ] as const)
      expect((await get(running, path, id, task)).status, `${id} with ${task}`).toBeGreaterThanOrEqual(400)
    expect((await get(running, '/bare/customers/1', agentId, mine)).status).toBe(200)
    expect(issuer.given.size).toBe(calls.length)
    expect(company.seen().get('undefined')).toEqual(['0/v1/customers/1'])
  })

  test('ends with its task, and the child’s with it, and a stranger’s lives on', async () => {
    await using company = await Company.start()
    const { running, issuer } = company
    const [mine, theirs] = [await openTask(running), await openTask(running, helper)]
    const child = await handOn(running, mine)
    await get(running, '/crm/customers/1', helper, theirs)
    const stays = [...issuer.live]
    await get(running, '/crm/customers/1', agentId, mine)
    await get(running, '/crm/customers/1', helper, child)
    expect(issuer.live.size).toBe(3)
    await post(running, `/.countersign/v1/tasks/${mine}/complete`, {})
    await expect.poll(() => [...issuer.live]).toEqual(stays)
    expect((await get(running, '/crm/customers/1', helper, child)).status).toBe(403)
  })

  test('that many calls of two tasks race for is asked for once for each, and no call gets the other’s', async () => {
    await using company = await Company.start()
    const { running, issuer } = company
    const tasks = [await openTask(running), await openTask(running)]
    const held = issuer.holding(2)
    const calls = tasks.flatMap((task) => Array.from({ length: 8 }, () => get(running, `/crm/customers/${task}`, agentId, task)))
    await held.asked
    held.release()
    expect((await Promise.all(calls)).map(({ status, json }) => json['code'] ?? status)).toEqual(calls.map(() => 200))
    expect(issuer.given.size).toBe(2)
    const places = [...company.seen().values()].map((all) => [...new Set(all)])
    expect(places.flat().toSorted()).toEqual(tasks.map((task) => `0/v1/customers/${task}`).toSorted())
    expect(places.map(({ length }) => length)).toEqual([1, 1])
  })

  test('of a wider decision is not used for a narrower one, nor the other way round', async () => {
    await using company = await Company.start()
    const { running, issuer } = company
    const task = await openTask(running)
    const under = async (scopes: readonly string[], name: string): Promise<void> => {
      const path = writeGiven(folder, givenDecision({ credential: { scopes } }), name)
      await company.reload({}, { decide: { bundle: { path, unsafe_unsigned: true } } })
      expect((await get(running, `/crm/customers/${name}`, agentId, task)).status).toBe(200)
    }
    await under(['read', 'write'], 'wide')
    await under(['read'], 'narrow')
    await under(['write'], 'other')
    await under(['read', 'write'], 'again')
    const scopes = [...company.seen()].flatMap(([token, places]) => places.map((place) => [place, issuer.given.get(token)?.join(' ')]))
    expect(Object.fromEntries(scopes)).toEqual({
      '0/v1/customers/wide': 'read write',
      '0/v1/customers/narrow': 'read',
      '0/v1/customers/other': 'write',
      '0/v1/customers/again': 'read write',
    })
  })
})

const denied = givenDecision({
  effect: 'deny',
  reasons: [{ rule: 'given.no', severity: 'high', effect: 'deny', observable: false, controls: [], message_agent: 'no', detail: {} }],
})

describe('while the issuer is asked', () => {
  test.each<[string, (company: Company, task: string) => unknown]>([
    ['the agent completes the task', ({ running }, task) => post(running, `/.countersign/v1/tasks/${task}/complete`, {})],
    ['a person ends the task', ({ running }, task) => admin(running, `/v1/tasks/${task}/revoke`, { reason: 'enough', by: 'oncall' })],
    ['the task is killed', ({ running }, task) => kill(running, 'task', task)],
    ['the agent is killed', ({ running }) => kill(running, 'agent', agentId)],
    ['everything is killed', ({ running }) => kill(running, 'everything')],
    ['the provider is replaced', (company) => company.reload({ scope: ['read'] })],
    ['the provider is asked for otherwise and the route goes', ({ running }) => running.reload({ routes: {}, agents: [freeAgent()] })],
    [
      'another policy comes that denies',
      (company) => company.reload({}, { decide: { bundle: { path: writeGiven(folder, denied, 'denied'), unsafe_unsigned: true } } }),
    ],
  ])('and %s, nothing of it is used and what came is taken back', async (_what, happens) => {
    await using company = await Company.start()
    const { running, issuer } = company
    const task = await openTask(running)
    const held = issuer.holding()
    const call = get(running, '/crm/customers/1', agentId, task)
    await held.asked
    expect(issuer.live.size).toBe(1)
    await happens(company, task)
    held.release()
    expect((await call).status).toBeGreaterThanOrEqual(400)
    expect(company.upstreams.flatMap(({ seen }) => seen)).toEqual([])
    await expect.poll(() => issuer.live.size).toBe(0)
    expect(running.sidecar.foundation.credential.sizes()).toMatchObject({ out: 0 })
    expect(running.sidecar.foundation.state.leases({}).map(({ state }) => state)).toEqual(['revoked'])
  })

  test('and the task is paused, no other call uses it, and it is taken back when the task ends', async () => {
    await using company = await Company.start()
    const { running, issuer } = company
    const task = await openTask(running)
    const held = issuer.holding()
    const call = get(running, '/crm/customers/1', agentId, task)
    await held.asked
    await post(running, `/.countersign/v1/tasks/${task}/pause`, { reason: 'lunch' })
    const second = await get(running, '/crm/customers/2', agentId, task)
    expect(second.json).toMatchObject({ code: 'task.paused' })
    held.release()
    // the default policy cuts what a paused task has open
    expect((await call).status).toBe(403)
    expect(company.upstreams.flatMap(({ seen }) => seen)).toEqual([])
    await post(running, `/.countersign/v1/tasks/${task}/complete`, {})
    await expect.poll(() => issuer.live.size).toBe(0)
  })
})

/** What a hostile or broken issuer gives for a token: a text, so many times. */
const tokens: readonly (readonly [what: string, text: string, times: number])[] = [
  ['a line end', 'a-token\r\nx-admin: yes', 1],
  ['a NUL', 'a-token\0with-more', 1],
  ['a megabyte', 'lots', 262_144],
  ['more than any header takes', 'more', 25_000],
  ['seven characters', 'hunter2', 1],
  ['nothing', '', 1],
  ['letters that no header holds', 'tök€n-of-the-issuer', 1],
  ['the placeholder of the agent', 'a-key-that-every-agent-knows', 1],
]

describe('a token of', () => {
  test.each(tokens)('%s goes nowhere, is written nowhere, and is taken back where it can be', async (_what, part, times) => {
    const token = part.repeat(times)
    await using upstream = await TestUpstream.start()
    await using issuer = await LendingIssuer.start()
    const github = new GithubApp()
    await github.server.listen()
    // with the prefix of GitHub the two that any header takes would be tokens as good as another
    const good = /^[a-z0-9-]*$/.test(token) && token.length < 100
    github.change = (answer) => ({ ...answer, token: good ? token : `ghs_${token}` })
    issuer.token = () => token
    const script = `console.log(JSON.stringify({ apiVersion: 'countersign/v1', kind: 'Credential', status: { secret: ${JSON.stringify(part)}.repeat(${times}), expires: new Date(Date.now() + 1000).toISOString() } }))`
    const apply = { placeholder: 'a-key-that-every-agent-knows' }
    const names = ['oauth', 'github', 'exec']
    await using running = await Running.start({
      routes: Object.fromEntries(names.map((name) => [name, routeTo(upstream.url, name, { credential: name })])),
      providers: {
        oauth: issuer.provider({ apply }),
        github: { type: 'github', app, key: { env: 'APP' }, installation, permissions: ['contents:read'], api: github.server.url },
        exec: { type: 'exec', command: process.execPath, args: ['-e', script], apply },
      },
      env: { CLIENT_SECRET: 'a-client-secret', APP: appKey },
      settings: { listen: { agent: [{ at: '127.0.0.1:0', ambient: agentId }], health: { at: '127.0.0.1:0' }, drain: '2s' } },
    })
    let said = ''
    for (const name of names) {
      const answer = await ask(running.port(), `/${name}/a`, { headers: { authorization: `Bearer ${apply.placeholder}` } })
      expect(answer.json['code'], `${name}: ${answer.text}`).toMatch(/^credential\.(unavailable|too-wide)$/)
      said += JSON.stringify(answer)
    }
    expect(upstream.seen).toEqual([])
    // a megabyte is not read to its end: then nobody can name what was given
    if (token.length < 1_000_000) expect([...issuer.live].filter((one) => one !== '')).toEqual([])
    expect(running.sidecar.foundation.credential.sizes().out).toBe(0)
    const { text } = await ask(running.port('health'), '/metrics')
    if (token.length > 7 && token !== apply.placeholder) {
      const written = said + running.logged.join() + running.ledgerText() + text
      expect(written).not.toContain(JSON.stringify(token).slice(1, 40))
    }
    await github.server[Symbol.asyncDispose]()
  })
})
