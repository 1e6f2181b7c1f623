import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { jsonSchema } from '../../src/config/schema.ts'
import { Command, countersign, type Ran } from '../support/command-line.ts'
import { agentId, anyTool, ask, freeAgent, routeTo, Running, TestUpstream, type RunningOptions } from '../support/running.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-cli-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function file(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

/** Whatever could move a cursor, change a colour or turn text around. */
const unprintable = /[^\P{C}\n]|[\u2028\u2029]/u

describe('check', () => {
  const good = `version: 1
identify:
  audience: spiffe://acme.example/countersign
  sources:
    - { type: jwt-svid, trust_domain: acme.example, keys: { file: bundle.json } }
task:
  state: { path: state.db }
  agents:
    - id: spiffe://acme.example/agent
      purpose: test
      owners: { business: refunds team, security: appsec team, incident: on-call team }
      autonomy: bounded
      intent: { tools: [crm.read] }
forward:
  routes:
    crm:
      at: /crm
      to: https://crm.acme.example
      tools:
        - { name: crm.read, match: "GET /a", effect: read, risk: low, egress: internal }
record:
  ledger: { path: ledger }
`

  test('says that a good file is good, and prints it whole when asked', async () => {
    const path = file('good.yaml', good)
    const [plain, effective] = await Promise.all([countersign(['check', path]), countersign(['check', '--effective', path])])
    expect(plain).toEqual({ code: 0, stdout: '', stderr: `${path} is good\n` })
    expect(effective.code).toBe(0)
    expect(JSON.parse(effective.stdout)).toMatchObject({ version: 1, listen: { drain: 25_000, limits: { judged_body: 262_144 } } })
  })

  test('names owners that nobody filled in', async () => {
    const path = file('placeholder.yaml', good.replace('appsec team', 'appsec@acme.example'))
    const { code, stdout, stderr } = await countersign(['check', path])
    expect(stdout).toContain('CS1603  nobody answers under a placeholder: security appsec@acme.example')
    expect({ code, stderr }).toEqual({ code: 0, stderr: `${path} can be used; 1 remark\n` })
  })

  test('tells every slip of form at once, by line and column, with what was probably meant', async () => {
    const path = file(
      'form.yaml',
      `version: 1
listen:
  agnet: [{ at: "127.0.0.1:7420" }]
  drain: 25
identify:
  audience: spiffe://acme.example/\${NOT_SET}
  sources:
    - { type: jwt-svid, trust_domain: acme.example, keys: { file: bundle.json } }
task:
  state: { path: state.db }
  agents:
    - id: spiffe://acme.example/agent
      purpose: test
      autonomy: bounded
      intent: { tool: [crm.read] }
credential:
  providers:
    mail: { type: static, value: sk-live-1234567890, unsafe_standing: true }
    crm: { type: static, value: { file: key } }
forward:
  routes:
    crm: { at: /crm, to: https://crm.acme.example }
`,
    )
    const [text, json] = await Promise.all([countersign(['check', path]), countersign(['check', '-o', 'json', path])])
    expect(text.code).toBe(1)
    expect(text.stderr).toBe('8 problems\n')
    const lines = text.stdout.trim().split('\n')
    const brief = lines.map((line) => line.slice(path.length + 1).replace(/^(\S+ {2}CS\d{4}) {2}.*$/, '$1'))
    expect(brief).toEqual([
      '1:1  CS1202',
      '3:3  CS1204',
      '4:3  CS1201',
      '6:3  CS1110',
      '15:7  CS1202',
      '15:17  CS1204',
      '18:27  CS1301',
      '19:5  CS1310',
    ])
    expect(lines[1]).toContain('unknown key "agnet", did you mean "agent"?')
    expect(lines[5]).toContain('unknown key "tool", did you mean "tools"?')
    expect(lines[7]).toContain('say unsafe_standing: true, or use oauth')
    expect(text.stdout).not.toContain('sk-live')
    expect(json.code).toBe(1)
    const { findings } = JSON.parse(json.stdout) as { findings: Record<string, unknown>[] }
    expect(findings.map(({ line, column, code }) => `${line}:${column}  ${code}`)).toEqual(brief)
    expect(findings[1]).toMatchObject({ severity: 'error', path: 'listen.agnet' })
  })

  test('tells every disagreement between settings at once', async () => {
    const text = good
      .replace('identify:', 'listen:\n  agent: [{ at: "0.0.0.0:7420" }]\nidentify:')
      .replace(', security: appsec team', '')
      .replace('[crm.read]', '[crm.reed]')
      .replace('forward:', 'credential:\n  providers:\n    mail: { type: static, value: { file: key }, unsafe_standing: true }\nforward:')
      .replace('      tools:', '      credential: crn\n      tools:')
      .replace('egress: internal }', 'egress: internal, debit: { eur: /amount } }')
      .replace('record:', '    erp: { at: /crm, to: https://erp.acme.example }\nrecord:')
    const path = file('agree.yaml', text)
    const { code, stdout } = await countersign(['check', path])
    expect(code).toBe(1)
    expect(
      stdout.split('\n').map((line) =>
        line
          .slice(path.length + 1)
          .split('  ')
          .slice(0, 2)
          .join(' '),
      ),
    ).toEqual([
      '3:13 CS1501',
      '13:7 CS1601',
      '15:25 CS1401',
      '18:5 CS1403',
      '18:49 CS1901',
      '24:7 CS1401',
      '26:89 CS1403',
      '27:5 CS1402',
      '',
    ])
  })

  test('tells what is no file, no YAML, or no way to call it', async () => {
    const broken = file('broken.yaml', 'version: [1\n')
    const missing = join(folder, 'not-there.yaml')
    const [noYaml, noFile, noWord, noOption] = await Promise.all([
      countersign(['check', broken]),
      countersign(['check', missing]),
      countersign(['check']),
      countersign(['check', '--loud', broken]),
    ])
    expect(noYaml).toMatchObject({ code: 1, stderr: '1 problem\n' })
    expect(noYaml?.stdout).toMatch(/broken\.yaml:2:1 {2}CS1101 {2}.*sufficiently indented and end with a \]\n$/)
    expect(noFile).toMatchObject({ code: 1 })
    expect(noFile?.stdout).toContain(`${missing}:1:1  CS1001  cannot read the file`)
    expect(noWord).toMatchObject({ code: 64, stdout: '' })
    expect(noWord?.stderr).toContain('usage: countersign check')
    expect(noOption?.code).toBe(64)
  })
})

