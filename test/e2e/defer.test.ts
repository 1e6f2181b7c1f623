import { request } from 'node:http'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openTask } from '../support/approval-rig.ts'
import { countersign } from '../support/command-line.ts'
import { DeferRig, other, scanned } from '../support/defer-rig.ts'
import { openStream, StreamingUpstream } from '../support/kill-rig.ts'
import { agentId, ask, routeTo, Running } from '../support/running.ts'

const later = { status: 403, json: { code: 'approve.deferred', retry: 'later', terminal: false } }

describe('a call that needs a fact', () => {
  test('is held without a byte to the upstream, and goes out when the fact is given', async () => {
    await using rig = await DeferRig.start()
    const held = rig.put()
    const [call] = await rig.waiting(1)
    expect(rig.upstream.seen).toEqual([])
    await rig.give()
    expect(await held).toMatchObject({ status: 200 })
    expect(rig.upstream.seen.map(({ url }) => url)).toEqual(['/files/1'])
    expect(rig.events('defer.opened')).toMatchObject([
      {
        call,
        tool: 'files.put',
        effect: 'defer',
        missing: ['signals.malware-scan.value'],
        conflicts: [],
        behind: null,
        depth: 1,
        hold: 10_000,
      },
    ])
    expect(rig.events('defer.judged')).toMatchObject([{ call, turn: 1, cause: 'fact', effect: 'allow', missing: [] }])
    expect(rig.events('defer.resolved')).toMatchObject([{ call, how: 'judged', effect: 'allow', code: null, turns: 1 }])
    expect(rig.running.entries().find(({ kind }) => kind === 'decision')).toMatchObject({ id: call, effect: 'allow', rules: [] })
    expect(
      rig.running
        .entries()
        .map(({ event, kind }) => event ?? kind)
        .filter((one) => /signal|defer|decision/.test(String(one))),
    ).toEqual(['defer.opened', 'signal.given', 'defer.judged', 'defer.resolved', 'decision'])
    expect([rig.foundation.line.size, rig.foundation.revoke.held]).toEqual([0, 0])
    expect((await rig.put()).status).toBe(200)
    expect((await rig.running.verify()).ok).toBe(true)
  })

  test('is denied when its time is over, with nothing of policy told', async () => {
    await using rig = await DeferRig.start({ requires: [{ ...scanned, hold: '30ms' }] })
    const answer = await rig.put()
    expect(answer).toMatchObject(later)
    expect(answer.headers['countersign-decision']).toBe('defer')
    expect(answer.headers['retry-after']).toBe('1')
    expect(answer.text).not.toMatch(/malware|signals/)
    expect(rig.upstream.seen).toEqual([])
    expect(rig.events('defer.resolved')).toMatchObject([{ how: 'refused', effect: 'deny', code: 'approve.deferred' }])
    expect(rig.running.entries().find(({ kind }) => kind === 'refusal')).toMatchObject({
      effect: 'defer',
      rules: ['signals.required'],
      code: 'approve.deferred',
    })
  })

  test('is denied at once by a fact that says something else, and is asked about where the setting says so', async () => {
    await using rig = await DeferRig.start({
      requires: [scanned, { ...scanned, id: 'sized', signal: 'size', equals: 1, otherwise: 'ask' }],
    })
    const held = rig.put()
    await rig.waiting(1)
    await rig.give({ name: 'size', value: 1 })
    await expect.poll(() => rig.events('defer.judged')).toMatchObject([{ effect: 'defer', missing: ['signals.malware-scan.value'] }])
    await rig.give({ value: 'infected' })
    expect((await held).json).toMatchObject({ code: 'decide.denied', terminal: true })
    await rig.give()
    await rig.give({ name: 'size', value: 2 })
    expect((await rig.put()).json['code']).toBe('approve.required')
    expect(rig.upstream.seen).toEqual([])
  })

  test('does not pass by a fact of another resource, task or caller, nor one that is late', async () => {
    await using rig = await DeferRig.start({ requires: [scanned] }, { hold: '40ms' })
    const [task, second] = [await openTask(rig.running), await openTask(rig.running)]
    await rig.give({ key: 'file:2' })
    await rig.give({ scope: 'task', key: task })
    await rig.give({ scope: 'caller', key: other })
    expect(await rig.put('1', { task: second })).toMatchObject(later)
    expect((await rig.put('1', { task })).status).toBe(200)
    expect((await rig.put('1', { by: other })).status).toBe(200)
    expect((await rig.put('2', { task: second })).status).toBe(200)
    await rig.foundation.signals.withdraw({ scope: 'task', key: task, name: 'malware-scan' }, { by: 'person:ada', reason: 'wrong' })
    expect(await rig.put('1', { task })).toMatchObject(later)
    expect(rig.events('signal.withdrawn')).toEqual([{ scope: 'task', key: task, name: 'malware-scan', reason: 'wrong' }])
  })

  test('cannot be given its fact by an agent', async () => {
    await using rig = await DeferRig.start({ requires: [scanned] }, { hold: '30ms' })
    const authorization = `Bearer ${await rig.running.svid()}`
    for (const path of ['/v1/signals/resource/file%3A1/malware-scan', '/.countersign/v1/signals/resource/file%3A1/malware-scan'])
      for (const port of [rig.running.port(), rig.running.port('admin')])
        expect(
          (await ask(port, path, { method: 'PUT', headers: { authorization }, body: '{"value":"clean","ttl":"1m","reason":"x","by":"y"}' }))
            .status,
        ).toBeGreaterThanOrEqual(400)
    const headers = { 'countersign-signal': 'malware-scan=clean', 'x-signals': '{"malware-scan":{"value":"clean"}}' }
    expect(await rig.put('1', { headers, body: '{"signals":{"malware-scan":{"value":"clean"}}}' })).toMatchObject(later)
    expect(rig.foundation.state.signals.signals()).toEqual([])
  })

  test('is refused where its body was not read whole', async () => {
    await using rig = await DeferRig.start()
    expect((await rig.call('PUT', '/raw')).json['code']).toBe('decide.denied')
    expect(rig.events('defer.opened')).toEqual([])
  })

  test('keeps to the calls of its agent that may wait', async () => {
    await using rig = await DeferRig.start({ requires: [scanned] }, { held_per_caller: 3 })
    const held = ['a', 'b', 'c'].map((file) => rig.put(file))
    await rig.waiting(3)
    expect(await rig.put('d')).toMatchObject(later)
    const foreign = rig.put('1', { by: other })
    await rig.waiting(4)
    await rig.give({ scope: 'caller', key: agentId })
    await rig.give({ scope: 'caller', key: other })
    expect((await Promise.all([...held, foreign])).map(({ status }) => status)).toEqual([200, 200, 200, 200])
  })
})

