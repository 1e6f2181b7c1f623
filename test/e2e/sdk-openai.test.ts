import { APIError, AuthenticationError, BadRequestError, InternalServerError, OpenAI, PermissionDeniedError } from 'openai'
import { expect, test } from 'vitest'
import { completion, ModelApi } from '../support/model-api.ts'
import { agentId, anyTool, ask, freeAgent, routeTo, Running } from '../support/running.ts'

const secret = 'sk-upstream-1f9e7a'
const question: OpenAI.ChatCompletionCreateParamsNonStreaming = { model: 'quick', messages: [{ role: 'user', content: 'Was it paid?' }] }

/** A sidecar before a model API, its key lent as bearer token. */
function start(api: ModelApi, more: Parameters<typeof routeTo>[2] = {}): Promise<Running> {
  return Running.start({
    routes: {
      openai: routeTo(api.url, 'openai', {
        credential: 'openai',
        tools: [{ ...anyTool('llm.complete', { effect: 'send', egress: 'public', prompt: true }), match: 'POST /v1/{+any}' }],
        ...more,
      }),
    },
    providers: { openai: { type: 'static', value: { env: 'OPENAI_KEY' }, unsafe_standing: true } },
    env: { OPENAI_KEY: secret },
  })
}

async function client(running: Running, base = '/openai/v1', maxRetries = 0): Promise<OpenAI> {
  return new OpenAI({ apiKey: await running.svid(), baseURL: running.url(base), maxRetries })
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

test('a completion comes through, with the key of the upstream in place of the identity', async () => {
  await using api = await ModelApi.start()
  await using running = await start(api)
  const openai = await client(running)
  const answer = await openai.chat.completions.create(question)
  expect(answer.choices[0]?.message.content).toBe(completion)
  expect(api.seen).toHaveLength(1)
  expect(api.seen[0]?.path).toBe('/v1/chat/completions')
  expect(api.seen[0]?.headers.authorization).toBe(`Bearer ${secret}`)
  expect(api.seen[0]?.body).toEqual(question)
  const { response } = await openai.chat.completions.create(question).withResponse()
  const lines = running.entries().filter(({ id }) => id === response.headers.get('countersign-call'))
  expect(lines.map(({ kind }) => kind)).toEqual(['decision', 'outcome'])
  expect(lines[0]).toMatchObject({ caller: agentId, tool: 'llm.complete' })
  expect(lines[1]).toMatchObject({ status: 200, standing: true })
})

test('the key may be a function, so that each call carries a fresh SVID', async () => {
  await using api = await ModelApi.start()
  await using running = await start(api)
  const given: string[] = []
  const apiKey = async (): Promise<string> => {
    given.push(await running.svid())
    return given.at(-1) ?? ''
  }
  const openai = new OpenAI({ apiKey, baseURL: running.url('/openai/v1'), maxRetries: 0 })
  await openai.chat.completions.create(question)
  await openai.chat.completions.create(question)
  expect(new Set(given).size).toBe(2)
  expect(api.seen.map(({ headers }) => headers.authorization)).toEqual([`Bearer ${secret}`, `Bearer ${secret}`])
})

test('a task rides in the base URL', async () => {
  await using api = await ModelApi.start()
  await using running = await start(api)
  const headers = { authorization: `Bearer ${await running.svid()}`, 'content-type': 'application/json' }
  const opened = await ask(running.port(), '/.countersign/v1/tasks', { method: 'POST', headers, body: '{"purpose":"refund order 1042"}' })
  const task = String(opened.json['id'])
  const openai = await client(running, `/t/${task}/openai/v1`)
  const { data, response } = await openai.chat.completions.create(question).withResponse()
  expect(data.choices[0]?.message.content).toBe(completion)
  expect(api.seen[0]?.path).toBe('/v1/chat/completions')
  expect(running.entries().find(({ id }) => id === response.headers.get('countersign-call'))).toMatchObject({ task })
})

test('a stream arrives word by word, not when it is over', async () => {
  await using api = await ModelApi.start()
  await using running = await start(api)
  const stream = await (await client(running)).chat.completions.create({ ...question, model: 'slow', stream: true })
  let said = ''
  for await (const chunk of stream) {
    said += chunk.choices[0]?.delta.content ?? ''
    if (said.startsWith('The ')) api.release() // the upstream holds the rest until the first words were read
  }
  expect(said).toBe(completion)
})

test('a stream that its reader leaves is left upstream too, and recorded so', async () => {
  await using api = await ModelApi.start()
  await using running = await start(api)
  const stream = await (await client(running)).chat.completions.create({ ...question, model: 'slow', stream: true })
  for await (const chunk of stream) if (chunk.choices[0]?.delta.content === 'The ') break
  await api.abandoned
  await running.close()
  expect(running.entries().find(({ kind }) => kind === 'outcome')).toMatchObject({ status: 200, ended: 'client-gone' })
})

test('an error of the upstream keeps its status, its words and its type', async () => {
  await using api = await ModelApi.start()
  await using running = await start(api)
  api.trouble(400, 'context_length_exceeded', 'Too many tokens.')
  const error = await failure((await client(running)).chat.completions.create(question))
  expect(error).toBeInstanceOf(BadRequestError)
  expect(error.message).toBe('400 Too many tokens.')
  expect(error.code).toBe('context_length_exceeded')
})

test('a refusal is an error of the SDK with our words, code and call in it, and is not tried again', async () => {
  await using api = await ModelApi.start()
  await using running = await start(api, { tools: [anyTool('llm.complete', { risk: 'high', effect: 'write', args: 'json' })] })
  const error = await failure((await client(running, '/openai/v1', 2)).chat.completions.create(question))
  expect(error).toBeInstanceOf(PermissionDeniedError)
  expect(error.message).toContain('A person must approve this')
  expect(error.message).toContain('needs a person')
  expect(error.code).toBe('approve.required')
  expect(error.headers?.get('countersign-decision')).toBe('ask')
  const refusals = running.entries().filter(({ kind }) => kind === 'refusal')
  expect(refusals.map(({ id }) => id)).toEqual([error.headers?.get('countersign-call')])
  expect(api.seen).toEqual([])
})

test('a key that is no SVID is an authentication error that says what to present', async () => {
  await using api = await ModelApi.start()
  await using running = await start(api)
  const openai = new OpenAI({ apiKey: 'sk-dummy', baseURL: running.url('/openai/v1'), maxRetries: 2 })
  const error = await failure(openai.chat.completions.create(question))
  expect(error).toBeInstanceOf(AuthenticationError)
  expect(error.message).toContain('JWT-SVID')
  expect(error.code).toBe('identify.missing')
})

test('what the SDK tries again is judged, recorded and counted each time', async () => {
  await using api = await ModelApi.start()
  await using running = await start(api)
  api.trouble(429, 'rate_limit_exceeded', 'Slow down.', { 'retry-after-ms': '1' })
  api.trouble(503, 'overloaded', 'Later.', { 'retry-after-ms': '1' })
  const answer = await (await client(running, '/openai/v1', 2)).chat.completions.create(question)
  expect(answer.choices[0]?.message.content).toBe(completion)
  expect(api.seen).toHaveLength(3)
  await running.close()
  const outcomes = running.entries().filter(({ kind }) => kind === 'outcome')
  expect(outcomes.map(({ status }) => status)).toEqual([429, 503, 200])
  expect(running.entries().filter(({ kind }) => kind === 'decision')).toHaveLength(3)
})

test('a refusal that another try cannot change is not tried again, though its status is one the SDK retries', async () => {
  await using api = await ModelApi.start()
  await using running = await start(api)
  api.trouble(302, 'moved', 'Elsewhere.', { location: 'https://elsewhere.example/' })
  const error = await failure((await client(running, '/openai/v1', 2)).chat.completions.create(question))
  expect(error).toBeInstanceOf(InternalServerError)
  expect(error.code).toBe('forward.redirect')
  expect(api.seen).toHaveLength(1)
})

test('a call turned away for now is tried again by the SDK, and then succeeds', async () => {
  await using api = await ModelApi.start()
  await using running = await Running.start({
    routes: { openai: routeTo(api.url, 'openai') },
    agents: [freeAgent()],
    settings: { listen: { limits: { calls_per_caller: 1 } } },
  })
  const openai = await client(running, '/openai/v1', 2)
  const stream = await openai.chat.completions.create({ ...question, model: 'slow', stream: true })
  const second = openai.chat.completions.create(question)
  // the second call is refused while the first one streams; its turn comes when the stream is read to its end
  while (running.entries().every(({ code }) => code !== 'listen.overloaded')) await new Promise(setImmediate)
  api.release()
  for await (const chunk of stream) expect(chunk.id).toBe('chatcmpl-1')
  expect((await second).choices[0]?.message.content).toBe(completion)
})