/** A sidecar with one call of each kind in its ledger. */
async function withCalls(upstream: TestUpstream, more: Partial<RunningOptions> = {}): Promise<Running> {
  const tools = [
    anyTool('api.read', { match: 'GET /things/{id}' }),
    anyTool('api.delete', { match: 'DELETE /things/{id}', effect: 'delete', risk: 'critical' }),
  ]
  const running = await Running.start({
    routes: { api: routeTo(upstream.url, 'api', { credential: 'api', tools }), other: routeTo(upstream.url, 'other') },
    providers: { api: { type: 'jwt', audience: 'https://api.acme.example' } },
    agents: [freeAgent(), freeAgent({ id: 'spiffe://acme.example/ns/test/sa/second' })],
    ...more,
  })
  const call = async (path: string, method = 'GET', id = agentId): Promise<unknown> =>
    ask(running.port(), path, { method, headers: { authorization: `Bearer ${await running.svid(id)}` } })
  await call('/api/things/1')
  await call('/api/things/1', 'DELETE')
  await call('/api/unknown')
  await call('/other/a', 'GET', 'spiffe://acme.example/ns/test/sa/second')
  await call('/nowhere')
  await ask(running.port(), '/api/things/2')
  return running
}

function admin(running: Running): string[] {
  return ['--addr', `127.0.0.1:${running.port('admin')}`, '--key', join(running.folder, 'admin.key')]
}

