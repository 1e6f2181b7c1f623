import { describe, expect, test } from 'vitest'
import { answerHead, answerTrailers, type Fields } from '../../../src/forward/respond.ts'
import { echoesOf, noEchoes, type Echoes } from '../../../src/forward/echoes.ts'
import { Finds, type Find } from '../../../src/forward/finds.ts'
import { describeUpstream } from '../../../src/forward/upstream.ts'
import { Secret } from '../../../src/secret.ts'
import { sketchLease } from '../../support/forward-rig.ts'
import { sketchCall, sketchRoute } from '../../support/question.ts'

interface Sketch {
  readonly status?: number
  readonly phrase?: string
  readonly credential?: string | null
  readonly method?: string
  readonly secret?: string
  readonly found?: Find[]
}

function looked(secret: string | undefined, found: Find[] = []): { readonly echoes: Echoes; readonly finds: Finds } {
  const echoes = secret === undefined ? noEchoes : echoesOf(sketchLease({ secret: new Secret(secret) }))
  return { echoes, finds: new Finds((find) => found.push(find)) }
}

function head(fields: Fields, sketch: Sketch = {}): ReturnType<typeof answerHead> {
  const upstream = describeUpstream(sketchRoute({ credential: sketch.credential ?? null }))
  const call = sketchCall({ method: sketch.method ?? 'GET' })
  return answerHead(sketch.status ?? 200, fields, sketch.phrase ?? 'OK', upstream, call, {
    ...looked(sketch.secret, sketch.found),
    maxHeaders: 8,
  })
}

const ours = ['countersign-call', 'c_01JDZZZZZZZZZZZZZZZZZZZZZZ', 'countersign-decision', 'allow']

describe('answerHead', () => {
  test('passes fields on and says whose decision it was', () => {
    expect(head({ etag: '"1"', 'x-a': ['1', '2'] }).list).toEqual(['etag', '"1"', 'x-a', '1', 'x-a', '2', ...ours])
  })

  test.each([
    'connection',
    'keep-alive',
    'transfer-encoding',
    'te',
    'upgrade',
    'proxy-authenticate',
    'proxy-connection',
    'alt-svc',
    'refresh',
    'countersign-call',
    'countersign-decision',
  ])('ends %s here', (name) => {
    expect(head({ [name]: name === 'transfer-encoding' ? 'chunked' : 'x' }).list).toEqual(ours)
  })

  test('drops what Connection names, also over several fields', () => {
    expect(head({ connection: ['x-a', 'X-B'], 'x-a': '1', 'x-b': '2', 'x-c': '3' }).list).toEqual(['x-c', '3', ...ours])
  })

  test.each(['set-cookie', 'set-cookie2', 'www-authenticate', 'authentication-info'])(
    'keeps %s only where no credential of ours is used',
    (name) => {
      expect(head({ [name]: ['a', 'b'] }).list).toEqual([name, 'a', name, 'b', ...ours])
      expect(head({ [name]: ['a', 'b'] }, { credential: 'crm' }).list).toEqual(ours)
    },
  )

  test.each([99, 0, 199, 600, 999])('refuses status %i', (status) => {
    expect(() => head({}, { status })).toThrow('forward.response-refused')
  })

  test.each<[string, Fields]>([
    ['two lengths', { 'content-length': ['5', '5'] }],
    ['a length that is no number', { 'content-length': '5, 5' }],
    ['a signed length', { 'content-length': '+5' }],
    ['a length beyond counting', { 'content-length': '9'.repeat(16) }],
    ['length and chunks', { 'content-length': '5', 'transfer-encoding': 'chunked' }],
    ['another coding', { 'transfer-encoding': 'gzip, chunked' }],
    ['two codings', { 'transfer-encoding': ['chunked', 'chunked'] }],
    ['two locations', { location: ['/api/a', '/api/b'] }],
    ['too many fields', { 'x-a': Array.from({ length: 9 }, String) }],
  ])('refuses %s', (_what, fields) => {
    expect(() => head(fields)).toThrow('forward.response-refused')
  })

  test('announces the length of a body that follows, and none where none can', () => {
    expect(head({ 'content-length': '5' })).toMatchObject({ length: 5, list: ['content-length', '5', ...ours] })
    expect(head({})).toMatchObject({ length: null })
    expect(head({ 'content-length': '5' }, { method: 'HEAD' })).toMatchObject({ length: 0, list: ['content-length', '5', ...ours] })
    expect(head({ 'content-length': '5' }, { status: 304 })).toMatchObject({ length: 0, list: ['content-length', '5', ...ours] })
    expect(head({ 'content-length': '5' }, { status: 204 })).toMatchObject({ length: 0, list: ours })
  })

  test('refuses a redirect elsewhere and drops a location elsewhere that redirects nowhere', () => {
    for (const status of [300, 301, 302, 303, 305, 306, 307, 308, 399]) {
      expect(() => head({ location: 'https://partner.example/' }, { status })).toThrow('forward.redirect')
    }
    for (const status of [200, 201, 202, 304, 404, 503])
      expect(head({ location: 'https://partner.example/' }, { status }).list).toEqual(ours)
    expect(head({ location: '/api/x' }, { status: 302 }).list).toEqual(['location', '/crm/x', ...ours])
  })

  const secret = 'tok en-lent/to-one'
  const encoded = encodeURIComponent(secret)

  test.each([
    ['as it is', secret],
    ['with more around it', `got ${secret} here`],
    ['URL-encoded', encoded],
    ['in base64 behind a user', `Basic ${btoa(`me:${secret}`)}`],
    ['in hex', Buffer.from(secret).toString('hex')],
    ['shortened to 60 %', `${secret.slice(3, 14)}…`],
    ['quoted by JSON', JSON.stringify({ secret })],
  ])('drops a field that holds the secret %s, and tells of it once', (_how, value) => {
    const found: Find[] = []
    const { list } = head({ 'x-debug': value, 'x-more': ['1', value], 'x-a': '1' }, { secret, found, credential: 'crm' })
    expect(list).toEqual(['x-more', '1', 'x-a', '1', ...ours])
    expect(found).toEqual([{ where: 'header', first: true }])
  })

  test('drops a field whose name holds the secret, in the lower case that names have', () => {
    const fields = { [`x-${secret.toUpperCase().toLowerCase()}`]: '1', 'x-ent/to-one': '2', 'x-a': '1' }
    expect(head(fields, { secret: 'Tok en-Lent/to-one', credential: 'crm' }).list).toEqual(['x-ent/to-one', '2', 'x-a', '1', ...ours])
  })

  test('drops a field that holds a secret too short to be looked for in bodies', () => {
    const fields = { 'x-debug': 'pin 4711!', 'x-basic': btoa('me:4711!'), 'x-a': '1' }
    const short = echoesOf(sketchLease({ secret: new Secret('4711!'), placement: { in: 'basic', user: 'me' } }))
    const upstream = describeUpstream(sketchRoute({ credential: 'crm' }))
    const { list } = answerHead(200, fields, 'OK', upstream, sketchCall(), { echoes: short, finds: new Finds(null), maxHeaders: 8 })
    expect(list).toEqual(['x-a', '1', ...ours])
  })

  test('drops a link that holds the secret, and refuses a redirect that does', () => {
    expect(head({ link: `</api/x?k=${encoded}>; rel=next` }, { secret, credential: 'crm' }).list).toEqual(ours)
    expect(() => head({ location: `/api/x?k=${encoded}` }, { secret, status: 302, credential: 'crm' })).toThrow('forward.redirect')
  })

  test('leaves a field with less than 60 % of the secret', () => {
    expect(head({ 'x-a': secret.slice(0, 9) }, { secret, credential: 'crm' }).list).toEqual(['x-a', secret.slice(0, 9), ...ours])
  })

  test.each([
    ['Fine', 'Fine'],
    ['OK', null],
    ['', null],
    ['odd \x01', null],
    ['\xe9t\xe9', null],
    ['x'.repeat(65), null],
  ])('passes on a phrase that is plain text: %j', (phrase, expected) => {
    expect(head({}, { phrase }).phrase).toBe(expected)
    expect(head({}, { phrase, credential: 'crm' }).phrase).toBeNull()
  })

  test('declares the trailers that may follow', () => {
    const declared = head({ trailer: 'x-sum, Content-Length, countersign-call, , grpc-status' })
    expect([...(declared.trailers ?? [])]).toEqual(['x-sum', 'grpc-status'])
    expect(declared.list).toEqual(['trailer', 'x-sum, grpc-status', ...ours])
    expect(head({ trailer: 'x-sum', 'content-length': '5' }).trailers).toBeNull()
    expect(head({ trailer: 'x-sum' }, { method: 'HEAD' }).list).toEqual(ours)
    expect(head({ trailer: 'set-cookie' }).trailers).toBeNull()
  })

  test('knows an event stream', () => {
    expect(head({ 'content-type': 'text/event-stream; charset=utf-8' }).events).toBe(true)
    expect(head({ 'content-type': 'text/plain' }).events).toBe(false)
  })

  test('is not fooled by names that objects have', () => {
    const fields: Fields = JSON.parse('{"__proto__":"1","constructor":"2","tostring":"3"}') as Fields
    expect(head(fields).list).toEqual(['__proto__', '1', 'constructor', '2', 'tostring', '3', ...ours])
  })
})

