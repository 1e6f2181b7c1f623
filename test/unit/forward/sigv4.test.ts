import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { echoesOf, holds } from '../../../src/forward/echoes.ts'
import { Refusal } from '../../../src/refusal.ts'
import { Secret } from '../../../src/secret.ts'
import { awsLease, keyId, keys, moment, sign, signAtOnce, uploading, valuesOf, verify, type Plain } from '../../support/sigv4-rig.ts'
import { AwsFault, uriEncode } from '../../support/sigv4-verifier.ts'

const authorization = (list: readonly string[]): string => valuesOf(list, 'authorization').join()
const signature = (list: readonly string[]): string => /Signature=([0-9a-f]{64})$/.exec(authorization(list))?.[1] ?? ''
const json = ['content-type', 'application/x-amz-json-1.0', 'x-amz-target', 'DynamoDB_20120810.GetItem']

function refusal(make: () => unknown): Refusal {
  try {
    make()
  } catch (error) {
    if (error instanceof Refusal) return error
    throw error
  }
  throw new Error('nothing was refused')
}

/** Signatures computed from the published algorithm by another program in another language. */
describe('a signature is the one that the algorithm gives', () => {
  test('of a call with a body and a session token', () => {
    const body = Buffer.from('{"TableName":"orders","Key":{"id":{"S":"1042"}}}')
    const { headers } = signAtOnce({ service: 'dynamodb', method: 'POST', headers: json, body })
    expect(authorization(headers)).toBe(
      `AWS4-HMAC-SHA256 Credential=${keyId}/20260301/eu-central-1/dynamodb/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature=8696677f7ed70b7ce6ccaf0dc9c17d57055ddbdc23141c402153c5ac8a3ad1c9`,
    )
  })

  test('of a key of S3 that is not in ASCII, with a query that is not sorted', () => {
    const target = '/receipts/caf%C3%A9%20(1).pdf?x-id=GetObject&versionId=a%2Fb%3D'
    const applied = signAtOnce({ service: 's3', target })
    expect(applied.path).toBe(target)
    expect(signature(applied.headers)).toBe('855cb3768b535d1566f9b254682144c9c4583be94f84127573244f15acb86e84')
  })

  test('of a path that is encoded once more for it', () => {
    expect(signature(signAtOnce({ service: 'execute-api', target: '/a%20b/c' }).headers)).toBe(
      '126610c1d83a63db71fb98c1c832cad66c163fd9bc5661e9cd4abee4a2038359',
    )
  })
})

describe('what was signed is what a service verifies', () => {
  const name = fc.string({ unit: 'binary', minLength: 0, maxLength: 8 }).filter((text) => text.isWellFormed())
  const segments = fc.array(
    name.map(uriEncode).filter((text) => text !== '.' && text !== '..'),
    { maxLength: 5 },
  )
  const query = fc.array(fc.tuple(name, name), { maxLength: 6 })
  const value = fc.stringMatching(/^[\x20-\x7e\xa0-\xff]{0,40}$/)
  const plain = fc.record({
    service: fc.constantFrom('s3', 'dynamodb', 'execute-api'),
    method: fc.constantFrom('GET', 'PUT', 'POST', 'DELETE'),
    target: fc.tuple(segments, query).map(([path, pairs]) => {
      const text = pairs.map(([key, one]) => `${uriEncode(key)}=${uriEncode(one)}`).join('&')
      return `/${path.join('/')}${text === '' ? '' : `?${text}`}`
    }),
    headers: fc
      .array(fc.tuple(fc.constantFrom('x-amz-meta-a', 'x-amz-meta-b', 'content-type', 'range'), value), { maxLength: 5 })
      .map((list) => list.flat()),
    body: fc.option(
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
      { nil: null },
    ),
  })

  test('for any path, query, header and body', () => {
    fc.assert(
      fc.property(plain, (request) => {
        const applied = signAtOnce(request)
        expect(applied.path).toBe(request.target)
        const body = request.body ?? Buffer.alloc(0)
        expect(verify(request, applied, body).equals(body)).toBe(true)
      }),
      { numRuns: 300 },
    )
  })

  test('and nothing else: another method, path, query, header, body or time does not verify', () => {
    const request: Plain = {
      service: 's3',
      method: 'PUT',
      target: '/receipts/a?x=1',
      headers: ['content-type', 'text/plain'],
      body: Buffer.from('hello'),
    }
    const applied = signAtOnce(request)
    const code = (change: () => unknown): string => {
      try {
        change()
      } catch (error) {
        if (error instanceof AwsFault) return error.code
      }
      return 'verified'
    }
    const body = Buffer.from('hello')
    expect(code(() => verify(request, applied, body))).toBe('verified')
    expect(code(() => verify({ ...request, method: 'POST' }, applied, body))).toBe('SignatureDoesNotMatch')
    expect(code(() => verify(request, { ...applied, path: '/receipts/b?x=1' }, body))).toBe('SignatureDoesNotMatch')
    expect(code(() => verify(request, { ...applied, path: '/receipts/a?x=2' }, body))).toBe('SignatureDoesNotMatch')
    expect(code(() => verify({ ...request, host: 'elsewhere.example' }, applied, body))).toBe('SignatureDoesNotMatch')
    expect(
      code(() => verify(request, { ...applied, headers: applied.headers.map((one) => one.replace('text/plain', 'text/html')) }, body)),
    ).toBe('SignatureDoesNotMatch')
    expect(code(() => verify(request, applied, Buffer.from('hellO')))).toBe('XAmzContentSHA256Mismatch')
    expect(code(() => verify(request, applied, body, moment + 16 * 60_000))).toBe('RequestTimeTooSkewed')
    expect(code(() => verify(request, { ...applied, headers: [...applied.headers, 'x-amz-acl', 'public-read'] }, body))).toBe(
      'AccessDenied',
    )
  })
})

