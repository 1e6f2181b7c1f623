import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { admin, as, events, get, openStream, openTask, StreamingUpstream } from '../support/kill-rig.ts'
import { agentId, anyTool, ask, freeAgent, owners, routeTo, Running, TestUpstream, type Settings } from '../support/running.ts'

const other = 'spiffe://acme.example/ns/test/sa/other'
const jwt = { type: 'jwt', audience: 'https://api.acme.example' }

/** Two known paths; everything else is refused by policy. */
const known = [anyTool('api.known', { match: 'GET /events' }), anyTool('api.ok', { match: 'GET /ok' })]

function start(
  to: string,
  task: Settings,
  more: { readonly route?: Settings; readonly agents?: readonly Settings[] } = {},
): Promise<Running> {
  return Running.start({
    routes: { api: routeTo(to, 'api', { tools: known, ...more.route }) },
    providers: more.route?.['credential'] === undefined ? {} : { api: jwt },
    agents: more.agents ?? [freeAgent(), freeAgent({ id: other })],
    settings: { task },
  })
}

async function killed(running: Running): Promise<Readonly<Record<string, unknown>>> {
  await running.sidecar.foundation.kills.settled()
  return events(running, 'kill.engaged')[0] ?? {}
}

describe('a rule that counts refusals', () => {
  const stops = [{ id: 'too-many-denials', when: { denials: 5, in: '1m' } }]

  test('stops the task that is refused too often, says why, and tells the owners', async () => {
    await using upstream = await StreamingUpstream.start()
    await using running = await start(upstream.url, { stops }, { agents: [freeAgent({ implicit: false })] })
    const [bad, good] = [await openTask(running), await openTask(running)]
    const stream = await openStream(running, agentId, bad)
    for (let at = 0; at < 5; at++) expect((await get(running, '/api/unknown', agentId, bad)).json['code']).toBe('decide.denied')
    await stream.over
    expect((await get(running, '/api/events', agentId, bad)).json['code']).toBe('kill.engaged')
    expect((await get(running, '/api/unknown', agentId, good)).json['code']).toBe('decide.denied')

    expect(await killed(running)).toMatchObject({
      scope: 'task',
      name: bad,
      reason: 'rule too-many-denials: 5 refusals within 60 s',
      facts: { denials: 5, in: 60_000, rules: expect.arrayContaining(['tool.uncatalogued']), owners },
    })
    const line = running.entries().find(({ event }) => event === 'kill.engaged')
    expect(line).toMatchObject({ by: 'rule:too-many-denials', task: bad, caller: agentId })
    expect(events(running, 'notification')).toEqual([
      expect.objectContaining({ to: 'ledger', message: expect.stringContaining(`security ${owners.security}`) }),
    ])
    const metrics = await (await fetch(`http://127.0.0.1:${running.port('health')}/metrics`)).text()
    expect(metrics).toContain('countersign_kills_engaged{scope="task"} 1')
    expect(metrics).toContain('countersign_kills_total{scope="task",by="rule"} 1')
  })

  test('goes on counting after a restart, and under a configuration that was swapped in', async () => {
    await using upstream = await StreamingUpstream.start()
    await using running = await start(upstream.url, { stops }, { agents: [freeAgent({ implicit: false })] })
    const task = await openTask(running)
    const refused = async (): Promise<unknown> => (await get(running, '/api/unknown', agentId, task)).json['code']
    for (let at = 0; at < 2; at++) expect(await refused()).toBe('decide.denied')
    await running.restart()
    for (let at = 0; at < 2; at++) expect(await refused()).toBe('decide.denied')
    await running.reload({
      routes: { api: routeTo(upstream.url, 'api', { tools: known }) },
      agents: [freeAgent({ implicit: false })],
      settings: { task: { stops: [...stops, { id: 'another', when: { denials: 500, in: '1h' } }] } },
    })
    expect(await refused()).toBe('decide.denied')
    expect(await refused()).toBe('kill.engaged')
    expect(await killed(running)).toMatchObject({ reason: 'rule too-many-denials: 5 refusals within 60 s' })
  })

  test('stops an agent with all of its identities, and forgets what is long ago', async () => {
    await using upstream = await StreamingUpstream.start()
    let now = Date.now()
    const pod = (name: string): string => `spiffe://acme.example/ns/pods/sa/${name}`
    await using running = await Running.start({
      routes: { api: routeTo(upstream.url, 'api', { tools: known }) },
      agents: [freeAgent({ id: pod('*') })],
      settings: { task: { stops: [{ ...stops[0], scope: 'agent' }] } },
      clock: () => now,
    })
    const refused = async (name: string): Promise<unknown> => (await get(running, '/api/unknown', pod(name))).json['code']
    for (let at = 0; at < 4; at++) expect(await refused(`pod-${at}`)).toBe('decide.denied')
    now += 60_001
    for (let at = 0; at < 5; at++) expect(await refused(`pod-${at}`)).toBe('decide.denied')
    expect(await refused('new-pod')).toBe('kill.engaged')
    expect(await killed(running)).toMatchObject({ scope: 'agent', name: pod('*') })
  })
})

