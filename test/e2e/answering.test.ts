import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { scheme, signRequest, spki } from '../../src/admin/signed-request.ts'
import { Command, countersign, type Ran } from '../support/command-line.ts'
import { askedOf, shown } from '../support/asked.ts'
import { agentId, ask, routeTo, Running, type Answered } from '../support/running.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-approvals-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const keyOf = (running: Running): string => readFileSync(join(running.folder, 'admin.key'), 'utf8').trim()
const routes = { api: routeTo('http://127.0.0.1:9', 'api') }
const publicText = (key: KeyObject): string => spki(key).toString('base64')
const realmOf = (running: Running): string => running.sidecar.ledger.key.split('+').slice(0, 2).join('+')

/** One request as its sender signs it; what is sent may differ from what is signed. */
async function signedAsk(
  running: Running,
  key: KeyObject,
  path: string,
  options: {
    readonly method?: string
    readonly body?: string
    readonly signed?: Partial<{ method: string; target: string; body: string; realm: string }>
    readonly at?: number
    readonly authorization?: string
  } = {},
): Promise<Answered & { readonly authorization: string }> {
  const method = options.method ?? (options.body === undefined ? 'GET' : 'POST')
  const about = { method, target: path, body: options.body ?? '', realm: realmOf(running), ...options.signed }
  const authorization = options.authorization ?? `${scheme} ${await signRequest(key, about, options.at ?? Date.now())}`
  const answer = await ask(running.port('admin'), path, {
    method,
    headers: { authorization },
    ...(options.body === undefined ? {} : { body: options.body }),
  })
  return { ...answer, authorization }
}