describe('what the agent signed itself', () => {
  const given = [
    'authorization',
    'AWS4-HMAC-SHA256 Credential=placeholder/20200101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00',
    'x-amz-date',
    '20200101T000000Z',
    'x-amz-security-token',
    'of-the-agent',
    'x-amz-content-sha256',
    'UNSIGNED-PAYLOAD',
    'x-amz-region-set',
    '*',
    'x-amz-s3session-token',
    'of-the-agent',
    'date',
    'Wed, 01 Jan 2020 00:00:00 GMT',
    'x-amz-meta-kept',
    '1',
  ]

  test('is replaced whole, and the rest is kept', () => {
    const request: Plain = { service: 's3', method: 'PUT', target: '/receipts/a', headers: given, body: Buffer.from('hello') }
    const applied = signAtOnce(request)
    expect(valuesOf(applied.headers, 'x-amz-date')).toEqual(['20260301T101112Z'])
    expect(valuesOf(applied.headers, 'x-amz-security-token')).toEqual([keys.token])
    expect(valuesOf(applied.headers, 'authorization')).toHaveLength(1)
    expect(valuesOf(applied.headers, 'x-amz-meta-kept')).toEqual(['1'])
    for (const gone of ['x-amz-region-set', 'x-amz-s3session-token', 'date']) expect(valuesOf(applied.headers, gone)).toEqual([])
    expect(applied.headers.join()).not.toContain('of-the-agent')
    expect(applied.headers.join()).not.toContain('placeholder')
    // a body that is here is hashed, whatever the agent said
    expect(valuesOf(applied.headers, 'x-amz-content-sha256')).toEqual(['2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824'])
    verify(request, applied, Buffer.from('hello'))
  })

  test.each([
    'X-Amz-Signature=00',
    'x=1&x%2Damz-credential=placeholder',
    'x-amz-algorithm=AWS4-HMAC-SHA256',
    'X-Amz-Security-Token=of-the-agent',
    'X-Amz-S3session-Token=of-the-agent',
    'AWSAccessKeyId=placeholder&Signature=00',
  ])('is refused where it is in the URL: %s', (query) => {
    const refused = refusal(() => signAtOnce({ service: 's3', target: `/receipts/a?${query}` }))
    expect(refused.code).toBe('listen.malformed')
    expect(refused.reasons.join()).toContain('presigned')
  })

  test('a second signature of the same call is another one when the clock has gone on', () => {
    const [first, second] = [moment, moment + 1000].map((now) => signAtOnce({ service: 's3', target: '/a' }, awsLease(), now).headers)
    expect(signature(first ?? [])).not.toBe(signature(second ?? []))
  })

  test('a query whose bytes are not UTF-8 cannot be signed', () => {
    expect(refusal(() => signAtOnce({ service: 's3', target: '/a?b=%FF' })).code).toBe('listen.malformed')
  })

  test('a parameter with the name of something else in the language is signed like any other', () => {
    const request: Plain = { service: 's3', target: '/a?toString=x&constructor=y' }
    verify(request, signAtOnce(request))
  })
})

