import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Abused, idOf, unharmed } from '../../support/abused.ts'
import { Random, seedOf } from '../../support/random.ts'
import { anyTool, freeAgent, routeTo, type Answered } from '../../support/running.ts'

/** What an agent can put into a body that policy reads. */
let abused: Abused

beforeAll(async () => {
  const order = {
    name: 'api.order',
    match: 'POST /orders/{+rest}',
    effect: 'write',
    risk: 'low',
    egress: 'internal',
    args: 'json',
    debit: { eur: '/amount' },
  }
  const free = { name: 'api.note', match: 'POST /notes/{+rest}', effect: 'write', risk: 'low', egress: 'internal', args: 'json' }
  const intent = {
    tools: ['api.order', 'api.note', 'api.any'],
    resources: ['*'],
    data: ['public', 'unlabelled'],
    egress: ['internal'],
    budget: { eur: 1_000_000 },
    ttl: '1h',
  }
  abused = await Abused.start(['alice', 'bob'], (url) => ({
    routes: { api: routeTo(url, 'api', { credential: 'api', tools: [order, free, anyTool('api.any')] }) },
    providers: { api: { type: 'jwt', audience: 'https://api.acme.example' } },
    agents: [freeAgent({ id: idOf('alice'), intent }), freeAgent({ id: idOf('bob'), intent: { ...intent, tools: ['api.any'] } })],
  }))
})
afterEach(async () => expect(await abused.condition()).toEqual(unharmed))
afterAll(() => abused[Symbol.asyncDispose]())

const json = { 'content-type': 'application/json' }
let count = 0

function post(body: string, headers: Readonly<Record<string, string>> = json, tool = 'notes'): Promise<Answered> {
  return abused.ask(`/api/${tool}/${++count}`, { method: 'POST', headers, body })
}

/** Bytes of the body as they are; gives the status. */
async function postRaw(body: string, headers = 'Content-Type: application/json'): Promise<number | undefined> {
  const head = `POST /api/notes/${++count} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${abused.token('alice')}\r\n${headers}\r\n`
  const [answer] = await abused.raw(`${head}Content-Length: ${body.length}\r\n\r\n${body}`)
  return answer?.status
}

/** Policy says the same as ever: yes to what it allows, no to what it does not. */
async function stillJudges(): Promise<void> {
  const [yes, no, spent] = await Promise.all([
    post('{"text":"honest"}'),
    abused.ask(`/api/notes/${++count}`, { as: 'bob', method: 'POST', headers: json, body: '{}' }),
    post('{"amount":2000000}', json, 'orders'),
  ])
  expect(yes.status, yes.text).toBe(200)
  expect(no).toMatchObject({ status: 403, json: { code: 'decide.denied' } })
  expect(spent).toMatchObject({ status: 403, json: { code: 'decide.denied' } })
}

