import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readTar } from '../../src/decide/bundle/tar.ts'
import { readSet } from '../../src/evidence/read-set.ts'
import type { Summary } from '../../src/evidence/summary/summary.ts'
import { countersign, type Ran } from '../support/command-line.ts'
import { EvidenceRig, helper, traceparent } from '../support/evidence-rig.ts'
import { agentId, owners } from '../support/running.ts'
import { until } from '../support/until.ts'

const folder = mkdtempSync(join(tmpdir(), 'evidence-e2e-'))
afterAll(() => rmSync(folder, { recursive: true }))

const evidence = (...args: readonly string[]): Promise<Ran> => countersign(['evidence', ...args])
const summaryIn = (path: string): Summary => JSON.parse(Buffer.from(readSet(path).get('summary.json') ?? '').toString())

describe('a task that is over', () => {
  let rig: EvidenceRig
  let ids: { readonly task: string; readonly child: string }
  const out = join(folder, 'refund')
  beforeAll(async () => {
    rig = await EvidenceRig.start()
    ids = await rig.refund()
    await until(
      { onChange: (listener) => rig.running.sidecar.foundation.recorder.subscribe(listener) },
      () => rig.running.entries().filter(({ event }) => event === 'lease.revoked').length === 4,
    )
    const ran = await evidence('export', ids.task, '--out', out, '--as', 'ada', ...rig.access)
    expect(ran, ran.stderr).toMatchObject({ code: 0, stdout: `${out}\n` })
  })
  afterAll(() => rig[Symbol.asyncDispose]())

  test('is exported by the sidecar that runs, and verifies with nothing but the public key', async () => {
    const ran = await evidence('verify', out, '--key', rig.publicKey)
    expect(ran.stdout).toMatch(/^intact: an evidence set\nt_\w+: \d+ lines of countersign\/\w+, exported .* by person:ada\n$/)
    expect(ran.code).toBe(0)
    const exports = rig.running.entries().filter(({ event }) => event === 'evidence.exported')
    expect(exports).toMatchObject([{ task: ids.task, by: 'person:ada', detail: { method: 'local-key' } }])
    expect(await rig.running.verify()).toMatchObject({ firstBad: null })
  })

  test('tells all that an auditor asks', () => {
    const summary = summaryIn(out)
    expect(summary.counts).toMatchObject({ tasks: 2, calls: 7, permitted: 4, refused: 3, open: 0, credentials: 4, approvals: 1 })
    expect(summary.tasks.map(({ caller, purpose, state, parent }) => [caller, purpose, state, parent])).toEqual([
      [agentId, 'refund order 1042', 'completed', null],
      [helper, 'look up order 1042', 'revoked', ids.task],
    ])
    expect(summary.correlation).toMatchObject({ traces: [traceparent.slice(3, 35)], roots: [`agent:${agentId}`] })
    expect(summary.approvals[0]).toMatchObject({
      tool: 'pay.refund',
      state: 'approved',
      answers: [{ by: 'person:ada', reason: 'order 1042 was returned' }],
    })
    expect(summary.approvals[0]?.used).toHaveLength(1)
    expect(summary.credentials.every(({ end }) => end?.how === 'revoked')).toBe(true)
    expect(summary.data.map((row) => row.class)).toEqual(['internal', 'personal'])
    expect(summary.sensitivity.at(-1)?.classes).toEqual(['internal', 'personal'])
    expect(summary.identities.agents[0]).toMatchObject({ agent: agentId, owners })
    expect(summary.controls.map(({ control }) => control)).toContain('ASI02')
    expect(summary.events.map(({ event }) => event)).toContain('evidence.exported')
    expect(summary.policies[0]?.activated).toHaveLength(1)
    expect(summary.calls.find(({ tool }) => tool === 'mail.send')?.reasons[0]).toMatchObject({ rule: 'data.beyond-destination' })
  })

  test('holds what the policy says of its rules, and no secret', () => {
    const files = readSet(out)
    const [path = ''] = [...files.keys()].filter((name) => name.startsWith('policy/'))
    const policy = JSON.parse(Buffer.from(files.get(path) ?? '').toString())
    expect(policy.rules.map(({ name }: { name: string }) => name)).toContain('risk.high-needs-person')
    for (const [name, bytes] of files) expect(Buffer.from(bytes).toString(), name).not.toMatch(/a-lent-secret-token|a-client-secret/)
  })

  test('is found out when a line is changed', async () => {
    const changed = join(folder, 'changed')
    await evidence('export', ids.task, '--out', changed, ...rig.access)
    const place = join(changed, 'lines.ndjson')
    writeFileSync(place, readFileSync(place, 'utf8').replace('"effect":"deny"', '"effect":"allow"'))
    const ran = await evidence('verify', changed, '--key', rig.publicKey)
    expect(ran).toMatchObject({ code: 18, stdout: 'NOT INTACT: lines.ndjson: manifest: it is not the file that was signed\n' })
  })

  test('is an archive where that is asked for, also on standard output, and is not written over what is there', async () => {
    const archive = join(folder, 'refund.tar')
    expect((await evidence('export', ids.task, '--out', archive, ...rig.access)).code).toBe(0)
    expect((await evidence('verify', archive, '--key', rig.publicKey)).code).toBe(0)
    const again = await evidence('export', ids.task, '--out', archive, ...rig.access)
    expect(again.code).toBe(64)
    expect(again.stderr).toContain(`${archive} exists`)
    const answer = await rig.admin(`/v1/evidence/${ids.task}?by=ada`)
    expect(answer.headers.get('content-type')).toBe('application/x-tar')
    expect([...readTar(new Uint8Array(await answer.arrayBuffer())).keys()][0]).toBe('manifest.json')
  })

  test('is not handed out of a task that nobody knows, nor to who does not say their name: and no line says that it was', async () => {
    const told = (): number => rig.running.entries().filter(({ kind }) => kind !== 'checkpoint').length
    const before = told()
    const ran = await evidence('export', 't_01M80RX95BMCTFC66G6WANY50K', ...rig.access)
    expect(ran).toMatchObject({ code: 1 })
    expect(ran.stderr).toContain('no line of the ledger is of t_01M80RX95BMCTFC66G6WANY50K')
    expect((await rig.admin('/v1/evidence/x?by=ada')).status).toBe(400)
    expect((await rig.admin(`/v1/evidence/${ids.task}`)).status).toBe(400)
    expect(told()).toBe(before)
  })

  test('is exported from the folder when no sidecar runs, with the key of that ledger and no other', async () => {
    await rig.running.close()
    const place = join(folder, 'offline')
    const from = ['--ledger', rig.running.ledgerFolder, '--signing-key', `${rig.running.ledgerFolder}.key`]
    expect(await evidence('export', ids.task, '--out', place, '--as', 'ada', ...from)).toMatchObject({ code: 0 })
    expect((await evidence('verify', place, '--key', rig.publicKey)).code).toBe(0)
    const wrong = await evidence('export', ids.task, '--ledger', rig.running.ledgerFolder, '--signing-key', rig.publicKey)
    expect(wrong.code).toBe(64)
    expect(wrong.stderr).toContain('the signing key:')
    expect(existsSync(`${ids.task}.evidence`)).toBe(false)
  })
})