describe('a signal', () => {
  test('that comes to speak against a stream cuts it, and one that is withdrawn does not', async () => {
    await using upstream = await StreamingUpstream.start()
    const requires = [{ id: 'scanned', signal: 'malware-scan', equals: 'clean' }]
    await using running = await Running.start({
      routes: { api: routeTo(upstream.url, 'api') },
      settings: { decide: { environment: 'test', settings: { requires } } },
    })
    const { signals } = running.sidecar.foundation
    const given = { scope: 'caller', key: agentId, name: 'malware-scan', source: 's', ttl: 60_000, by: 'person:ada', reason: 'r' } as const
    await signals.give({ ...given, value: 'clean' })
    const stream = await openStream(running)
    await signals.withdraw(given, given)
    await running.sidecar.foundation.rejudge({ cause: 'signal' })
    expect(stream.ended).toBe(false)
    await signals.give({ ...given, value: 'infected' })
    await stream.over
    await expect.poll(() => running.entries().find(({ kind }) => kind === 'outcome')).toMatchObject({ ended: 'cut', code: 'decide.denied' })
  })

  test('is set, listed and withdrawn on the command line', async () => {
    await using rig = await DeferRig.start({ requires: [scanned] }, { hold: '55s' })
    const access = ['--addr', `127.0.0.1:${rig.running.port('admin')}`, '--key', join(rig.running.folder, 'admin.key')]
    const cli = (...words: string[]) => countersign(['signal', ...words, ...access])
    const held = rig.put()
    await rig.waiting(1)
    const set = await cli('set', '--resource', 'file:1', 'malware-scan', 'clean', '--ttl', '1m', '--reason', 'scanned', '--as', 'ada')
    expect(set).toMatchObject({ code: 0, stdout: expect.stringMatching(/^resource file:1 {2}malware-scan="clean" {2}from person:ada/) })
    expect((await held).status).toBe(200)
    expect((await cli('ls', '-o', 'json')).stdout).toContain('"value": "clean"')
    expect(await cli('rm', '--resource', 'file:1', 'malware-scan', '--reason', 'x', '--as', 'ada')).toMatchObject({ code: 0 })
    expect(await cli('rm', 'malware-scan', '--reason', 'x', '--as', 'ada')).toMatchObject({ code: 64 })
    expect(await cli('set', '--task', 't_1', 'a', 'b', '--reason', 'x', '--as', 'ada')).toMatchObject({ code: 64 })
    expect(await cli('ls')).toMatchObject({ code: 0, stdout: '' })
  })
})