describe('the payload', () => {
  const hex = 'a'.repeat(64)
  const said = (value: string): string[] => ['x-amz-content-sha256', value]
  const put = (more: Partial<Plain>): Plain => ({ service: 's3', method: 'PUT', target: '/receipts/a', body: uploading().upload, ...more })
  const digest = (plain: Plain): string[] => valuesOf(signAtOnce(plain).headers, 'x-amz-content-sha256')

  test('of a stream to S3 goes unsigned over TLS, by the digest that the agent gave, or as its framing demands', () => {
    expect(digest(put({}))).toEqual(['UNSIGNED-PAYLOAD'])
    expect(digest(put({ headers: said('UNSIGNED-PAYLOAD') }))).toEqual(['UNSIGNED-PAYLOAD'])
    expect(digest(put({ headers: said(hex) }))).toEqual([hex])
    expect(digest(put({ headers: said('STREAMING-UNSIGNED-PAYLOAD-TRAILER') }))).toEqual(['STREAMING-UNSIGNED-PAYLOAD-TRAILER'])
  })

  test.each<[string, Partial<Plain>]>([
    ['TLS', { scheme: 'http', headers: said('STREAMING-UNSIGNED-PAYLOAD-TRAILER') }],
    ['S3 alone', { service: 'dynamodb', headers: said('STREAMING-UNSIGNED-PAYLOAD-TRAILER') }],
    ['HMAC', { headers: said('STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD') }],
    ['HMAC', { headers: said('STREAMING-AWS4-HMAC-SHA256-EVENTS') }],
    ['SHA-256', { headers: said('A'.repeat(64)) }],
    ['SHA-256', { headers: [...said(hex), ...said(hex)] }],
    ['there is none', { headers: said('STREAMING-AWS4-HMAC-SHA256-PAYLOAD'), body: null }],
    ['no length', { headers: [...said('STREAMING-AWS4-HMAC-SHA256-PAYLOAD'), 'x-amz-decoded-content-length', '1e3'] }],
  ])('that cannot be signed is refused, and told what it takes: %s', (words, more) => {
    const refused = refusal(() => signAtOnce(put(more)))
    expect(refused.code).toBe('listen.malformed')
    expect(refused.reasons.join()).toContain(words)
  })

  test.each<[string, Partial<Plain>]>([
    ['to another service', { service: 'dynamodb', headers: [...json, 'content-length', '5'] }],
    ['without TLS', { scheme: 'http', headers: said('UNSIGNED-PAYLOAD') }],
  ])('of a stream %s is read whole, and signed', async (_where, more) => {
    const { upload, incoming } = uploading()
    const request = put({ ...more, body: upload })
    const pending = sign(request)
    incoming.write('hel')
    incoming.complete = true
    incoming.end('lo')
    const applied = await pending
    expect(applied.body).toEqual(Buffer.from('hello'))
    expect(valuesOf(applied.headers, 'content-length')).toEqual([])
    verify(request, applied, Buffer.from('hello'))
  })

  test('of a stream that is longer than may be held is refused', async () => {
    const { upload, incoming } = uploading()
    const pending = Promise.resolve(sign(put({ service: 'dynamodb', body: upload, gather: 4 })))
    incoming.write('hello')
    await expect(pending).rejects.toMatchObject({ code: 'listen.too-large' })
    expect(upload.destroyed).toBe(true)
  })
})

describe('the keys', () => {
  test('are looked for in the answer: secret key and session token, by one set for all calls of a lease', () => {
    const lease = awsLease()
    expect(holds(`${keys.secret} and`, echoesOf(lease)) && holds(`and ${keys.token}`, echoesOf(lease))).toBe(true)
    expect(echoesOf(lease)).toBe(echoesOf(lease))
  })

  test('without a session token sign without one', () => {
    const { headers } = signAtOnce({ service: 's3' }, awsLease({ parts: {} }))
    expect(valuesOf(headers, 'x-amz-security-token')).toEqual([])
  })

  test('without an access key id, or with a token that could end a header, sign nothing', () => {
    const { user: _user, ...anonymous } = awsLease()
    expect(refusal(() => signAtOnce({ service: 's3' }, anonymous)).code).toBe('credential.unavailable')
    const torn = awsLease({ parts: { session_token: new Secret('a\r\nx-evil: 1') } })
    expect(refusal(() => signAtOnce({ service: 's3' }, torn)).code).toBe('credential.unavailable')
  })

  test('sign for the day of the clock', () => {
    const lease = awsLease({ expires: moment + 2 * 86_400_000 })
    const tomorrow = moment + 86_400_000
    signAtOnce({ service: 's3' }, lease)
    const applied = signAtOnce({ service: 's3' }, lease, tomorrow)
    expect(authorization(applied.headers)).toContain('/20260302/')
    expect(() => verify({ service: 's3' }, applied, Buffer.alloc(0), tomorrow)).toThrow('expired')
  })
})
