import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { countersign, type Ran } from '../support/command-line.ts'
import { defaultPolicyBytes, filesOf, packBundle } from '../support/policy-rig.ts'
import { agentId, ask, freeAgent, routeTo, Running, TestUpstream, type Settings } from '../support/running.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-loop-'))
let upstream: TestUpstream
let running: Running

/** Ids of the calls that were made, by what they are. */
const calls: Record<string, string> = {}
let task = ''

beforeAll(async () => {
  upstream = await TestUpstream.start()
  running = await Running.start({ routes: routes(), agents: [agent()] })
  const headers = { authorization: `Bearer ${await running.svid()}`, 'content-type': 'application/json' }
  const call = async (name: string, method: string, path: string, body?: string): Promise<void> => {
    const answer = await ask(running.port(), path, { method, headers, ...(body === undefined ? {} : { body }) })
    calls[name] = String(answer.headers['countersign-call'])
  }
  await call('order', 'GET', '/crm/orders/7')
  await call('mail', 'POST', '/mail/messages', '{"to":"a@partner.example"}')
  await call('customer', 'GET', '/crm/customers/42')
  await call('leak', 'POST', '/mail/messages', '{"to":"b@partner.example"}')
  await call('delete', 'DELETE', '/crm/customers/42')
  await call('outside', 'GET', '/crm/secrets')
  const nobody = await ask(running.port(), '/crm/orders/7')
  calls['nobody'] = String(nobody.headers['countersign-call'])
  task = String(running.entries().find(({ id }) => id === calls['order'])?.['task'])
})

