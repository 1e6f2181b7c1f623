import { spawnSync } from 'node:child_process'
import type { JSONWebKeySet } from 'jose'
import { expect, test } from 'vitest'
import { DynamoDbStandIn } from '../support/aws-dynamodb.ts'
import { StsStandIn } from '../support/aws-sts.ts'
import { Example, scriptedModel } from '../support/example-rig.ts'
import { appKey, GithubApp } from '../support/github-app.ts'
import { TestUpstream } from '../support/running.ts'

const hasCurl = spawnSync('curl', ['--version']).status === 0
if (!hasCurl) process.stderr.write('curl is not installed: the example curl-agent is not run\n')

const crm = () => TestUpstream.start((_, response) => response.writeHead(200, { 'content-type': 'application/json' }).end('{"paid":true}'))

test.skipIf(!hasCurl)('curl-agent looks an order up within a task, is refused what it may not, and ends the task', async () => {
  await using upstream = await crm()
  await using example = await Example.start({ name: 'curl-agent', to: { crm: upstream.url } })
  const { code, stdout, stderr } = await example.run('./agent.sh', ['1042'])
  expect([code, stderr, stdout]).toEqual([0, '', 'order: {"paid":true}\ndeleting it: decide.denied\n'])
  expect(upstream.seen.map(({ method, url }) => `${method} ${url}`)).toEqual(['GET /orders/1042'])
  expect(example.entries().map(({ event }) => event)).toContain('task.completed')
})

test('openai-agent lets the model read an order; the model gets the real key, the CRM a token of its own, and neither the identity', async () => {
  await using model = await scriptedModel()
  await using upstream = await crm()
  const options = { name: 'openai-agent', to: { openai: model.url, crm: upstream.url }, files: { 'openai-key': 'sk-real-7c1d' } }
  await using example = await Example.start(options)
  const { code, stdout, stderr } = await example.run(process.execPath, ['agent.ts', 'Was order 1042 paid?'])
  expect([code, stdout], stderr).toEqual([0, 'The order says: {"paid":true}\n'])
  expect(model.seen.map(({ authorization }) => authorization)).toEqual(['Bearer sk-real-7c1d', 'Bearer sk-real-7c1d'])
  expect(upstream.seen.map(({ url }) => url)).toEqual(['/orders/1042'])
  const entries = example.entries()
  expect(entries.filter(({ kind }) => kind === 'decision').map(({ tool }) => tool)).toEqual([
    'openai.chat',
    'crm.order.read',
    'openai.chat',
  ])
  expect(new Set(entries.filter(({ kind }) => kind === 'decision').map(({ task }) => task)).size).toBe(1)
})

test('github-app-agent opens an issue with a token of the App that is revoked with the task', async () => {
  const app = new GithubApp()
  await using server = await app.server.listen()
  const used: string[] = []
  await using upstream = await TestUpstream.start(({ headers }, response) => {
    used.push((headers.authorization ?? '').replace(/^\S+ /, ''))
    response.writeHead(201, { 'content-type': 'application/json' }).end('{"number":7}')
  })
  const options = { name: 'github-app-agent', to: { github: upstream.url }, files: { 'github-app.pem': appKey } }
  await using example = await Example.start({ ...options, provider: { api: server.url } })
  const { code, stdout, stderr } = await example.run(process.execPath, ['agent.ts', 'acme/web', 'It is down'])
  expect([code, stdout], stderr).toEqual([0, 'issue 7\n'])
  expect(upstream.seen.map(({ url, body }) => [url, JSON.parse(body)])).toEqual([['/repos/acme/web/issues', { title: 'It is down' }]])
  await expect.poll(() => app.isLive(used[0] ?? ''), { timeout: 5000 }).toBe(false)
  expect(used).toHaveLength(1)
})

test('aws-agent keeps an order in a table with keys of a role that it never sees', async () => {
  const published: { keys: () => Promise<JSONWebKeySet> } = { keys: async () => ({ keys: [] }) }
  const issuer = 'https://countersign.acme.example'
  await using sts = await StsStandIn.start({ issuer, subject: issuer, keys: () => published.keys() })
  await using table = await DynamoDbStandIn.start(sts.sessions)
  const options = { name: 'aws-agent', to: { dynamodb: table.url }, provider: { endpoint: sts.url } }
  await using example = await Example.start(options)
  published.keys = async () =>
    (await (await fetch(`http://127.0.0.1:${example.port('health')}/.well-known/jwks.json`)).json()) as JSONWebKeySet
  const { code, stdout, stderr } = await example.run(process.execPath, ['agent.ts', '1042'])
  expect([code, stdout], stderr).toEqual([0, 'order 1042: paid\n'])
  expect(table.served.map(({ operation }) => operation)).toEqual(['PutItem', 'GetItem'])
  expect(JSON.stringify(table.served)).not.toContain('placeholder')
})
