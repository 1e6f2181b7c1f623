import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { parse } from 'yaml'
import { makeSigner } from '../support/bundle-signer.ts'
import { BundleServer } from '../support/bundle-server.ts'
import { countersign, type Ran } from '../support/command-line.ts'
import { ask, Running, TestUpstream, type Answered, type Settings } from '../support/running.ts'

/** A starter as its README says it: from `init` to signed bundles on a file server that a running Countersign follows. */

const opa = resolve(import.meta.dirname, '../../.engines/bin/opa')
const folder = mkdtempSync(join(tmpdir(), 'countersign-starter-'))
const rule = join(folder, 'acme/policy/countersign/call/acme.rego')
const agent = 'spiffe://acme.example/ns/agents/sa/support-drafting'
const secret = 'sk-live-4242'
const address = 'ann@partner.example'

/** What is taken over of its configuration. */
interface Starter {
  readonly forward: { readonly routes: Readonly<Record<string, Settings>> }
  readonly decide: { readonly settings: Settings }
  readonly task: { readonly agents: readonly (Settings & { readonly intent: Settings })[] }
}

let server: BundleServer
let upstream: TestUpstream
let running: Running
let task = ''

const cli = (...args: string[]): Promise<Ran> => countersign(args, { cwd: folder, env: { OPA: opa, MODEL_KEY: 'none' } })

/** The bundle of the folder as it is now, by the command line. */
async function build(serial: number): Promise<Uint8Array> {
  const signing = ['--sign-key', 'signing.pem', '--key-id', 'release']
  const built = await cli('policy', 'build', 'acme', '-o', 'policy.tar.gz', '--serial', String(serial), ...signing)
  expect(built, built.stderr).toMatchObject({ code: 0 })
  return readFileSync(join(folder, 'policy.tar.gz'))
}

beforeAll(async () => {
  expect((await cli('policy', 'init', 'acme', '--starter', 'support-drafting')).code).toBe(0)
  const signer = makeSigner('ES256')
  writeFileSync(join(folder, 'signing.pem'), signer.own)
  server = await BundleServer.start(await build(1))
  upstream = await TestUpstream.start()
  const config = parse(readFileSync(join(folder, 'acme/countersign.yaml'), 'utf8')) as Starter
  const routes = Object.entries(config.forward.routes).map(([name, route]) => {
    const { credential: _credential, ...rest } = route
    return [name, { ...rest, to: upstream.url, reach: 'private' }]
  })
  const { settings } = config.decide
  writeFileSync(join(folder, 'signing.pub'), signer.text)
  const bundle = { url: server.url, key: { file: join(folder, 'signing.pub') }, poll: { min: '100ms', max: '100ms' } }
  running = await Running.start({
    routes: Object.fromEntries(routes),
    agents: config.task.agents.map(({ intent, ...one }) => ({ ...one, intent: { ...intent, budget: { calls: 100_000 } } })),
    settings: { decide: { bundle, settings } },
  })
  const intent = { tools: ['desk.*', 'crm.customer.read'], resources: ['ticket:*', 'customer:42'] }
  // the agent may not even ask for a reply: its registration does not have it
  expect((await open(intent)).status).toBe(403)
  const opened = await open({ ...intent, tools: ['desk.ticket.read', 'desk.draft.*', 'crm.customer.read'] })
  expect(opened.status, opened.text).toBe(201)
  task = String(opened.json['id'])
})