afterAll(async () => {
  await running[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

function routes(): Record<string, Settings> {
  const crm = [
    {
      name: 'crm.order.read',
      match: 'GET /orders/{id}',
      effect: 'read',
      risk: 'low',
      data: ['internal'],
      egress: 'internal',
      resource: 'order:{id}',
    },
    {
      name: 'crm.customer.read',
      match: 'GET /customers/{id}',
      effect: 'read',
      risk: 'low',
      data: ['personal'],
      egress: 'internal',
      resource: 'customer:{id}',
    },
    {
      name: 'crm.customer.delete',
      match: 'DELETE /customers/{id}',
      effect: 'delete',
      risk: 'high',
      data: ['personal'],
      egress: 'internal',
      resource: 'customer:{id}',
    },
    { name: 'crm.secrets', match: 'GET /secrets', effect: 'read', risk: 'low', data: ['internal'], egress: 'internal' },
  ]
  const send = {
    name: 'mail.send',
    match: 'POST /messages',
    effect: 'send',
    risk: 'medium',
    egress: 'partner',
    args: 'json',
    accepts: ['public', 'internal'],
  }
  return { crm: routeTo(upstream.url, 'crm', { tools: crm }), mail: routeTo(upstream.url, 'mail', { tools: [send] }) }
}

function agent(): Settings {
  const intent = {
    tools: ['crm.order.read', 'crm.customer.*', 'mail.send'],
    resources: ['order:*', 'customer:*'],
    data: ['internal', 'personal'],
    egress: ['internal', 'partner'],
    budget: { calls: 100 },
    ttl: '1h',
  }
  return freeAgent({ autonomy: 'bounded', intent })
}

const policy = (...words: string[]): Promise<Ran> => countersign(['policy', ...words])
const logs = (): string[] => ['--logs', running.ledgerFolder]
const live = (): string[] => ['--addr', `127.0.0.1:${running.port('admin')}`, '--key', join(running.folder, 'admin.key')]

function file(name: string, text: string | Uint8Array): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

describe('simulate', () => {
  test('finds nothing changed by the policy that judged, from a folder, a file, a pipe and a running Countersign', async () => {
    const text = running.ledgerText()
    const stored = file('ledger.ndjson', text)
    const ran = await Promise.all([
      policy('simulate', '--policy', 'default', '-o', 'json', ...logs()),
      policy('simulate', '--policy', 'default', '-o', 'json', '--logs', stored),
      countersign(['policy', 'simulate', '--policy', 'default', '-o', 'json', '--logs', '-'], { input: text }),
      policy('simulate', '--policy', 'default', '-o', 'json', '--fail-on', 'newly-allowed,newly-denied,newly-asking,not-judged', ...live()),
    ])
    for (const { code, stdout, stderr } of ran) {
      expect(stderr).toBe('')
      expect(code).toBe(0)
      expect(JSON.parse(stdout)).toMatchObject({
        classes: { unchanged: 6, 'not-judged': 0 },
        without_body: 2,
        read: { judged: 6, unjudged: 1, damaged: 0 },
      })
    }
  })

  test('fails on what it is told to fail on, and shows the calls', async () => {
    const other = running
      .ledgerText()
      .replace('"effect":"deny","labels"', '"effect":"allow","labels"')
      .replace(/"reasons":\[\{"controls".*?\}\],"v":1\},"erased"/, '"reasons":[],"v":1},"erased"')
    const ran = await countersign(['policy', 'simulate', '--policy', 'default', '--logs', '-', '--fail-on', 'newly-denied'], {
      input: other,
    })
    expect(ran.stdout).toContain('allow → deny')
    expect(ran).toMatchObject({ code: 1, stderr: 'newly-denied: found, as --fail-on asks\n' })
    expect(ran.stdout).toContain(calls['leak'])
  })

  test('reports what it cannot compare: a body that the policy reads', async () => {
    const files = filesOf(defaultPolicyBytes)
    files['countersign/call/acme.rego'] = 'package countersign.call\n\n_small if input.request.body.parsed.amount < 10\n'
    const bundle = file('reads.tar.gz', packBundle(files))
    const { code, stdout } = await policy('simulate', '--policy', bundle, ...logs(), '--fail-on', 'not-judged')
    expect(code).toBe(1)
    expect(stdout).toContain('2 cannot be compared: the policy reads the judged body')
  })

  test('reads on over a hostile ledger', async () => {
    const hostile = ['{', '\u001b[2J', 'null', '{"custom":{"countersign":{"kind":"decision"}}}', 'x'.repeat(5 * 1024 * 1024), '[]'].join(
      '\n',
    )
    const ran = await countersign(['policy', 'simulate', '--policy', 'default', '--logs', '-'], {
      input: `${hostile}\n${running.ledgerText()}`,
    })
    expect(ran.code).toBe(0)
    expect(ran.stdout).toMatch(/unchanged +6/)
    expect(ran.stderr).toContain('line 5 of the record was passed over: it is too long')
    expect(ran.stderr).toContain('6 lines of the record were passed over')
    expect(ran.stderr).not.toContain('\u001b')
  })

  test('gives the policy the settings of a configuration, and says when they are what is missing', async () => {
    const settings = { freeze: [{ from: '2020-01-01T00:00:00Z', until: '2090-01-01T00:00:00Z', effects: ['read'] }] }
    await using frozen = await Running.start({ routes: routes(), agents: [agent()], settings: { decide: { settings } } })
    await ask(frozen.port(), '/crm/orders/7', { headers: { authorization: `Bearer ${await frozen.svid()}` } })
    const words = ['simulate', '--policy', 'default', '--logs', frozen.ledgerFolder]
    const [without, given] = await Promise.all([policy(...words), policy(...words, '--settings', frozen.file)])
    expect(without.stdout).toMatch(/newly allowed +1/)
    expect(without.stderr).toBe('change.freeze: off without decide.settings; give the configuration with --settings\n')
    expect(given.stdout).toMatch(/unchanged +1/)
    expect(given.stderr).toBe('')
  })

  test('says what is wrong with how it was called', async () => {
    const wrong = [
      ['simulate'],
      ['simulate', '--policy', 'default', '--fail-on', 'nonsense', ...logs()],
      ['simulate', '--policy', 'default', '--logs', join(folder, 'none')],
      ['simulate', '--policy', 'default', '--samples', 'x', ...logs()],
      ['nonsense'],
      [],
    ]
    for (const words of wrong) expect((await policy(...words)).code, words.join(' ')).toBe(64)
    expect(await policy('simulate', '--policy', join(folder, 'none'), ...logs())).toMatchObject({ code: 78, stdout: '' })
    expect(await policy('simulate', '--policy', file('rubbish.tar.gz', 'rubbish'), ...logs())).toMatchObject({ code: 78 })
    expect(
      (await policy('simulate', '--policy', 'default', '--addr', '127.0.0.1:1', '--key', join(running.folder, 'admin.key'))).code,
    ).toBe(69)
  })
})

describe('explain', () => {
  test('says why, what was looked at, and what would have made it an allow', async () => {
    const { code, stdout } = await policy('explain', calls['leak'] ?? '', ...logs())
    expect(code).toBe(0)
    expect(stdout).toContain('✗ deny  by default')
    expect(stdout).toContain('data.beyond-destination  deny, critical, observable')
    expect(stdout).toContain('task.sensitivity  ["internal","personal"]')
    expect(stdout).toContain('1. task.sensitivity: - personal')
    expect(stdout).toContain('No record keeps it')
  })

  test('is the same from a running Countersign, and as JSON', async () => {
    const { code, stdout } = await policy('explain', calls['delete'] ?? '', '-o', 'json', ...live())
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      effect: 'ask',
      rules: [{ id: 'risk.high-needs-person' }],
      recorded: { id: calls['delete'], code: 'approve.required' },
      approval: { quorum: 1 },
    })
  })

  test('says of a call that policy never saw how it ended, and of one that is not there that it is not', async () => {
    expect(await policy('explain', calls['nobody'] ?? '', ...logs())).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('it ended as identify.missing'),
    })
    expect(await policy('explain', 'c_0', ...logs())).toMatchObject({ code: 1, stderr: 'the record has no decision c_0\n' })
  })

  test('takes an input, tells another policy from the one that judged, and saves a case', async () => {
    const line =
      running
        .ledgerText()
        .split('\n')
        .find((text) => text.includes(`"decision_id":"${calls['outside']}"`)) ?? ''
    const ran = await countersign(['policy', 'explain', '--input', '-', '--save-case', join(folder, 'outside.yaml')], {
      input: line.replace(/"revision":"[^"]*"/, '"revision":"other"'),
    })
    expect(ran.code).toBe(0)
    expect(ran.stdout).toContain('judged then by revision other, explained by another')
    expect(ran.stdout).toContain('task.intent.tools: + crm.secrets')
    expect(await policy('test', join(folder, 'outside.yaml'))).toMatchObject({ code: 0, stderr: '1 case, 0 failed\n' })
    const input = JSON.parse(line).input
    expect((await policy('explain', '--input', file('input.json', JSON.stringify(input)))).stdout).toContain('It would be an allow')
    expect(await policy('explain', '--input', file('no.json', '{"v":2}'))).toMatchObject({
      code: 78,
      stderr: expect.stringContaining('is no input v1'),
    })
  })
})