describe('the wait of a call', () => {
  test('ends with a kill, with its task, and when its client leaves', async () => {
    await using rig = await DeferRig.start()
    const task = await openTask(rig.running)
    const ended = rig.put('1', { task })
    await rig.waiting(1)
    const authorization = `Bearer ${await rig.running.svid()}`
    await ask(rig.running.port(), `/.countersign/v1/tasks/${task}/complete`, { method: 'POST', headers: { authorization } })
    expect((await ended).json['code']).toBe('task.ended')

    const headers = { authorization, 'content-type': 'application/json', 'content-length': '2' }
    const sent = request({ host: '127.0.0.1', port: rig.running.port(), path: '/files/files/1', method: 'PUT', headers, agent: false })
    sent.on('error', () => {})
    sent.end('{}')
    await rig.waiting(2)
    sent.destroy()
    await expect.poll(() => rig.foundation.line.size).toBe(0)

    const killed = rig.put()
    await rig.waiting(3)
    await rig.foundation.kills.engage({ scope: 'everything', name: null, by: 'person:ada', reason: 'stop' })
    expect((await killed).json['code']).toBe('kill.engaged')
    expect(rig.upstream.seen).toEqual([])
    expect(rig.events('defer.resolved').map(({ how, code }) => [how, code])).toEqual([
      ['cut', 'task.ended'],
      ['cut', 'listen.malformed'],
      ['cut', 'kill.engaged'],
    ])
    expect(rig.foundation.revoke.held).toBe(0)
  })

  test('ends when Countersign shuts down, and leaves its record', async () => {
    await using rig = await DeferRig.start()
    const held = rig.put()
    await rig.waiting(1)
    await rig.running.restart()
    expect(await held).toMatchObject(later)
    expect(rig.events('defer.opened')).toHaveLength(1)
    expect(rig.events('defer.resolved')).toMatchObject([{ code: 'approve.deferred' }])
    await rig.give()
    await rig.running.restart()
    expect((await rig.put()).status).toBe(200)
    expect(rig.foundation.state.signals.signals()).toMatchObject([{ name: 'malware-scan', source: 'scanner-3' }])
  })

  test('ends with a policy that needs the fact no more', async () => {
    await using rig = await DeferRig.start()
    const held = rig.put()
    await rig.waiting(1)
    const { deferOptions } = await import('../support/defer-rig.ts')
    await rig.running.reload(deferOptions(rig.upstream.url, { requires: [{ ...scanned, tools: ['other'] }] }))
    expect([200, 503]).toContain((await held).status)
  })
})

describe('two rules that disagree', () => {
  const settings = (priority: number) => ({
    tiers: [{ tools: ['files.put'], effect: 'deny' }],
    exceptions: [
      {
        id: 'cleanup',
        lifts: ['autonomy.tier'],
        tools: ['files.put'],
        after: ['files.tag'],
        until: '2999-01-01T00:00:00Z',
        by: 'ada',
        reason: 'cleanup',
        priority,
      },
    ],
  })

  test('hold the call, and the one with priority decides', async () => {
    await using rig = await DeferRig.start(settings(0), { hold: '50ms' })
    expect((await rig.put()).json['code']).toBe('decide.denied')
    expect((await rig.call('POST', '/files/1/tags')).status).toBe(200)
    expect(await rig.put()).toMatchObject(later)
    expect(rig.events('defer.opened')).toMatchObject([{ conflicts: ['autonomy.tier'], rules: ['autonomy.tier', 'conflict.equal'] }])
    await rig.running.reload((await import('../support/defer-rig.ts')).deferOptions(rig.upstream.url, settings(1)))
    expect((await rig.put()).status).toBe(200)
    const lines = rig.running.ledgerText().split('\n')
    expect(lines.some((line) => line.includes('"exception.lifted":"autonomy.tier by ada until 32472144000000 cleanup"'))).toBe(true)
  })
})