describe('logs', () => {
  test('as json are the stored lines, byte for byte, from the admin port, a folder, a file and a pipe', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await withCalls(upstream)
    const all = running.ledgerText()
    const segment = join(running.ledgerFolder, readdirSync(running.ledgerFolder).find((name) => name.endsWith('.ndjson')) ?? '')
    const runs = await Promise.all([
      countersign(['logs', '-n', '100000', '-o', 'json', ...admin(running)]),
      countersign(['logs', '-o', 'json', '--file', running.ledgerFolder]),
      countersign(['logs', '-o', 'json', '--file', segment]),
      countersign(['logs', '-o', 'json', '-'], { input: `not a ledger line\n${all}{"neither":"this"}\n` }),
    ])
    for (const run of runs) expect(run).toEqual({ code: 0, stdout: all, stderr: '' })
  })

  test('begin as many lines back as asked', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await withCalls(upstream)
    const { stdout } = await countersign(['logs', '-n', '3', '-o', 'json', ...admin(running)])
    expect(stdout).toBe(running.ledgerText().trim().split('\n').slice(-3).join('\n').concat('\n'))
  })

  test('show what the filters match, and with --not what they do not', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await withCalls(upstream)
    await running.close()
    const entries = running.entries()
    const codes = async (...words: string[]): Promise<string[]> => {
      const { stdout, stderr, code } = await countersign(['logs', '-o', 'json', '--file', running.ledgerFolder, ...words])
      expect({ code, stderr }, words.join(' ')).toEqual({ code: 0, stderr: '' })
      const lines = stdout === '' ? [] : stdout.trim().split('\n')
      return lines.map((line) => {
        const { kind, code: refused, event } = JSON.parse(line).custom.countersign
        return String(event ?? refused ?? kind)
      })
    }
    const task = String(entries.find(({ kind }) => kind === 'decision')?.['task'])
    const checks: [string[], string[]][] = [
      [
        ['--decision', 'allow'],
        ['decision', 'outcome', 'decision', 'outcome'],
      ],
      [
        ['--decision', 'ask'],
        ['approval.opened', 'approve.required'],
      ],
      [
        ['--decision', 'deny'],
        ['decide.denied', 'match.unroutable', 'identify.missing'],
      ],
      [
        ['--decision', 'deny,ask', '--route', 'api'],
        ['approval.opened', 'approve.required', 'decide.denied'],
      ],
      [
        ['--tool', 'api.del*'],
        ['approval.opened', 'approve.required'],
      ],
      [['--kind', 'approval.*'], ['approval.opened']],
      [['--agent', 'second', '--kind', 'outcome'], ['outcome']],
      [['--rule', 'tool.uncatalogued'], ['decide.denied']],
      [['--code', 'identify.*'], ['identify.missing']],
      [
        ['--agent', 'spiffe://acme.example/ns/test/sa/sec*', '--decision', 'allow'],
        ['decision', 'outcome'],
      ],
      [
        ['--task', task, '--decision', 'allow'],
        ['decision', 'outcome'],
      ],
      [
        ['--since', '1h', '--until', '2099-01-01T00:00:00Z', '--decision', 'ask'],
        ['approval.opened', 'approve.required'],
      ],
      [['--until', '1h'], []],
    ]
    const found = await Promise.all(checks.map(([words]) => codes(...words)))
    expect(found).toEqual(checks.map(([, expected]) => expected))
    expect((await codes('--not', '--decision', 'allow')).length).toBe(entries.length - 4)
  }, 90_000)

  test('tell people one line a call, without a byte that moves their terminal', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await withCalls(upstream)
    const headers = { authorization: `Bearer ${await running.svid()}` }
    // C1 controls, a bidirectional override and a line separator, as an agent can bring them into a path
    for (const path of ['/api/%C2%9B31mred', '/api/things/%E2%80%AEgnp.exe', '/other/%E2%80%A8next', '/nowhere/\u009B2J'])
      await ask(running.port(), path, { headers })
    const purpose = JSON.stringify({ purpose: 'x\u202Ey' })
    await ask(running.port(), '/.countersign/v1/tasks', { method: 'POST', headers, body: purpose })
    const runs = await Promise.all([
      countersign(['logs', '-n', '1000', ...admin(running)]),
      countersign(['logs', '-n', '1000', '-o', 'wide', ...admin(running)]),
      countersign(['logs', '-', '-o', 'wide'], { input: running.ledgerText() }),
      countersign(['logs', '-n', '1000', ...admin(running)], { env: { FORCE_COLOR: '1' } }),
      countersign(['logs', '-n', '1000', ...admin(running)], { env: { FORCE_COLOR: '1', NO_COLOR: '1' } }),
    ])
    const [compact, wide, piped, coloured, plain] = runs
    for (const { stdout } of [compact, wide, piped, plain]) expect(stdout).not.toMatch(unprintable)
    expect(compact.stdout).toMatch(/^\d\d:\d\d:\d\d\.\d{3} {2}✓ {2}agent +t_\w+…\w+ +GET api\.read .*200 {2}[\d.]+ ms$/m)
    expect(compact.stdout).toMatch(/⏸ .*DELETE api\.delete .*risk\.high-needs-person/)
    expect(compact.stdout).toMatch(/✗ .*GET api\.uncatalogued .*tool\.uncatalogued/)
    expect(compact.stdout).toMatch(/✗ .*identify\.missing/)
    expect(compact.stdout).toMatch(/· .*task\.opened/)
    expect(wide.stdout).toContain(agentId)
    expect(wide.stdout).toMatch(/ approval\.opened +ask .* api\.delete /)
    expect(piped.stdout).toBe(wide.stdout)
    expect(coloured.stdout).toContain('\u001B[32m✓')
    expect(plain.stdout).toBe(compact.stdout)
  })

  test('of a ledger that somebody forged move no terminal either', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await withCalls(upstream)
    const hostile = '\u001B[2J\u009B31m\u202E\u2028\rx'
    const forged = (line: string): string => {
      const event = JSON.parse(line)
      const own = event.custom.countersign
      for (const name of ['caller', 'task', 'tool', 'route', 'downstream', 'event', 'by', 'detail', 'ended'])
        if (typeof own[name] === 'string') own[name] = hostile + own[name]
      if (own.detail !== null && typeof own.detail === 'object') own.detail = { [hostile]: hostile }
      if (Array.isArray(own.rules)) own.rules.push(hostile)
      if (event.input?.request) Object.assign(event.input.request, { method: hostile, path: hostile })
      return JSON.stringify({ ...event, decision_id: hostile + String(event.decision_id) }).replaceAll('\u2028', '\\u2028')
    }
    const input = running.ledgerText().trim().split('\n').map(forged).join('\n')
    const [compact, wide] = await Promise.all([countersign(['logs', '-'], { input }), countersign(['logs', '-', '-o', 'wide'], { input })])
    for (const { stdout, code } of [compact, wide]) {
      expect(code).toBe(0)
      expect(stdout.split('\n').length).toBeGreaterThan(6)
      expect(stdout).not.toMatch(unprintable)
    }
  })

  test('follow, and go on after a break where they stopped', async () => {
    await using upstream = await TestUpstream.start()
    const probe = createServer()
    await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve))
    const { port } = probe.address() as AddressInfo
    await new Promise((resolve) => probe.close(resolve))
    await using running = await withCalls(upstream, { settings: { admin: { at: `127.0.0.1:${port}`, key: { file: 'admin.key' } } } })
    const call = async (): Promise<unknown> =>
      ask(running.port(), '/other/a', { headers: { authorization: `Bearer ${await running.svid()}` } })
    await using logs = new Command(['logs', '-f', '-n', '100000', '-o', 'json', ...admin(running)])
    const caughtUp = (): Promise<void> => {
      const lines = running.ledgerText().split('\n').length
      return logs.until(({ stdout }) => stdout.split('\n').length >= lines)
    }
    await caughtUp()
    await call()
    await caughtUp()
    await running.restart()
    await call()
    await caughtUp()
    expect(logs.stderr).toBe('the stream ended; trying again\n')
    logs.signal('SIGINT')
    expect(await logs.exited).toBe(0)
    expect(running.ledgerText().startsWith(logs.stdout)).toBe(true)
  })

  test('end quietly when nobody reads them any more', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await withCalls(upstream)
    await using logs = new Command(['logs', '-', '-o', 'json'])
    logs.hangUp()
    logs.input(running.ledgerText().repeat(50))
    expect(await logs.exited).toBe(0)
    expect(logs.stderr).toBe('')
  })

  test('say what is wrong with how they were asked, and when nobody answers', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await withCalls(upstream)
    const wrong = file('wrong.key', 'a-key-of-another-countersign\n')
    const at = admin(running)
    const runs = await Promise.all([
      countersign(['logs']),
      countersign(['logs', '--decision', 'maybe', ...at]),
      countersign(['logs', '-n', 'many', ...at]),
      countersign(['logs', '--file', join(folder, 'not-there')]),
      countersign(['logs', '--addr', at[1] ?? '', '--key', running.file]),
      countersign(['logs', '--addr', '127.0.0.1:1', '--key', wrong]),
      countersign(['logs', '--addr', at[1] ?? '', '--key', wrong]),
      countersign(['logs', '--config', file('bad.yaml', 'version: 2\n')]),
    ])
    expect(runs.map(({ code }) => code)).toEqual([64, 64, 64, 64, 64, 69, 1, 78])
    for (const { stdout, stderr } of runs) {
      expect(stdout).toBe('')
      expect(stderr).toMatch(/^countersign logs: /)
      expect(stderr).not.toMatch(/^ {4}at /m)
    }
    expect(runs[6]?.stderr).toBe('countersign logs: the local key is missing or wrong\n')
  })
})