test('a task that runs is exported as far as it went, and it goes on', async () => {
  await using rig = await EvidenceRig.start()
  const task = await rig.open()
  await rig.call('/api/orders/1', { task })
  const out = join(folder, 'running')
  const ran = await evidence('export', task, '--out', out, ...rig.access)
  expect(ran.stderr).toContain('the task has not ended: it is active')
  expect((await evidence('verify', out, '--key', rig.publicKey)).code).toBe(0)
  expect(summaryIn(out).counts.calls).toBe(1)
  expect((await rig.call('/api/orders/1', { task })).status).toBe(200)
})

test('work that ran through two sidecars is one set, each part under its own key; what is foreign to it is refused', async () => {
  await using one = await EvidenceRig.start()
  await using two = await EvidenceRig.start()
  const first = await one.open({}, { traceparent })
  await one.call('/api/orders/1042', { task: first, headers: { traceparent } })
  // what the agent hands to an agent behind another sidecar carries the trace on
  const second = await two.open({ purpose: 'look up order 1042' }, { traceparent })
  await two.call('/api/orders/1042', { task: second, headers: { traceparent } })
  const other = await two.open({ purpose: 'something else' })
  await two.call('/api/orders/7', { task: other })
  await two.complete(second)
  await one.complete(first)
  const at = (name: string): string => join(folder, name)
  await evidence('export', first, '--out', at('one'), ...one.access)
  await evidence('export', second, '--out', at('two.tar'), ...two.access)
  expect(await evidence('merge', at('one'), at('two.tar'), '--out', at('both'))).toMatchObject({ code: 0 })
  const keys = ['--key', one.publicKey, '--key', two.publicKey]
  const whole = await evidence('verify', at('both'), ...keys)
  expect(whole.stdout).toMatch(/^intact: 2 evidence sets that belong together\nparts\/1\/ t_\w+: .*\nparts\/2\/ t_\w+: .*\n$/)
  expect((await evidence('verify', at('both'), '--key', one.publicKey)).code).toBe(14)
  const page = readFileSync(join(at('both'), 'report.html'), 'utf8')
  for (const said of [first, second]) expect(page).toContain(said)
})

test('a set of other work is not merged', async () => {
  await using one = await EvidenceRig.start()
  const first = await one.open({}, { traceparent })
  const { json } = await one.call('/.countersign/v1/tasks', { by: helper, body: JSON.stringify({ purpose: 'something else' }) })
  const second = String(json['id'])
  await evidence('export', first, '--out', join(folder, 'a'), ...one.access)
  await evidence('export', second, '--out', join(folder, 'b'), ...one.access)
  const ran = await evidence('merge', join(folder, 'a'), join(folder, 'b'), '--out', join(folder, 'c'))
  expect(ran).toMatchObject({ code: 1 })
  expect(ran.stderr).toContain('correlation: ')
  expect(existsSync(join(folder, 'c'))).toBe(false)
})