describe('JSON that two readers read differently', () => {
  const deep = (levels: number): string => `${'['.repeat(levels)}1${']'.repeat(levels)}`
  const refused: readonly (readonly [name: string, body: string])[] = [
    ['the same key twice', '{"amount":1,"amount":2}'],
    ['the same key in two spellings', '{"amount":1,"\\u0061mount":2}'],
    ['keys that differ only in case', '{"amount":1,"Amount":2}'],
    ['a key that folds into another', '{"\u017fum":1,"sum":2}'],
    ['a lone surrogate', '{"a":"\\ud800"}'],
    ['a lone surrogate in a key', '{"\\udc00":1}'],
    ['surrogates in the wrong order', '{"a":"\\udc00\\ud800"}'],
    ['depth without end', deep(100_000)],
    ['depth just past the bound', deep(65)],
    ['objects without end', '{"a":'.repeat(20_000)],
    ['two documents', '{} {}'],
    ['bytes behind it', '{"a":1}x'],
    ['a byte order mark', '\ufeff{}'],
    ['a comment', '{"a":1/*x*/}'],
    ['a comma at the end', '[1,]'],
    ['single quotes', "{'a':1}"],
    ['NaN', '{"a":NaN}'],
    ['Infinity', '{"a":Infinity}'],
    ['a number beyond doubles', '{"a":1e999}'],
    ['a leading zero', '{"a":01}'],
    ['a hex number', '{"a":0x10}'],
    ['NUL in a key', '{"a\\u0000b":1}'],
    ['a control character in a string', '{"a":"\u0001"}'],
    ['nothing but blanks', '   '],
    ['a word', 'true false'],
    ['half of it', '{"a":'],
  ]

  test.each(refused)('%s is refused and not forwarded', async (_name, body) => {
    const from = abused.upstream.seen.length
    const answer = await post(body)
    expect([400, 403], answer.text).toContain(answer.status)
    expect(abused.upstream.seen).toHaveLength(from)
    await stillJudges()
  })

  test('other encodings, media types and codings are refused and not forwarded', async () => {
    const from = abused.upstream.seen.length
    const plain = '{"amount":1}'
    expect(await postRaw(Buffer.from(plain, 'utf16le').toString('latin1'))).toBe(400)
    expect(await postRaw('{"a":"\xff\xfe"}')).toBe(400)
    expect(await postRaw('{"a":"\xc0\xaf"}')).toBe(400)
    expect(await postRaw('{"a":"\xed\xa0\x80"}')).toBe(400)
    expect(await postRaw(gzipSync(plain).toString('latin1'), 'Content-Type: application/json\r\nContent-Encoding: gzip')).toBe(400)
    expect(await postRaw(plain, 'Content-Type: application/json; charset=utf-16')).toBe(400)
    expect(await postRaw(plain, 'Content-Type: text/plain')).toBe(400)
    expect(await postRaw(plain, 'X-None: 1')).toBe(400)
    expect(await postRaw(plain, 'Content-Type: application/json\r\nContent-Type: text/plain')).toBe(400)
    expect(abused.upstream.seen).toHaveLength(from)
  })

  test('what is larger than policy may read is refused, announced or not', async () => {
    const from = abused.upstream.seen.length
    const large = JSON.stringify({ text: 'x'.repeat(300_000) })
    expect([403, 413]).toContain((await post(large)).status)
    const chunked = `POST /api/notes/big HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${abused.token('alice')}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`
    const [answer] = await abused.raw(`${chunked}${large.length.toString(16)}\r\n${large}\r\n0\r\n\r\n`)
    expect([400, 403, 413]).toContain(answer?.status)
    expect((await post(JSON.stringify({ list: Array.from({ length: 20_000 }, () => 1) }))).status).toBe(403)
    expect((await post(JSON.stringify(Object.fromEntries(Array.from({ length: 3000 }, (_, at) => [`k${at}`, 1]))))).status).toBe(403)
    expect((await post(JSON.stringify({ text: 'x'.repeat(70_000) }))).status).toBe(403)
    expect(abused.upstream.seen).toHaveLength(from)
    await stillJudges()
  })

  test('names of prototypes are keys like any other, byte for byte', async () => {
    const bodies = [
      '{"__proto__":{"amount":1}}',
      '{"constructor":{"prototype":{"effect":"allow"}}}',
      '{"toString":1,"valueOf":2,"hasOwnProperty":3}',
      '{"__proto__":null,"__defineGetter__":1}',
      '{"a":{"__proto__":{"__proto__":[]}}}',
    ]
    for (const body of bodies) {
      expect((await post(body)).status, body).toBe(200)
      expect(abused.upstream.seen.at(-1)?.body).toBe(body)
    }
    // an amount that only a prototype has is none
    expect(await post('{"__proto__":{"amount":1}}', json, 'orders')).toMatchObject({ status: 400, json: { code: 'match.body' } })
    await stillJudges()
  })
})