describe('a rule that watches divergence', () => {
  test('stops the task whose score reaches its limit, with the score, cuts what it has open, and no other task', async () => {
    await using upstream = await StreamingUpstream.start()
    const intent = { ...(freeAgent()['intent'] as Settings), tools: ['api.known'] }
    const stops = [{ id: 'left-its-intent', when: { divergence: 30 } }]
    await using running = await start(upstream.url, { stops }, { agents: [freeAgent({ implicit: false, intent })] })
    const [bad, good] = [await openTask(running), await openTask(running)]
    const stream = await openStream(running, agentId, bad)
    // a tool beyond the intent counts 10 each time
    for (let at = 0; at < 2; at++) expect((await get(running, '/api/ok', agentId, bad)).json['code']).toBe('decide.denied')
    expect(running.sidecar.foundation.state.facts(bad, agentId).task.divergence.score).toBe(20)
    expect(stream.ended).toBe(false)
    expect((await get(running, '/api/ok', agentId, bad)).json['code']).toBe('decide.denied')
    await stream.over
    expect((await get(running, '/api/events', agentId, bad)).json['code']).toBe('kill.engaged')
    expect((await get(running, '/api/ok', agentId, good)).json['code']).toBe('decide.denied')
    expect(await killed(running)).toMatchObject({
      scope: 'task',
      name: bad,
      reason: 'rule left-its-intent: divergence 30 of 30',
      facts: { divergence: 30, most: 30, owners },
    })
  })
})

describe('a rule that watches credentials', () => {
  const stops = [{ id: 'misused', when: { credential_misuse: 1 }, scope: 'agent' }]
  const route = { credential: 'api' }

  test('stops the agent whose upstream sends its credential back, in the body or in a header', async () => {
    for (const where of ['body', 'header'] as const) {
      await using upstream = await TestUpstream.start(({ headers }, response) => {
        const echo = String(headers.authorization)
        if (where === 'header') response.setHeader('x-echo', echo)
        response.end(where === 'body' ? `{"got":"${echo}"}` : '{}')
      })
      await using running = await start(upstream.url, { stops }, { route })
      const first = await get(running, '/api/events')
      expect(first.text + JSON.stringify(first.headers)).not.toMatch(/Bearer ey/)
      expect((await get(running, '/api/events')).json['code'], where).toBe('kill.engaged')
      expect(await killed(running)).toMatchObject({ name: agentId, facts: { credential_misuse: 1, how: 'an upstream sent it back' } })
    }
  })

  test('stops the agent that a credential was lent to, when somebody presents it as an identity', async () => {
    await using upstream = await StreamingUpstream.start()
    await using running = await start(upstream.url, { stops }, { route })
    const stream = await openStream(running)
    const headers = { ...(await as(running, other)), 'x-api-key': upstream.tokens[0] ?? '' }
    expect((await ask(running.port(), '/api/events', { headers })).json['code']).toBe('identify.rejected')
    await stream.over
    expect(await killed(running)).toMatchObject({ name: agentId, facts: { how: 'it was presented as an identity' } })
    expect(running.logged.join()).not.toContain(upstream.tokens[0])
    expect(running.ledgerText()).not.toContain(upstream.tokens[0])
  })
})