describe('cases', () => {
  test('are made of recorded decisions and run again', async () => {
    const out = join(folder, 'leak.json')
    expect(await policy('record-case', calls['leak'] ?? '', '--name', 'leak', '--out', out, ...logs())).toMatchObject({
      code: 0,
      stdout: '',
      stderr: expect.stringContaining('leaves out'),
    })
    expect(await policy('test', out)).toEqual({ code: 0, stdout: '✓ leak\n', stderr: '1 case, 0 failed\n' })
    expect((await policy('record-case', calls['leak'] ?? '', '--out', out, ...logs())).code).toBe(78)
  })

  test('that do not hold end with 1 and say what differs', async () => {
    const bad = file('bad.json', JSON.stringify({ name: 'bad', input: { v: 1 }, expect: { effect: 'allow' } }))
    const { code, stdout } = await policy('test', bad)
    expect(code).toBe(1)
    expect(stdout).toContain('✗ bad')
    expect(stdout).toContain('effect: expected allow, got deny')
    expect(JSON.parse((await policy('test', bad, '-o', 'json')).stdout).outcomes).toMatchObject([{ ok: false }])
  })
})

test('diff is 0 for the same and 1 for different, and shows how both judge a record', async () => {
  expect(await policy('diff', 'default', 'default')).toEqual({ code: 0, stdout: 'the same\n', stderr: '' })
  const files = filesOf(defaultPolicyBytes)
  files['countersign/call/acme.rego'] =
    'package countersign.call\n\n# METADATA\n# custom: {id: acme.a, effect: ask, severity: low}\nask contains 1 if false\n'
  const { code, stdout } = await policy('diff', 'default', file('more.tar.gz', packBundle(files)), ...logs())
  expect(code).toBe(1)
  expect(stdout).toContain('+ acme.a  ask, low  (countersign.call)')
  expect(stdout).toMatch(/unchanged +6/)
})

