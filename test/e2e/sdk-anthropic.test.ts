import { Anthropic, APIError, AuthenticationError, BadRequestError, InternalServerError, PermissionDeniedError } from '@anthropic-ai/sdk'
import { expect, test } from 'vitest'
import { completion, ModelApi } from '../support/model-api.ts'
import { agentId, anyTool, ask, routeTo, Running } from '../support/running.ts'

const secret = 'sk-upstream-8c02d4'
const question: Anthropic.MessageCreateParamsNonStreaming = {
  model: 'quick',
  max_tokens: 64,
  messages: [{ role: 'user', content: 'Was it paid?' }],
}

/** A sidecar before a model API, its key lent in `x-api-key` as that vendor wants it. */
function start(api: ModelApi, more: Parameters<typeof routeTo>[2] = {}): Promise<Running> {
  return Running.start({
    routes: {
      anthropic: routeTo(api.url, 'anthropic', {
        credential: 'anthropic',
        tools: [{ ...anyTool('llm.complete', { effect: 'send', egress: 'public', prompt: true }), match: 'POST /v1/{+any}' }],
        ...more,
      }),
    },
    providers: {
      anthropic: { type: 'static', value: { env: 'ANTHROPIC_KEY' }, unsafe_standing: true, apply: { header: 'x-api-key' } },
    },
    env: { ANTHROPIC_KEY: secret },
  })
}

interface Key {
  readonly apiKey?: string
  readonly authToken?: string
}

function client(running: Running, key: Key, base = '/anthropic', maxRetries = 0): Anthropic {
  return new Anthropic({ apiKey: null, authToken: null, ...key, baseURL: running.url(base), maxRetries })
}

/** What was thrown, as the SDK's own error. */
async function failure(asked: Promise<unknown>): Promise<APIError> {
  const error: unknown = await asked.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  if (error instanceof APIError) return error
  throw new Error('the SDK threw no error of its own', { cause: error })
}

test.each([
  ['apiKey', (svid: string) => ({ apiKey: svid })],
  ['authToken', (svid: string) => ({ authToken: svid })],
])('a message comes through with the SVID as %s, and neither slot reaches the upstream', async (_slot, keyed) => {
  await using api = await ModelApi.start()
  await using running = await start(api)
  const svid = await running.svid()
  const { data, response } = await client(running, keyed(svid)).messages.create(question).withResponse()
  expect(data.content).toEqual([{ type: 'text', text: completion }])
  expect(api.seen[0]?.path).toBe('/v1/messages')
  expect(api.seen[0]?.headers['x-api-key']).toBe(secret)
  expect(api.seen[0]?.headers.authorization).toBeUndefined()
  expect(api.seen[0]?.headers['anthropic-version']).toBeTruthy()
  expect(JSON.stringify(api.seen)).not.toContain(svid)
  const lines = running.entries().filter(({ id }) => id === response.headers.get('countersign-call'))
  expect(lines.map(({ kind }) => kind)).toEqual(['decision', 'outcome'])
  expect(lines[0]).toMatchObject({ caller: agentId, tool: 'llm.complete' })
})

test('an SVID in x-api-key, as older versions of the SDK send it, proves the caller', async () => {
  await using api = await ModelApi.start()
  await using running = await start(api)
  const headers = { 'x-api-key': await running.svid(), 'content-type': 'application/json' }
  const answer = await ask(running.port(), '/anthropic/v1/messages', { method: 'POST', headers, body: JSON.stringify(question) })
  expect(answer.status).toBe(200)
  expect(api.seen[0]?.headers['x-api-key']).toBe(secret)
})

test('a task rides in the base URL', async () => {
  await using api = await ModelApi.start()
  await using running = await start(api)
  const svid = await running.svid()
  const headers = { authorization: `Bearer ${svid}`, 'content-type': 'application/json' }
  const opened = await ask(running.port(), '/.countersign/v1/tasks', { method: 'POST', headers, body: '{"purpose":"refund order 1042"}' })
  const task = String(opened.json['id'])
  const asked = client(running, { apiKey: svid }, `/t/${task}/anthropic`).messages.create(question)
  const { response } = await asked.withResponse()
  expect(api.seen[0]?.path).toBe('/v1/messages')
  expect(running.entries().find(({ id }) => id === response.headers.get('countersign-call'))).toMatchObject({ task })
})