describe('task', () => {
  test('lists, shows, pauses, resumes and completes, and each act stands in the ledger with who did it', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await withCalls(upstream)
    const at = admin(running)
    const headers = { authorization: `Bearer ${await running.svid()}` }
    const opened = await ask(running.port(), '/.countersign/v1/tasks', { method: 'POST', headers, body: '{"purpose":"refund order 1042"}' })
    const id = String(opened.json['id'])
    const run = (...words: string[]): Promise<Ran> => countersign(['task', ...words, ...at], { env: { USER: 'oncall' } })
    const [listed, asJson, shown] = await Promise.all([run('ls'), run('ls', '-o', 'json', '--state', 'active'), run('show', id)])
    expect(listed?.stdout.split('\n').find((line) => line.startsWith(id))).toBe(
      `${id}  active     agent  refund order 1042  left: calls 1000000`,
    )
    expect(listed?.stdout).toContain('(implicit) ')
    expect((JSON.parse(asJson?.stdout ?? '') as { id: string }[]).map((task) => task.id)).toContain(id)
    expect(JSON.parse(shown?.stdout ?? '')).toMatchObject({ id, state: 'active', caller: agentId })
    expect((await run('pause', id, '--reason', 'an incident')).stdout).toContain(
      'paused     agent  refund order 1042 by person: an incident',
    )
    expect((await ask(running.port(), `/t/${id}/api/things/1`, { headers })).json).toMatchObject({ code: 'task.paused' })
    const [again, missing, unreasoned] = await Promise.all([
      run('pause', id, '--reason', 'twice'),
      run('show', `t_${'0'.repeat(26)}`),
      run('resume', id),
    ])
    expect(again).toMatchObject({ code: 1, stdout: '' })
    expect(missing).toMatchObject({ code: 1, stderr: 'countersign task: no such task\n' })
    expect(unreasoned?.code).toBe(64)
    expect((await run('resume', id, '--reason', 'over', '--as', 'lead@acme.example', '-o', 'json')).code).toBe(0)
    expect((await run('complete', id, '--reason', 'done')).stdout).toContain(`${id}  completed`)
    expect((await run('complete', id, '--reason', 'done')).code).toBe(1)
    const events = running.entries().filter((line) => line['task'] === id && String(line['event']).startsWith('task.'))
    expect(events.map((line) => `${String(line['event'])} by ${String(line['by'])}`)).toEqual([
      `task.opened by ${agentId}`,
      'task.paused by person:oncall',
      'task.resumed by person:lead@acme.example',
      'task.completed by person:oncall',
    ])
  })

  test('opens one for an agent, with its token, and takes it back', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await withCalls(upstream)
    const at = admin(running)
    const run = (...words: string[]): Promise<Ran> => countersign(['task', ...words, ...at], { env: { USER: 'oncall' } })
    const purpose = ['--purpose', 'look into order 7', '--reason', 'case 4711']
    const made = await run('open', '--agent', agentId, ...purpose, '--tool', 'api.*', '--budget', 'calls=2', '--ttl', '10m', '-o', 'json')
    expect(made.stderr).toBe('')
    const { id, token, intent } = JSON.parse(made.stdout) as { id: string; token: string; intent: object }
    expect(intent).toMatchObject({ tools: ['api.*'], budget: { calls: 2 } })
    const headers = { authorization: `Bearer ${await running.svid()}`, 'countersign-task': token }
    expect((await ask(running.port(), '/api/things/1', { headers })).status).toBe(200)
    expect((await run('open', '--agent', agentId, ...purpose)).stdout).toMatch(
      /^t_\w+ {2}active .*look into order 7.*\ntoken eyJ[\w.-]+\n$/,
    )
    const wrong = await Promise.all([
      run('open', ...purpose),
      run('open', '--agent', agentId, '--purpose', 'x'),
      run('open', '--agent', agentId, ...purpose, '--budget', 'calls'),
      run('open', '--agent', `${agentId}-of-nobody`, ...purpose),
    ])
    expect(wrong.map(({ code }) => code)).toEqual([64, 64, 64, 1])
    expect((await run('revoke', id, '--reason', 'wrong customer')).stdout).toContain(
      'revoked    agent  look into order 7 by person:oncall: wrong customer',
    )
    expect((await ask(running.port(), '/api/things/1', { headers })).json).toMatchObject({ code: 'task.ended' })
  })
})