describe('a kill file', () => {
  const files = (running: Running) => running.sidecar.foundation.killFile
  const look = async (running: Running): Promise<void> => {
    // the one that is under way may have looked before
    await files(running)?.look()
    await files(running)?.look()
  }
  const code = async (running: Running, id = agentId): Promise<unknown> => (await get(running, '/api/ok', id)).json['code']

  test('stops what it says while the agent holds its only connection open and nobody asks the admin port', async () => {
    await using upstream = await StreamingUpstream.start()
    await using running = await start(upstream.url, { kill_file: 'kill' })
    const stream = await openStream(running)
    writeFileSync(join(running.folder, 'kill'), `# ticket 4711\nagent ${agentId}  # its key leaked\n`)
    await stream.over
    expect(stream.text).toBe('data: 1\n\n')
    expect(await code(running)).toBe('kill.engaged')
    expect(await killed(running)).toMatchObject({ scope: 'agent', name: agentId, reason: 'its key leaked' })
    const line = running.entries().find(({ event }) => event === 'kill.engaged')
    expect(line).toMatchObject({ by: `file:${join(running.folder, 'kill')}` })
  })

  test('lifts nothing when a line is taken out; a person does, and not while the line stands', async () => {
    await using upstream = await StreamingUpstream.start()
    await using running = await start(upstream.url, { kill_file: 'kill' })
    const path = join(running.folder, 'kill')
    writeFileSync(path, 'everything\n')
    await look(running)
    const [{ id } = { id: '' }] = (await admin(running, '/v1/kills')).json['kills'] as { id: string }[]
    const lift = () => admin(running, `/v1/kills/${id}/lift`, { reason: 'over', by: 'oncall' })
    expect((await lift()).json).toMatchObject({ status: 409, title: 'the kill file still says so: take the line out first' })
    writeFileSync(path, '# nothing\n')
    await look(running)
    expect(await code(running)).toBe('kill.engaged')
    expect((await lift()).status).toBe(200)
    expect(await code(running)).toBeUndefined()
  })

  test('is in force before the first call of a start', async () => {
    await using upstream = await StreamingUpstream.start()
    await using running = await start(upstream.url, { kill_file: 'kill' })
    // without a line end, as printf writes it
    writeFileSync(join(running.folder, 'kill'), 'tool api.ok')
    await running.restart()
    expect(await code(running)).toBe('kill.engaged')
  })

  test('that cannot be read is loud, engages the lines that can, and takes nothing back', async () => {
    await using upstream = await StreamingUpstream.start()
    await using running = await start(upstream.url, { kill_file: 'kill' })
    const path = join(running.folder, 'kill')
    writeFileSync(path, `agnet ${other}\nagent ${agentId}\nagent\n`)
    await look(running)
    expect(await code(running)).toBe('kill.engaged')
    expect(await code(running, other)).toBeUndefined()
    const faults = [
      expect.stringContaining('line 1: what to kill is one of'),
      expect.stringContaining('line 3: kill agent needs a SPIFFE ID'),
    ]
    expect(events(running, 'kill.file-failed')).toEqual([{ faults }])
    expect(running.logged.join()).toContain('the kill file says something that is not in force')
    rmSync(path)
    mkdirSync(path)
    mkdirSync(join(path, 'no-file'))
    await look(running)
    expect(await code(running)).toBe('kill.engaged')
    expect(events(running, 'kill.file-failed').at(-1)).toEqual({ faults: [expect.stringContaining('no-file: not a file')] })
  })

  test('may be a folder that is swapped as a whole, as a ConfigMap is', async () => {
    await using upstream = await StreamingUpstream.start()
    await using running = await start(upstream.url, { kill_file: 'stops' })
    const at = (name: string): string => join(running.folder, 'stops', name)
    const generation = (name: string, text: string): void => {
      mkdirSync(at(name), { recursive: true })
      writeFileSync(join(at(name), 'kill'), text)
      symlinkSync(name, at('..new'))
      renameSync(at('..new'), at('..data'))
    }
    generation('..one', '\n')
    symlinkSync('..data/kill', at('kill'))
    await look(running)
    expect(await code(running)).toBeUndefined()
    generation('..two', `agent ${agentId}\n`)
    await look(running)
    expect(await code(running)).toBe('kill.engaged')
  })
})