test('coverage tells the share under enforcement', async () => {
  const { code, stdout } = await policy('coverage', ...logs())
  expect(code).toBe(0)
  expect(stdout).toMatch(/^high +1 +1 +0 +100 % +1 +0$/m)
  expect(stdout).toContain('Everything is enforced.')
  expect(JSON.parse((await policy('coverage', '--by', 'agent', '-o', 'json', ...live())).stdout).rows).toMatchObject([
    { name: agentId, calls: 6 },
  ])
})

test('coverage says what to enforce next where calls are only observed', async () => {
  await using watching = await Running.start({ routes: routes(), agents: [agent()], settings: { decide: { mode: 'observe' } } })
  const headers = { authorization: `Bearer ${await watching.svid()}` }
  await ask(watching.port(), '/crm/orders/7', { headers })
  const through = await ask(watching.port(), '/crm/customers/42', { method: 'DELETE', headers })
  expect(through.status).toBe(200)
  const { stdout } = await policy('coverage', '--logs', watching.ledgerFolder)
  expect(stdout).toContain('Next: enforce high risk. 1 call is only observed; 1 would have been refused, by risk.high-needs-person.')
  const simulated = await policy('simulate', '--policy', 'default', '-o', 'json', '--logs', watching.ledgerFolder)
  expect(JSON.parse(simulated.stdout).classes).toMatchObject({ unchanged: 2 })
})

test('learn writes a draft, says what it did not learn, and writes nothing over', async () => {
  const out = join(folder, 'draft')
  const { code, stdout } = await policy('learn', task, '--out', out, ...logs())
  expect(code).toBe(0)
  expect(stdout).toContain('crm.customer.delete: refused as approve.required by risk.high-needs-person (1 call)')
  expect(readdirSync(out).sort()).toEqual(['agents', 'cases', 'countersign'])
  expect(await policy('test', join(out, 'cases'))).toMatchObject({ code: 0, stderr: '3 cases, 0 failed\n' })
  const before = readFileSync(join(out, 'agents', 'agent.yaml'), 'utf8')
  writeFileSync(join(out, 'agents', 'agent.yaml'), 'mine')
  expect(await policy('learn', task, '--out', out, ...logs())).toMatchObject({ code: 78, stderr: expect.stringContaining('--force') })
  expect(readFileSync(join(out, 'agents', 'agent.yaml'), 'utf8')).toBe('mine')
  expect((await policy('learn', task, '--out', out, '--force', ...logs())).code).toBe(0)
  expect(readFileSync(join(out, 'agents', 'agent.yaml'), 'utf8')).toBe(before)
  expect((await policy('learn', 't_0', '--out', join(folder, 'none'), ...logs())).code).toBe(1)
  expect(existsSync(join(folder, 'none'))).toBe(false)
})

test('each verb tells its own usage', async () => {
  for (const verb of ['test', 'explain', 'simulate', 'diff', 'learn', 'coverage', 'record-case']) {
    const [asked, helped] = await Promise.all([policy(verb, '--help'), countersign(['help', 'policy', verb])])
    expect(asked.stdout).toMatch(new RegExp(`^usage: countersign policy ${verb}`))
    expect(asked.stdout).toContain('examples:')
    expect(asked.stdout).toContain('exit status')
    expect(helped.stdout).toBe(asked.stdout)
  }
  expect((await policy('--help')).stdout).toMatch(/^usage: countersign policy VERB/)
})

test('a folder of Rego without the compiler says how to get it', async () => {
  const ran = await countersign(['policy', 'simulate', '--policy', 'rego', ...logs()], { env: { OPA: '/nonexistent/opa' } })
  expect(ran.code).toBe(69)
  expect(ran.stderr).toContain('go install github.com/open-policy-agent/opa@v1.22.2')
})