test('a stream arrives word by word, not when it is over', async () => {
  await using api = await ModelApi.start()
  await using running = await start(api)
  const stream = client(running, { apiKey: await running.svid() }).messages.stream({ ...question, model: 'slow' })
  stream.once('text', () => api.release()) // the upstream holds the rest until the first word was read
  expect(await stream.finalText()).toBe(completion)
})

test('a stream that is aborted is left upstream too, and recorded so', async () => {
  await using api = await ModelApi.start()
  await using running = await start(api)
  const stream = client(running, { apiKey: await running.svid() }).messages.stream({ ...question, model: 'slow' })
  stream.once('text', () => stream.abort())
  await expect(stream.finalText()).rejects.toThrow('aborted')
  await api.abandoned
  await running.close()
  expect(running.entries().find(({ kind }) => kind === 'outcome')).toMatchObject({ status: 200, ended: 'client-gone' })
})

test('an error of the upstream keeps its status, its words and its type', async () => {
  await using api = await ModelApi.start()
  await using running = await start(api)
  api.trouble(400, 'invalid_request_error', 'max_tokens is too large.')
  const error = await failure(client(running, { apiKey: await running.svid() }).messages.create(question))
  expect(error).toBeInstanceOf(BadRequestError)
  expect(error.type).toBe('invalid_request_error')
  expect(error.message).toContain('max_tokens is too large.')
})

test('a refusal is an error of the SDK with our words, code and call in it, and is not tried again', async () => {
  await using api = await ModelApi.start()
  await using running = await start(api, { tools: [anyTool('llm.complete', { risk: 'high', effect: 'write', args: 'json' })] })
  const error = await failure(client(running, { apiKey: await running.svid() }, '/anthropic', 2).messages.create(question))
  expect(error).toBeInstanceOf(PermissionDeniedError)
  expect(error.message).toContain('A person must approve this')
  expect(error.type).toBe('approve.required')
  const refusals = running.entries().filter(({ kind }) => kind === 'refusal')
  expect(refusals.map(({ id }) => id)).toEqual([error.headers?.get('countersign-call')])
  expect(api.seen).toEqual([])
})

test('a key that is no SVID is an authentication error that says what to present', async () => {
  await using api = await ModelApi.start()
  await using running = await start(api)
  const error = await failure(client(running, { apiKey: 'sk-dummy' }, '/anthropic', 2).messages.create(question))
  expect(error).toBeInstanceOf(AuthenticationError)
  expect(error.message).toContain('JWT-SVID')
  expect(error.type).toBe('identify.missing')
})

test('what the SDK tries again is judged, recorded and counted each time', async () => {
  await using api = await ModelApi.start()
  await using running = await start(api)
  api.trouble(529, 'overloaded_error', 'Overloaded', { 'retry-after-ms': '1' })
  api.trouble(429, 'rate_limit_error', 'Slow down.', { 'retry-after-ms': '1' })
  const answer = await client(running, { apiKey: await running.svid() }, '/anthropic', 2).messages.create(question)
  expect(answer.content).toEqual([{ type: 'text', text: completion }])
  await running.close()
  const outcomes = running.entries().filter(({ kind }) => kind === 'outcome')
  expect(outcomes.map(({ status }) => status)).toEqual([529, 429, 200])
})

test('a refusal that another try cannot change is not tried again, though its status is one the SDK retries', async () => {
  await using api = await ModelApi.start()
  await using running = await start(api)
  api.trouble(302, 'moved', 'Elsewhere.', { location: 'https://elsewhere.example/' })
  const error = await failure(client(running, { apiKey: await running.svid() }, '/anthropic', 2).messages.create(question))
  expect(error).toBeInstanceOf(InternalServerError)
  expect(error.type).toBe('forward.redirect')
  expect(api.seen).toHaveLength(1)
})