function local(running: Running, path: string, body?: object): Promise<Answered> {
  return ask(running.port('admin'), path, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${keyOf(running)}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
}

describe('approvals through the admin API', () => {
  test('with the local key alone, where nobody is configured: as whoever says so, recorded as that', async () => {
    await using running = await Running.start({ routes })
    const [first, second] = [await askedOf(running, { approvers: ['group:payments'] }), await askedOf(running)]
    await local(running, `/v1/approvals/${second.id}/decline`, { reason: 'no', by: 'oncall' })
    const { approvals } = (await local(running, '/v1/approvals')).json as { approvals: { id: string; state: string }[] }
    expect(approvals.map(({ id, state }) => [id, state])).toEqual([
      [first.id, 'pending'],
      [second.id, 'declined'],
    ])
    expect((await local(running, `/v1/approvals/${first.id}`)).json).toEqual(JSON.parse(JSON.stringify(first)))
    expect((await local(running, `/v1/approvals/${first.id}/approve`, { reason: 'fine' })).status).toBe(400)
    const done = await local(running, `/v1/approvals/${first.id}/approve`, { reason: 'fine', by: 'oncall' })
    expect(done.json).toMatchObject({ state: 'approved', answers: [{ by: 'person:oncall', method: 'local-key' }] })
    const again = await local(running, `/v1/approvals/${first.id}/approve`, { reason: 'fine', by: 'oncall' })
    expect([again.status, again.json['title']]).toEqual([409, 'it is approved'])
    const back = await local(running, `/v1/approvals/${first.id}/withdraw`, { reason: 'on second thought', by: 'oncall' })
    expect(back.json).toMatchObject({ state: 'withdrawn', closed: { by: 'person:oncall', reason: 'on second thought' } })
  })

  test.each([
    ['GET', '/v1/approvals/a_nope', undefined, 404],
    ['POST', '/v1/approvals/a_nope/approve', { reason: 'x', by: 'y' }, 404],
    ['POST', '/v1/approvals/ID/approve', { by: 'y' }, 400],
    ['POST', '/v1/approvals/ID/approve', { reason: ' ', by: 'y' }, 400],
    ['POST', '/v1/approvals/ID/approve', { reason: 'two\nlines', by: 'y' }, 400],
    ['POST', '/v1/approvals/ID/approve', { reason: 'x', by: 'y', tools: ['a.b'] }, 400],
    ['POST', '/v1/approvals/ID/approve', { reason: 'x', by: 'y', tools: ['a.b'], calls: 1, for: '1m' }, 400],
    ['POST', '/v1/approvals/ID/explode', { reason: 'x', by: 'y' }, 404],
    ['POST', '/v1/approvals/ID/break-glass', { reason: 'x', by: 'y' }, 403],
    ['GET', '/v1/approvals?state=odd', undefined, 400],
  ])('%s %s with %j is answered %i', async (_method, path, body, status) => {
    await using running = await Running.start({ routes })
    const row = await askedOf(running)
    expect((await local(running, path.replace('ID', row.id), body)).status).toBe(status)
  })
})

describe('people with a key pair', () => {
  const alice = generateKeyPairSync('ed25519').privateKey
  const bob = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const stranger = generateKeyPairSync('ed25519').privateKey
  const approvers = [
    { name: 'alice', key: publicText(alice), groups: ['payments', 'leads'], subject: 'u-alice' },
    { name: 'bob', key: publicText(bob), groups: ['payments'] },
  ]
  let running: Running
  beforeAll(async () => {
    running = await Running.start({ routes, settings: { admin: { approvers }, approve: { break_glass: ['group:leads'] } } })
  })
  afterAll(() => running[Symbol.asyncDispose]())
  const answerOf = async (id: string) => running.sidecar.foundation.approvals.read(id)
  const body = '{"reason":"looked at it"}'

  test('answer by a signature over the whole request, each in the own name, until there are enough', async () => {
    const row = await askedOf(running, { approvers: ['group:payments'], quorum: 2 })
    const path = `/v1/approvals/${row.id}/approve`
    expect((await signedAsk(running, alice, path, { body })).json).toMatchObject({ state: 'pending' })
    const twice = await signedAsk(running, alice, path, { body })
    expect([twice.status, twice.json['title']]).toEqual([409, 'you have answered: another person must'])
    expect((await signedAsk(running, bob, path, { body })).json).toMatchObject({
      state: 'approved',
      answers: [
        { by: 'person:alice', method: 'key-pair' },
        { by: 'person:bob', method: 'key-pair' },
      ],
    })
  })

  test('a signed request counts once', async () => {
    const row = await askedOf(running, { quorum: 2 })
    const path = `/v1/approvals/${row.id}`
    const { authorization, status } = await signedAsk(running, alice, path)
    expect(status).toBe(200)
    const replayed = await signedAsk(running, alice, path, { authorization })
    expect([replayed.status, replayed.json['title']]).toEqual([401, 'the signed request was used before'])
  })

  test.each([
    ['another body', { signed: { body: '{"reason":"harmless"}' } }, 'another request was signed'],
    ['another verb', { signed: { target: '/v1/approvals/ID/decline' } }, 'another request was signed'],
    ['another method', { signed: { method: 'GET' } }, 'another request was signed'],
    ['another Countersign', { signed: { realm: 'elsewhere+00' } }, 'the request was signed for another Countersign'],
    ['a minute ago', { at: Date.now() - 61_000 }, 'the signed request is too old, or the clocks differ'],
    ['in the future', { at: Date.now() + 600_000 }, 'the signed request is too old, or the clocks differ'],
    ['a key that nobody registered', { key: stranger }, 'the key of the signed request is not registered'],
    ['a token of no form', { authorization: `${scheme} x.y.z` }, 'the key of the signed request is not registered'],
  ])('what was signed for %s does not count', async (_, options, title) => {
    const { key = alice, ...rest } = options as typeof options & { readonly key?: KeyObject }
    const row = await askedOf(running)
    const answer = await signedAsk(running, key, `/v1/approvals/${row.id}/approve`, { body, ...rest })
    expect([answer.status, answer.json['title']]).toEqual([401, title])
    expect(await answerOf(row.id)).toMatchObject({ answers: [] })
  })

  test('a key that claims the name of another by its kid does not verify', async () => {
    const row = await askedOf(running)
    const own = await signRequest(
      stranger,
      { method: 'GET', target: `/v1/approvals/${row.id}`, body: '', realm: realmOf(running) },
      Date.now(),
    )
    const theirs = await signRequest(alice, { method: 'GET', target: '/', body: '', realm: 'x' }, Date.now())
    const mixed = [theirs.split('.')[0], ...own.split('.').slice(1)].join('.')
    const answer = await signedAsk(running, stranger, `/v1/approvals/${row.id}`, { authorization: `${scheme} ${mixed}` })
    expect([answer.status, answer.json['title']]).toEqual([401, 'the signature of the request does not verify'])
  })

  test('the local key names nobody, so it no longer answers; it still takes back', async () => {
    const row = await askedOf(running)
    const refused = await local(running, `/v1/approvals/${row.id}/approve`, { reason: 'x', by: 'alice' })
    expect(refused.status).toBe(403)
    expect(refused.json['title']).toContain('--key-pair')
    expect((await local(running, `/v1/approvals/${row.id}/withdraw`, { reason: 'x', by: 'oncall' })).json).toMatchObject({
      state: 'withdrawn',
    })
  })

  test('nobody answers who is of the requesting chain, by no name of theirs, also not by breaking the glass', async () => {
    const row = await askedOf(running, { onBehalfOf: 'u-alice' })
    for (const verb of ['approve', 'decline', 'break-glass']) {
      const answer = await signedAsk(running, alice, `/v1/approvals/${row.id}/${verb}`, { body })
      expect([verb, answer.status, answer.json['title']]).toEqual([verb, 403, 'whoever the call acts for does not answer it'])
    }
    expect((await signedAsk(running, bob, `/v1/approvals/${row.id}/approve`, { body })).status).toBe(200)
  })

  test('somebody who is not asked may not answer, and breaks the glass only where the configuration says so; loudly', async () => {
    const row = await askedOf(running, { approvers: ['group:board'], quorum: 3 })
    const path = `/v1/approvals/${row.id}`
    expect((await signedAsk(running, alice, `${path}/approve`, { body })).status).toBe(403)
    const bobs = await signedAsk(running, bob, `${path}/break-glass`, { body })
    expect([bobs.status, bobs.json['title']]).toEqual([403, 'you are not among those who may break the glass (approve.break_glass)'])
    expect((await signedAsk(running, alice, `${path}/break-glass`, { body })).json).toMatchObject({
      state: 'approved',
      answers: [{ by: 'person:alice', breakGlass: true }],
    })
    expect(running.entries().find(({ event }) => event === 'approval.break-glass')).toMatchObject({
      by: 'person:alice',
      detail: { approval: row.id },
    })
    expect(running.logged.some((line) => line.includes('a person broke the glass') && line.includes(row.id))).toBe(true)
    const metrics = await ask(running.port('health'), '/metrics')
    expect(metrics.text).toContain('countersign_events_total{kind="approval.break-glass"} 1')
  })

  test('the agent gets nowhere on the admin port: not with its SVID, nor with a key it made', async () => {
    const row = await askedOf(running)
    const path = `/v1/approvals/${row.id}/approve`
    const svid = await running.svid()
    for (const authorization of [`Bearer ${svid}`, `${scheme} ${svid}`, 'Bearer ', `Basic ${keyOf(running)}`])
      expect((await signedAsk(running, alice, path, { body, authorization })).status).toBe(401)
    expect((await signedAsk(running, stranger, path, { body })).status).toBe(401)
    expect(await answerOf(row.id)).toMatchObject({ state: 'pending', answers: [] })
  })

  test('a request that was signed before this process began may have been used: it does not count', async () => {
    const before = Date.now()
    await using other = await Running.start({ routes, settings: { admin: { approvers } } })
    const answer = await signedAsk(other, alice, '/v1/approvals', { at: before - 10 })
    expect([answer.status, answer.json['title']]).toEqual([401, 'the request was signed before this Countersign began: sign it again'])
  })

  test('a reload takes a key away and lets the local key answer again', async () => {
    await using other = await Running.start({ routes, settings: { admin: { approvers } } })
    expect(await signedAsk(other, bob, '/v1/approvals')).toMatchObject({ status: 200 })
    await other.reload({ routes, settings: { admin: { approvers: approvers.slice(0, 1), unsafe_local_key_approves: true } } })
    expect((await signedAsk(other, bob, '/v1/approvals')).status).toBe(401)
    const row = await askedOf(other)
    expect((await local(other, `/v1/approvals/${row.id}/approve`, { reason: 'x', by: 'oncall' })).json).toMatchObject({ state: 'approved' })
  })
})

describe('on the command line', () => {
  const file = join(folder, 'alice.key')
  let made: Ran
  let running: Running
  beforeAll(async () => {
    made = await countersign(['approver', 'init', '--key-pair', file, '--name', 'alice', '-o', 'json'])
    const { name, key } = JSON.parse(made.stdout) as { name: string; key: string }
    running = await Running.start({
      routes,
      settings: {
        admin: { approvers: [{ name, key, groups: ['leads'], roles: ['approver', 'admin'] }] },
        approve: { break_glass: ['person:alice'] },
      },
    })
  })
  afterAll(() => running[Symbol.asyncDispose]())
  const run = (...args: string[]): Promise<Ran> =>
    countersign(['approvals', ...args, '--addr', `127.0.0.1:${running.port('admin')}`, '--key-pair', file])

  test('a key pair is made once, for its owner alone, and shown again', async () => {
    expect([made.code, statSync(file).mode & 0o777]).toEqual([0, 0o600])
    expect(JSON.parse(made.stdout)).not.toHaveProperty('d')
    const again = await countersign(['approver', 'init', '--key-pair', file])
    expect([again.code, again.stderr]).toEqual([64, expect.stringContaining('is there already')])
    const told = await countersign(['approver', 'show', '--key-pair', file, '--name', 'alice'])
    expect(told.stdout).toContain(JSON.parse(made.stdout).key)
    const open = join(folder, 'open.key')
    writeFileSync(open, readFileSync(file))
    chmodSync(open, 0o644)
    expect(await countersign(['approver', 'show', '--key-pair', open])).toMatchObject({
      code: 64,
      stderr: expect.stringContaining('chmod 600'),
    })
    expect(await countersign(['approver', 'init', '--key-pair', join(folder, 'es.key'), '--type', 'es256'])).toMatchObject({ code: 0 })
  })

  test('an objective is granted ahead, to a task or a workload, and taken back', async () => {
    const { foundation } = running.sidecar
    const words = ['--tools', 'mail.*', '--calls', '3', '--for', '10m', '--reason', 'the weekly letter']
    const { task } = await askedOf(running)
    const granted = await run('grant', '--task', String(task), ...words, '-o', 'json')
    expect([granted.code, granted.stderr]).toEqual([0, ''])
    const row = JSON.parse(granted.stdout) as { id: string }
    expect(row).toMatchObject({
      state: 'approved',
      task,
      objective: { tools: ['mail.*'], calls: 3 },
      answers: [{ by: 'person:alice', method: 'key-pair' }],
    })
    const wide = await run('grant', '--agent', agentId, ...words, '-o', 'json')
    expect(JSON.parse(wide.stdout)).toMatchObject({ state: 'approved', task: null, caller: agentId, grantedBy: ['person:alice', 'alice'] })
    expect(await run('withdraw', JSON.parse(wide.stdout).id, '--reason', 'not this week')).toMatchObject({ code: 0 })
    expect((await foundation.approvals.list({ states: ['approved'] })).map(({ id }) => id)).toContain(row.id)
    const events = running.entries().filter(({ event }) => event === 'approval.granted')
    expect(events).toMatchObject([
      { task, by: 'person:alice', caller: agentId },
      { by: 'person:alice', caller: agentId },
    ])
    for (const [args, said] of [
      [['grant', ...words], 'either --task or --agent'],
      [['grant', '--task', 't', '--agent', 'a', ...words], 'either --task or --agent'],
      [['grant', '--task', 't', '--reason', 'x'], 'needs --tools'],
      [['ls', '--agent', 'a'], '--agent is for grant'],
      [['grant', 'a_1', '--task', 't', ...words], 'too many arguments'],
    ] as const)
      expect(await run(...args), args.join(' ')).toMatchObject({ code: 64, stderr: expect.stringContaining(said) })
    expect(await run('grant', '--task', 't_none', ...words)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('no such live task'),
    })
    expect(await run('grant', '--agent', `${agentId}x`, ...words)).toMatchObject({ code: 1, stderr: expect.stringContaining('no agent') })
  })

  test('whoever signs with a key pair need not say who stops and lifts', async () => {
    const access = ['--addr', `127.0.0.1:${running.port('admin')}`, '--key-pair', file]
    const env = { USER: '' }
    const killed = await countersign(['kill', 'tool', 'mail.send', '--reason', 'odd', '--as', 'mallory', ...access], { env })
    expect(killed.stdout).toContain('by person:alice: odd')
    const [id = ''] = killed.stdout.split('  ')
    expect((await countersign(['lift', id, '--reason', 'fine', ...access], { env })).stdout).toContain('by person:alice: fine')
    const unknown = await countersign(['agents', 'resume', agentId, '--reason', 'fine', ...access], { env })
    expect(unknown.stderr).not.toContain('needs --as')
  })

  test('what is asked is listed, shown whole, approved for more than the one call, and withdrawn', async () => {
    const row = await askedOf(running)
    expect(await run()).toMatchObject({ code: 0, stdout: expect.stringContaining(`${row.id}  pending  0/1  high`) })
    const one = await run('show', row.id)
    for (const said of [
      'ASKED',
      shown.title,
      shown.purpose,
      'user',
      '"amount": 180',
      'a high risk needs a person',
      'ASI03',
      'any approver',
      agentId,
      'refund order 1042',
    ])
      if (said !== 'user') expect(one.stdout).toContain(said)
    expect(JSON.parse((await run('show', row.id, '-o', 'json')).stdout)).toMatchObject({ id: row.id })
    const wide = await run(
      'approve',
      row.id,
      '--reason',
      'three of them',
      '--tools',
      'payments.refund.create',
      '--calls',
      '3',
      '--for',
      '10m',
      '-o',
      'json',
    )
    expect(JSON.parse(wide.stdout)).toMatchObject({ state: 'approved', objective: { tools: ['payments.refund.create'], calls: 3 } })
    expect(await run('decline', row.id, '--reason', 'late')).toMatchObject({ code: 1, stderr: 'countersign approvals: it is approved\n' })
    expect(await run('withdraw', row.id, '--reason', 'enough')).toMatchObject({ code: 0, stdout: expect.stringContaining('WITHDRAWN') })
  })

  test('a broken glass does not look like an answer', async () => {
    const row = await askedOf(running, { approvers: ['group:board'] })
    expect(await run('approve', row.id, '--reason', 'x')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('it is for others to answer'),
    })
    const { code, stdout } = await run('approve', row.id, '--reason', 'the house burns', '--break-glass')
    expect(code).toBe(0)
    expect(stdout.split('\n')[0]).toContain('╔═ BREAK-GLASS ══')
    expect(stdout).toContain('BREAK-GLASS approve by person:alice')
  })

  test('nothing that an agent wrote moves the cursor or hides', async () => {
    const evil = '\u001b[2J\u001b]0;x\u0007\u202egnp.exe\u200b\u{e0041}\r\n\u009b31m'
    const texts = { title: evil, purpose: evil, target: evil, destination: evil, body: evil, resource: evil, human: evil, agent: evil }
    const row = await askedOf(running, {
      shown: {
        ...texts,
        chain: [evil],
        steps: [evil],
        sensitivity: [evil],
        data: [evil],
        parameters: [{ name: evil, value: evil }],
        owners: { incident: evil },
      },
    })
    for (const { stdout } of [await run('show', row.id), await run('ls')]) {
      expect(stdout).not.toMatch(/[^\P{C}\n]|[\u2028\u2029]/u)
      expect(stdout).toContain('⟨U+202E⟩gnp.exe')
    }
  })

  test('watch prints what is asked as it comes, and again when it was answered', async () => {
    await using command = new Command(['approvals', 'watch', '--addr', `127.0.0.1:${running.port('admin')}`, '--key-pair', file])
    const row = await askedOf(running, { shown: { title: 'something new' } })
    await command.until(({ stdout }) => stdout.includes(row.id) && stdout.includes('something new'))
    await run('decline', row.id, '--reason', 'no')
    await command.until(({ stdout }) => stdout.includes('DECLINED'))
    command.signal('SIGTERM')
    expect(await command.exited).toBe(0)
  })

  test.each([
    [['approve', 'a_1'], 64, 'needs --reason'],
    [['approve'], 64, 'needs an approval id'],
    [['approve', 'a_1', '--reason', 'x', '--tools', 'a'], 64, 'belong together'],
    [['explode', 'a_1'], 64, 'no verb'],
    [['show', 'a_1'], 1, 'there is no such approval'],
  ])('%j ends with %i', async (args, code, said) => {
    expect(await run(...args)).toMatchObject({ code, stderr: expect.stringContaining(said) })
  })

  test('ends with 69 where no Countersign answers', async () => {
    expect(await countersign(['approvals', '--addr', '127.0.0.1:1', '--key-pair', file])).toMatchObject({ code: 69 })
  })
})