describe('evidence verify', () => {
  test('proves a ledger whole with its public key, and names the first bad record of one that is not', async () => {
    await using upstream = await TestUpstream.start()
    await using running = await withCalls(upstream)
    await running.close()
    const key = join(running.ledgerFolder, 'ledger.pub')
    const text = running.ledgerText()
    const lines = text.trim().split('\n')
    const at = lines.findIndex((line) => line.includes('"kind":"refusal"'))
    const copy = (name: string, changed: string): string => {
      const [segment = ''] = readdirSync(running.ledgerFolder).filter((one) => one.endsWith('.ndjson'))
      return file(`${name}-${segment}`, changed)
    }
    const without = lines.toSpliced(at, 1).join('\n').concat('\n')
    const edited = lines
      .with(at, (lines[at] ?? '').replace('"kind":"refusal"', '"kind":"decision"'))
      .join('\n')
      .concat('\n')
    const cut = lines.slice(0, -1).join('\n').concat('\n')
    const note = file('checkpoint', String(JSON.parse(lines.at(-1) ?? '').custom.countersign.checkpoint))
    const verify = (path: string, ...words: string[]): Promise<Ran> => countersign(['evidence', 'verify', path, ...words])
    const [whole, json, changed, removed, short, other] = await Promise.all([
      verify(running.ledgerFolder, '--key', key),
      verify(running.ledgerFolder, '--key', key, '-o', 'json'),
      verify(copy('edited', edited), '--key', key),
      verify(copy('without', without), '--key', key),
      verify(copy('cut', cut), '--key', key, '--checkpoint', note),
      verify(running.ledgerFolder, '--key', file('other.pub', `${readFileSync(key, 'utf8').trim().slice(0, -4)}AAA=\n`)),
    ])
    expect(whole).toMatchObject({ code: 0, stderr: '' })
    expect(whole.stdout).toMatch(new RegExp(`^intact: ${lines.length} lines in 1 segment, \\d+ signed checkpoints\\n$`))
    expect(JSON.parse(json.stdout)).toMatchObject({ ok: true, signed: true, lines: lines.length, uncovered: 0, open: 0 })
    expect([10, 12, 13, 15]).toContain(changed.code)
    expect(changed.stdout).toMatch(new RegExp(`^NOT INTACT: \\S+:${at + 1} \\(record ${at + 1}\\)`))
    expect(removed.code).toBe(11)
    expect(removed.stdout).toContain(`(record ${at + 1})`)
    expect(short.code).toBe(16)
    expect(short.stdout).toContain('truncated')
    expect(other.code).not.toBe(0)
  })

  test('says what it needs', async () => {
    const runs = await Promise.all([
      countersign(['evidence']),
      countersign(['evidence', 'verify', folder]),
      countersign(['evidence', 'verify', join(folder, 'not-there'), '--unsigned']),
      countersign(['evidence', 'verify', folder, '--key', join(folder, 'not-there')]),
    ])
    expect(runs.map(({ code }) => code)).toEqual([64, 64, 64, 64])
    for (const { stderr } of runs) expect(stderr).not.toMatch(/^ {4}at /m)
  })
})