describe('a call that depends on one that waits', () => {
  const behind = (id: string | undefined) => ({ headers: { 'countersign-depends-on': String(id) } })

  test('waits behind it, goes out after it, and its header stays here', async () => {
    await using rig = await DeferRig.start()
    const first = rig.put()
    const [id] = await rig.waiting(1)
    const second = rig.call('GET', '/other', behind(id))
    const [, next] = await rig.waiting(2)
    const third = rig.call('GET', '/third', behind(next))
    await rig.waiting(3)
    expect((await rig.call('GET', '/independent')).status).toBe(200)
    expect((await rig.call('GET', '/files/1')).status).toBe(200)
    expect(rig.upstream.seen).toHaveLength(2)
    await rig.give()
    expect((await Promise.all([first, second, third])).map(({ status }) => status)).toEqual([200, 200, 200])
    expect(rig.upstream.seen.map(({ url }) => url)).toEqual(['/independent', '/files/1', '/files/1', '/other', '/third'])
    expect(rig.upstream.seen.some(({ headers }) => 'countersign-depends-on' in headers)).toBe(false)
    expect(rig.events('defer.opened').map(({ behind: ahead, depth }) => [ahead, depth])).toEqual([
      [null, 1],
      [id, 2],
      [next, 3],
    ])
    expect((await rig.call('GET', '/later', behind(id))).status).toBe(200)
  })

  test('may name it before its answer is there: its agent sees in the task which calls wait', async () => {
    await using rig = await DeferRig.start()
    const bearer = async (by?: string) => ({ authorization: `Bearer ${await rig.running.svid(by)}` })
    const headers = await bearer()
    const opened = await ask(rig.running.port(), '/.countersign/v1/tasks', { method: 'POST', headers, body: '{"purpose":"two files"}' })
    const task = String(opened.json['id'])
    const view = (by?: string) => bearer(by).then((who) => ask(rig.running.port(), `/.countersign/v1/tasks/${task}`, { headers: who }))
    expect((await view()).json).toMatchObject({ held: [], approvals: [] })
    const first = rig.put('1', { task })
    await rig.waiting(1)
    const held = (await view()).json['held'] as { readonly call: string }[]
    expect(held).toEqual([{ call: expect.stringMatching(/^c_/), tool: 'files.put', code: 'approve.deferred' }])
    expect((await view(other)).json['code']).toBe('task.unknown')
    const second = rig.call('GET', '/other', { task, ...behind(held[0]?.call) })
    await rig.waiting(2)
    await rig.give()
    expect((await Promise.all([first, second])).map(({ status }) => status)).toEqual([200, 200])
    expect((await view()).json['held']).toEqual([])
  })

  test('waits in order where it changes the same resource', async () => {
    await using rig = await DeferRig.start()
    const first = rig.put()
    const [id] = await rig.waiting(1)
    const second = rig.call('POST', '/files/1/tags')
    await rig.waiting(2)
    expect((await rig.call('POST', '/files/2/tags')).status).toBe(200)
    await rig.give()
    expect((await Promise.all([first, second])).map(({ status }) => status)).toEqual([200, 200])
    expect(rig.upstream.seen.map(({ url }) => url)).toEqual(['/files/2/tags', '/files/1', '/files/1/tags'])
    expect(rig.events('defer.opened')[1]).toMatchObject({ behind: id, depth: 2, effect: 'allow' })
  })

  test('is refused with it', async () => {
    await using rig = await DeferRig.start({ requires: [{ ...scanned, hold: '150ms' }] })
    const first = rig.put()
    const [id] = await rig.waiting(1)
    const second = rig.call('GET', '/other', behind(id))
    await rig.waiting(2)
    expect(await first).toMatchObject(later)
    const refused = { status: 403, json: { code: 'approve.deferred', retry: 'never' } }
    expect(await second).toMatchObject(refused)
    expect(await rig.call('GET', '/other', behind(id))).toMatchObject(refused)
    expect(rig.upstream.seen).toEqual([])
  })

  test('is refused at once past the bound of the chain, in a loop, behind a call of another task, and behind one that is not known', async () => {
    await using rig = await DeferRig.start({ requires: [scanned] }, { chain: 2 })
    const [own, task] = [await openTask(rig.running), await openTask(rig.running)]
    const first = rig.put('1', { task: own })
    const [id] = await rig.waiting(1)
    const second = rig.call('GET', '/b', { ...behind(id), task: own })
    const [, next] = await rig.waiting(2)
    expect(await rig.call('GET', '/c', { ...behind(next), task: own })).toMatchObject(later)
    const never = { status: 403, json: { code: 'approve.deferred', retry: 'never' } }
    expect(await rig.call('GET', '/c', { ...behind(id), task })).toMatchObject(never)
    expect(await rig.call('GET', '/c', { ...behind(id), by: other })).toMatchObject(never)
    for (const unknown of ['c_01AAAAAAAAAAAAAAAAAAAAAAAA', 'c_7ZZZZZZZZZZZZZZZZZZZZZZZZZ'])
      expect(await rig.call('GET', '/c', { ...behind(unknown), task })).toMatchObject(never)
    for (const malformed of ['t_01AAAAAAAAAAAAAAAAAAAAAAAA', 'c_1', `${id},${next}`])
      expect((await rig.call('GET', '/c', { ...behind(malformed), task })).json['code']).toBe('listen.malformed')
    expect(rig.upstream.seen).toEqual([])
    await rig.give()
    expect((await Promise.all([first, second])).map(({ status }) => status)).toEqual([200, 200])
  })

  test('that was allowed at once goes on as if it said nothing', async () => {
    await using rig = await DeferRig.start()
    const before = await rig.call('GET', '/a')
    expect((await rig.call('GET', '/b', behind(String(before.headers['countersign-call'])))).status).toBe(200)
    expect(rig.events('defer.opened')).toEqual([])
  })
})
