import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { agentId, anyTool, ask, freeAgent, routeTo, Running, TestUpstream, type Answered, type RunningOptions } from '../support/running.ts'

const answering = fileURLToPath(new URL('../support/answering/answering.tar.gz', import.meta.url))
const sha = (text: string): string => createHash('sha256').update(text).digest('hex')

type Says = ConstructorParameters<typeof Map<string, [number, Record<string, string>, string]>>[0]

/** An upstream that answers each path as told. */
function saying(answers: Says): Promise<TestUpstream> {
  const said = new Map(answers)
  return TestUpstream.start(({ url }, response) => {
    const [status, headers, body] = said.get(url) ?? [404, {}, '']
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body)
  })
}

async function get(running: Running, path: string, more: Parameters<typeof ask>[2] = {}): Promise<Answered> {
  return ask(running.port(), path, { ...more, headers: { authorization: `Bearer ${await running.svid()}`, ...more.headers } })
}

const outcomeOf = (running: Running, answer: Answered) =>
  running.entries().find(({ id, kind }) => id === answer.headers['countersign-call'] && kind === 'outcome')

/** A CRM whose answers are judged, and a mail service that may receive public data. */
function company(
  crm: TestUpstream,
  mail: TestUpstream,
  tool: Record<string, unknown>,
  decide: Record<string, unknown> = {},
): RunningOptions {
  return {
    routes: {
      crm: routeTo(crm.url, 'crm', { tools: [anyTool('crm.any', tool)], answer_headers: ['X-Classification'] }),
      mail: routeTo(mail.url, 'mail', { tools: [anyTool('mail.send', { effect: 'send', egress: 'partner', data: ['public'] })] }),
    },
    agents: [freeAgent()],
    settings: { decide: { environment: 'test', ...decide } },
  }
}

test('masked fields never reach the agent nor the ledger, and the record says what was done', async () => {
  const person = '{"name":"Ada","ssn":"canary-078","people":[{"ssn":"canary-079"}],"internal":{"note":"canary-080"}}'
  await using crm = await saying([['/people/1', [200, { etag: '"1"' }, person]]])
  await using mail = await TestUpstream.start()
  await using running = await Running.start(
    company(crm, mail, { answer: 'json', data: ['public'] }, { bundle: { path: answering, unsafe_unsigned: true } }),
  )
  const answer = await get(running, '/crm/people/1')
  expect(answer.status).toBe(200)
  expect(answer.text).toBe('{"name":"Ada","ssn":"***","people":[{"ssn":"***"}]}')
  expect(answer.headers).toMatchObject({ 'content-length': String(answer.text.length) })
  expect(answer.headers['etag']).toBeUndefined()
  expect(await running.verify()).toMatchObject({ ok: true, open: 0 })
  expect(outcomeOf(running, answer)).toMatchObject({
    status: 200,
    ended: 'complete',
    bytes_in: person.length,
    answer: {
      effect: 'allow',
      judged: true,
      truncated: false,
      masked: 2,
      dropped: 1,
      sha256: sha(person),
      sent_sha256: sha(answer.text),
      obligations: [
        { id: 'test.drop', type: 'drop_response_fields' },
        { id: 'test.mask', type: 'mask_response' },
      ],
    },
  })
  expect(running.ledgerText() + running.logged.join('')).not.toContain('canary')
})

test('a refused answer is a 502 with a code and no byte of it', async () => {
  await using crm = await saying([['/tea', [418, { 'x-canary': 'canary-1' }, '{"canary":"canary-2"}']]])
  await using mail = await TestUpstream.start()
  await using running = await Running.start(company(crm, mail, { answer: 'json' }, { bundle: { path: answering, unsafe_unsigned: true } }))
  const answer = await get(running, '/crm/tea')
  expect(answer.status).toBe(502)
  expect(answer.json).toMatchObject({ code: 'forward.response-refused', reasons: ['this may not come back'] })
  expect(JSON.stringify([answer.headers, answer.text])).not.toContain('canary')
  await running.verify()
  expect(outcomeOf(running, answer)).toMatchObject({
    code: 'forward.response-refused',
    ended: 'refused',
    answer: { status: 418, effect: 'deny', rules: ['test.teapot'], controls: ['ASI02'], fault: 'test.teapot' },
  })
  expect(running.ledgerText()).not.toContain('canary')
})

test('the default policy refuses what it could not judge', async () => {
  await using crm = await saying([
    ['/page', [200, { 'content-type': 'text/html' }, '<p>canary</p>']],
    ['/twins', [200, {}, '{"a":1,"a":"canary"}']],
    ['/missing', [404, { 'content-type': 'text/plain' }, 'no such customer']],
    ['/fine', [200, {}, '{"a":1}']],
  ])
  await using mail = await TestUpstream.start()
  await using running = await Running.start(company(crm, mail, { answer: 'json' }))
  for (const path of ['/page', '/twins']) {
    const answer = await get(running, `/crm${path}`)
    expect(answer).toMatchObject({
      status: 502,
      json: { code: 'forward.response-refused', reasons: ['the answer to this call could not be judged'] },
    })
    expect(answer.text).not.toContain('canary')
  }
  expect(await get(running, '/crm/missing')).toMatchObject({ status: 404, text: 'no such customer' })
  expect(await get(running, '/crm/fine')).toMatchObject({ status: 200, text: '{"a":1}' })
})