describe('a coded body that was not decoded', () => {
  test.each(['gzip', 'GZIP, identity', 'unheard-of'])('of %s is refused where a credential was lent: it cannot be searched', (coding) => {
    expect(() => head({ 'content-encoding': coding }, { credential: 'crm' })).toThrow('forward.response-refused')
    expect(head({ 'content-encoding': coding }).list).toContain(coding)
  })

  test('is no body in an answer to HEAD, and identity is no code', () => {
    expect(head({ 'content-encoding': 'unheard-of' }, { credential: 'crm', method: 'HEAD' }).list).toContain('unheard-of')
    for (const coding of ['identity', 'identity, Identity', ''])
      expect(head({ 'content-encoding': coding }, { credential: 'crm' }).list).toContain(coding)
  })

  test('passes on a route that says so', () => {
    const upstream = describeUpstream(sketchRoute({ credential: 'crm', unsafeCoded: true }))
    const options = { ...looked(undefined), maxHeaders: 8 }
    expect(answerHead(200, { 'content-encoding': 'unheard-of' }, 'OK', upstream, sketchCall(), options).list).toContain('unheard-of')
  })
})

describe('answerTrailers', () => {
  test('gives what was declared', () => {
    const given: Fields = { 'x-sum': ['1', '2'], 'x-other': '3' }
    expect(answerTrailers(given, new Set(['x-sum']), looked(undefined))).toEqual([
      ['x-sum', '1'],
      ['x-sum', '2'],
    ])
  })

  test('none are declared where a credential was lent, and one that holds it is told of', () => {
    expect(head({ trailer: 'x-sum' }, { credential: 'crm', secret: 'tok-en-lent' }).trailers).toBeNull()
    const found: Find[] = []
    expect(answerTrailers({ 'x-sum': 'tok-en-lent' }, null, looked('tok-en-lent', found))).toEqual([])
    expect(found).toEqual([{ where: 'trailer', first: true }])
  })
})