describe('policy', () => {
  test('is the same after 3,000 calls that each try to break its engine', async () => {
    const seed = seedOf(process.env)
    const random = new Random(seed)
    console.log(`abuse: seed ${seed} for 3,000 hostile bodies`)
    const statuses = new Map<number, number>()
    for (let wave = 0; wave < 60; wave++) {
      const calls = Array.from({ length: 50 }, () => {
        const path = `/api/${random.pick(['orders', 'notes', 'any'])}/${odd(random)}`
        const headers = { ...json, 'x-odd': '\u00ff'.repeat(random.below(50)), traceparent: `00-${'0'.repeat(32)}-1-0` }
        return abused.ask(path, { as: random.pick(['alice', 'bob']), method: 'POST', headers, body: hostile(random) })
      })
      for (const { status, json: refusal, text } of await Promise.all(calls)) {
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
        expect([200, 400, 403, 413], `seed ${seed}: ${text.slice(0, 300)}`).toContain(status)
        expect(refusal['code'], text).not.toBe('internal')
      }
      if (wave % 10 === 9) await stillJudges()
    }
    console.log(`abuse: hostile bodies were answered ${[...statuses].map(([status, times]) => `${status} ×${times}`).join(', ')}`)
    await stillJudges()
    const malformed = abused
      .entries()
      .filter(({ code }) => code === 'decide.malformed' || code === 'decide.unavailable' || code === 'internal')
    expect(malformed.slice(0, 3)).toEqual([])
  })
})

/** A path segment or query that is long, odd or both, and well-formed enough to be judged. */
function odd(random: Random): string {
  const parts = ['a', '%C3%A9', '%F0%9F%98%80', '%20', '~', '+', '%7B', '%22', '%E2%80%A8', '!', "'", '*', '$', '@', ':', '=']
  const name = (most: number): string => Array.from({ length: 1 + random.below(most) }, () => random.pick(parts)).join('')
  const query = Array.from({ length: random.below(40) }, () => `${name(6)}=${name(20)}`).join('&')
  return `${name(random.next() < 0.1 ? 800 : 12)}?${query}`
}

/** A document made to hurt: as large as may be judged, or full of what engines stumble over. */
function hostile(random: Random): string {
  const traps = [
    '""',
    '"%s%d%v%T"',
    '"\\u0000"',
    '"\\ud83d\\ude00"',
    '9007199254740993',
    '-0',
    '1e308',
    '5e-324',
    '1e-400',
    '0.1',
    '[]',
    '{}',
    'null',
    'true',
  ]
  const text = (length: number): string => `"${random.pick(['x', '\\u2028', 'é', '😀', '%', '\\\\', '\\"', '{']).repeat(length)}"`
  const value = (depth: number): string => {
    const dice = random.next()
    if (depth <= 0 || dice < 0.5) return random.pick(traps)
    if (dice < 0.6) return text(random.below(200))
    if (dice < 0.8) return `[${Array.from({ length: random.below(12) }, () => value(depth - 1)).join(',')}]`
    return `{${Array.from({ length: random.below(12) }, (_, at) => `"${random.pick(['__proto__', 'amount', 'effect', 'k', 'é'])}${at}":${value(depth - 1)}`).join(',')}}`
  }
  const kind = random.below(10)
  if (kind === 0) return `{"amount":1,"text":${text(8000)}}`
  if (kind === 1) return `{"amount":${random.pick(traps)}}`
  if (kind === 2) return `${'{"amount":'.repeat(60)}1${'}'.repeat(60)}`
  if (kind === 3) return `[${'0,'.repeat(8000)}0]`
  if (kind === 4) return `{${Array.from({ length: 1000 }, (_, at) => `"k${at}":${random.pick(traps)}`).join(',')}}`
  if (kind === 5) return random.pick(['', '{', '\u0000', '[1,2', '{"a":1}{"a":2}', '"\\ud800"', `{"a":1,"a":2}`])
  return `{"amount":${random.below(3)},"more":${value(5)}}`
}