describe('the command line', () => {
  test('explains itself', async () => {
    const [none, help, ofLogs, option, version, flag, unknown, unknownHelp] = (await Promise.all(
      [[], ['help'], ['help', 'logs'], ['logs', '--help'], ['version'], ['--version'], ['lgos'], ['help', 'lgos']].map((words) =>
        countersign(words),
      ),
    )) as [Ran, Ran, Ran, Ran, Ran, Ran, Ran, Ran]
    const names = ['start', 'check', 'schema', 'logs', 'task', 'evidence']
    for (const name of names) expect(help.stdout).toMatch(new RegExp(`^ {2}${name} +\\S`, 'm'))
    expect(none).toEqual(help)
    expect(help.code).toBe(0)
    expect(ofLogs.stdout).toContain('usage: countersign logs')
    expect(option).toEqual(ofLogs)
    expect(version).toEqual({ code: 0, stdout: `${String(JSON.parse(readFileSync('package.json', 'utf8')).version)}\n`, stderr: '' })
    expect(flag).toEqual(version)
    for (const { code, stdout, stderr } of [unknown, unknownHelp]) {
      expect({ code, stdout }).toEqual({ code: 64, stdout: '' })
      expect(stderr).toContain('no command "lgos"')
    }
  })

  test('prints the JSON Schema of the configuration', async () => {
    const { code, stdout, stderr } = await countersign(['schema'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout)).toEqual(JSON.parse(JSON.stringify(jsonSchema())))
  })

  test('tells the whole story once and ends well', async () => {
    const { code, stdout, stderr } = await countersign(['start', '--once'], { env: { TMPDIR: folder } })
    expect(stderr).toBe('')
    expect(stdout).toContain('Every step was as told.')
    expect(stdout).not.toMatch(unprintable)
    expect(code).toBe(0)
  })
})