test('classes that an answer names count as read before the agent has it, and the next mail is refused', async () => {
  await using crm = await saying([
    ['/public', [200, { 'x-classification': 'public' }, '{}']],
    ['/customer', [200, { 'x-classification': 'Personal' }, '{"name":"Ada"}']],
  ])
  await using mail = await TestUpstream.start()
  await using running = await Running.start(company(crm, mail, { answer: 'head' }))
  const send = () => get(running, '/mail/messages', { method: 'POST', body: '{}' })
  await get(running, '/crm/public')
  expect((await send()).status).toBe(200)
  const read = await get(running, '/crm/customer')
  expect(read).toMatchObject({ status: 200, text: '{"name":"Ada"}' })
  const refused = await send()
  expect(refused).toMatchObject({ status: 403, json: { code: 'decide.denied' } })
  expect(mail.seen).toHaveLength(1)
  await running.verify()
  expect(outcomeOf(running, read)).toMatchObject({ raised: ['personal'], answer: { judged: false } })
  // it stays with the caller, also over a restart
  await running.restart()
  expect((await send()).status).toBe(403)
  expect(running.sidecar.foundation.state.facts('t_none', agentId).caller.sensitivity).toHaveProperty('personal')
})

test('an upstream that names new classes in each answer does not take its agent from it', async () => {
  const flood = Array.from({ length: 10 }, (_, page): [string, [number, Record<string, string>, string]] => [
    `/page/${page}`,
    [200, { 'x-classification': Array.from({ length: 12 }, (__, at) => `c${page}-${at}`).join(',') }, '{}'],
  ])
  await using crm = await saying(flood)
  await using mail = await TestUpstream.start()
  await using running = await Running.start(company(crm, mail, { answer: 'head' }))
  const pages = await Promise.all(flood.map(([path]) => get(running, `/crm${path}`)))
  expect(pages.map(({ status }) => status)).toEqual(flood.map(() => 200))
  expect((await get(running, '/crm/page/1')).status).toBe(200)
  expect(await get(running, '/mail/messages', { method: 'POST', body: '{}' })).toMatchObject({
    status: 403,
    json: { code: 'decide.denied' },
  })
  const { sensitivity } = running.sidecar.foundation.state.facts('t_none', agentId).caller
  expect(Object.keys(sensitivity)).toContain('unclassified')
  expect(Object.keys(sensitivity)).toHaveLength(33)
})

test('what an answer names counts as read where a watched rule alone would have refused it', async () => {
  await using crm = await saying([['/customer', [200, { 'content-type': 'text/html', 'x-classification': 'personal' }, '<p>Ada</p>']]])
  await using mail = await TestUpstream.start()
  await using running = await Running.start(
    company(crm, mail, { answer: 'json' }, { modes: [{ rule: 'answer.not-judged', mode: 'observe' }] }),
  )
  expect(await get(running, '/crm/customer')).toMatchObject({ status: 200, text: '<p>Ada</p>' })
  expect(await get(running, '/mail/messages', { method: 'POST', body: '{}' })).toMatchObject({
    status: 403,
    json: { code: 'decide.denied' },
  })
  expect(mail.seen).toEqual([])
})

test.each(['head', 'json', null])(
  '[AARM 2026-03-26 §R2.2] an unlabelled answer counts as the worst where that was chosen: answer %s',
  async (how) => {
    await using crm = await saying([['/x', [200, {}, '{"a":1}']]])
    await using mail = await TestUpstream.start()
    const options = company(crm, mail, how === null ? {} : { answer: how }, { unlabelled: 'worst' })
    await using running = await Running.start(options)
    const send = () => get(running, '/mail/messages', { method: 'POST', body: '{}' })
    expect((await send()).status).toBe(200)
    const read = await get(running, '/crm/x')
    expect(read).toMatchObject({ status: 200, text: '{"a":1}' })
    expect(await send()).toMatchObject({ status: 403, json: { code: 'decide.denied' } })
    await running.verify()
    expect(outcomeOf(running, read)).toMatchObject({ raised: ['unclassified'] })
  },
)

test('what looks like a secret in an answer goes nowhere from then on', async () => {
  const key = ['-----BEGIN PRIV', 'ATE KEY-----'].join('')
  await using crm = await saying([['/key', [200, {}, JSON.stringify({ key })]]])
  await using mail = await TestUpstream.start()
  await using running = await Running.start(company(crm, mail, { answer: 'json' }))
  expect((await get(running, '/crm/key')).status).toBe(200)
  expect((await get(running, '/mail/messages', { method: 'POST', body: '{}' })).status).toBe(403)
})