afterAll(async () => {
  await running[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

async function as(path: string, body?: unknown): Promise<Answered> {
  const headers = { authorization: `Bearer ${await running.svid(agent)}`, 'content-type': 'application/json' }
  return ask(running.port(), path, body === undefined ? { headers } : { method: 'POST', headers, body: JSON.stringify(body) })
}

const open = (asked: Settings): Promise<Answered> => as('/.countersign/v1/tasks', { purpose: 'answer ticket 7', ...asked })

const call = (path: string, body?: unknown, within = task): Promise<Answered> => as(`/t/${within}${path}`, body)

/** Rules that refused a call. */
function rulesOf(answer: Answered): unknown {
  return running.entries().find(({ id, kind }) => id === answer.headers['countersign-call'] && kind === 'refusal')?.['rules']
}

it('allows what the agent is for, and refuses what its README says', async () => {
  const early = await call('/desk/tickets/7/drafts', { text: 'Dear customer' })
  expect(early.json).toMatchObject({ code: 'decide.denied', reasons: ['read the ticket before you draft an answer'] })
  expect((await call('/desk/tickets/7')).status).toBe(200)
  expect((await call('/crm/customers/42')).status).toBe(200)
  expect((await call('/desk/tickets/7/drafts', { text: `Dear ${address}` })).status).toBe(200)
  const sent = await call('/desk/tickets/7/replies', { text: 'Dear customer' })
  expect(sent.json).toMatchObject({ code: 'decide.denied' })
  expect(JSON.stringify(rulesOf(sent))).toContain('support.sends-nothing')
  const roaming = await open({ tools: ['crm.customer.read'], resources: ['customer:*'] })
  const roamed = await call('/crm/customers/42', undefined, String(roaming.json['id']))
  expect(JSON.stringify(rulesOf(roamed))).toContain('support.one-customer')
  expect(upstream.seen.map(({ method, url }) => `${method} ${url}`)).toEqual([
    'GET /tickets/7',
    'GET /customers/42',
    'POST /tickets/7/drafts',
  ])
})

it('keeps secrets and addresses of people out of the ledger, before it is hashed', async () => {
  expect((await call(`/desk/tickets/7?api_key=${secret}&page=2&from=${address}`)).status).toBe(200)
  expect(upstream.seen.at(-1)?.url).toBe(`/tickets/7?api_key=${secret}&page=2&from=${address}`)
  const named = await call(`/desk/tickets/${address}`)
  await call(`/crm/customers/${address}`)
  const text = running.ledgerText()
  for (const hidden of [secret, address]) expect(text.includes(hidden), hidden).toBe(false)
  expect(text).toContain('"masked":["/input/request/query/api_key","/input/request/query/from"]')
  expect(text).toContain('"page":["2"]')
  const lines = running.entries().filter(({ id }) => id === named.headers['countersign-call'])
  expect(lines.map(({ kind, resource }) => [kind, resource])).toEqual([
    ['decision', null],
    ['outcome', null],
  ])
  expect(await running.verify()).toMatchObject({ ok: true })
})

it('follows a new serial without a refused call, never goes back, and is explained by the bundle in force', async () => {
  const old = await build(1)
  writeFileSync(rule, newRule)
  const young = await build(2)
  const revisions = (): readonly unknown[] =>
    running
      .entries()
      .filter(({ event }) => event === 'policy.activated')
      .map(({ detail }) => (detail as Settings)['order'])
  const statuses = new Set<unknown>()
  let made = 100
  const load = async (): Promise<void> => {
    while (revisions().length < 2) {
      // no call twice: policy counts repeats
      const { status, json } = await call(`/desk/tickets/${made++}`)
      statuses.add(status === 200 ? status : json['reasons'])
    }
  }
  const loaded = Promise.all([load(), load(), load()])
  server.put(young)
  await loaded
  expect(statuses).toEqual(new Set([200]))
  expect(revisions()).toEqual([
    { kind: 'serial', value: 1 },
    { kind: 'serial', value: 2 },
  ])
  const refused = await call('/desk/tickets/7?page=9')
  expect(refused.json).toMatchObject({ code: 'decide.denied', reasons: ['page 9 is read by people only'] })
  server.put(old)
  await vi.waitUntil(() => running.entries().some(({ event }) => event === 'policy.rejected'), { timeout: 20_000 })
  expect((await call('/desk/tickets/7?page=9')).status).toBe(403)

  const id = String(refused.headers['countersign-call'])
  const explained = await cli('policy', 'explain', id, '--config', running.file, '--logs', running.ledgerFolder)
  expect(explained, explained.stderr).toMatchObject({ code: 0 })
  expect(explained.stdout).toContain('deny  by the policy in force')
  expect(explained.stdout).toContain('acme.page-nine')
  expect(explained.stdout).not.toContain('explained by another')
})

const newRule = `package countersign.call

import data.countersign.lib

# METADATA
# title: A page for people
# description: Page 9 is read by people.
# custom:
#   id: acme.page-nine
#   severity: high
#   effect: deny
#   observable: true
#   facts: [request.query]
#   frameworks:
#     owasp_agentic: [ASI02]
#   message: page 9 is read by people only
#   remediation: Read it yourself.
_page_nine := rego.metadata.rule()

deny contains lib.finding(_page_nine, {}) if "9" in input.request.query.page
`
