import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { credentialSlots, findPresented } from '../../../src/identify/slots.ts'
import { readShape } from '../../../src/identify/token-shape.ts'
import { Refusal } from '../../../src/refusal.ts'
import { Issuer } from '../../support/issuer.ts'

const token = new Issuer().mint()
const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`

describe('where tokens are found', () => {
  test.each([
    ['a bearer token', ['authorization', `Bearer ${token}`], 'authorization'],
    ['the scheme in any case', ['authorization', `bEARER ${token}`], 'authorization'],
    ['more than one space', ['authorization', `Bearer   ${token}`], 'authorization'],
    ['a bearer token for the proxy', ['proxy-authorization', `Bearer ${token}`], 'proxy-authorization'],
    ['a Basic password', ['authorization', basic(`agent:${token}`)], 'basic-password'],
    ['a Basic password without a user', ['authorization', basic(`:${token}`)], 'basic-password'],
    ['a Basic password for the proxy', ['proxy-authorization', basic(`agent:${token}`)], 'proxy-authorization'],
    ['x-api-key', ['x-api-key', token], 'x-api-key'],
    ['x-goog-api-key', ['x-goog-api-key', token], 'x-goog-api-key'],
  ])('%s', (_, headers, slot) => {
    expect(findPresented(['host', 'x', ...headers, 'accept', '*/*'])).toEqual([{ slot, token }])
  })

  test.each(['authorization', 'proxy-authorization'])('a token under the scheme DPoP (RFC 9449 §7.1) in %s, said to be one', (slot) => {
    expect(findPresented([slot, `dpop  ${token}`])).toEqual([{ slot, token, scheme: 'dpop' }])
  })

  test('the list of slots is the list of headers that forward strips', () => {
    expect(credentialSlots).toEqual(['authorization', 'proxy-authorization', 'x-api-key', 'x-goog-api-key'])
  })

  test('one token in several slots is found once, and different ones each', () => {
    expect(findPresented(['x-api-key', token, 'authorization', `Bearer ${token}`])).toHaveLength(1)
    expect(findPresented(['x-api-key', token, 'authorization', `Bearer ${token}x`])).toHaveLength(2)
    // under two schemes each has to stand on its own
    expect(findPresented(['x-api-key', token, 'authorization', `DPoP ${token}`])).toHaveLength(2)
    expect(findPresented(['proxy-authorization', `DPoP ${token}`, 'authorization', `DPoP ${token}`])).toHaveLength(1)
  })

  test.each([
    ['no headers', []],
    ['other headers', ['cookie', token, 'x-api-keys', token, 'api-key', token, 'authorisation', token]],
    ['dummy keys', ['authorization', 'Bearer sk-dummy', 'x-api-key', 'dummy', 'x-goog-api-key', '']],
    ['an empty bearer', ['authorization', 'Bearer ']],
    ['a scheme alone', ['authorization', 'Bearer']],
    ['a Basic pair without a token', ['authorization', basic('user:password')]],
    ['a Basic text without a colon', ['authorization', basic(token)]],
    ['a Basic text that is no base64', ['authorization', 'Basic ???']],
    [
      'a signature of another kind',
      ['authorization', 'AWS4-HMAC-SHA256 Credential=AKIA/20260101/eu.west/s3/aws4_request, SignedHeaders=host, Signature=00'],
    ],
    ['a token with a JWT inside', ['authorization', `token ghs_12345_${token}`]],
  ])('nothing in %s', (_, headers) => {
    expect(findPresented(headers)).toEqual([])
  })
})

describe('what is refused at once', () => {
  test.each(credentialSlots)('two headers %s, even if alike or empty', (name) => {
    for (const value of [`Bearer ${token}`, '', 'x']) {
      expect(() => findPresented([name, value, 'accept', '*/*', name, value])).toThrow(
        expect.objectContaining({ code: 'identify.rejected' }),
      )
    }
  })

  test.each([`DPoPs ${token}`, `token ${token}`, token, `JWT ${token}`, ` ${token}`, `Negotiate   ${token}`])(
    'a token that is neither Bearer, DPoP nor Basic: %s',
    (value) => {
      expect(() => findPresented(['authorization', value])).toThrow(expect.objectContaining({ code: 'identify.rejected' }))
    },
  )
})

describe('what looks like a token', () => {
  const header = token.slice(0, token.indexOf('.'))
  test.each([
    ['a token', token],
    ['one part too many', `${token}.x`],
    ['one part too few', header + '.x'],
    ['empty parts', `${header}..`],
    ['padding', `${header}==.x.y`],
    ['white space in the header', `${Buffer.from(' {"alg":"ES256"}').toString('base64url')}.x.y`],
    ['a list after a comma', `${header}.x.y, Basic abc`],
    ['an alg that is null', `${Buffer.from('{"alg":null}').toString('base64url')}.x.y`],
  ])('%s does', (_, text) => {
    expect(readShape(text)).not.toBeNull()
  })

  test.each([
    ['nothing', ''],
    ['a dot', '.'],
    ['a dummy key', 'sk-dummy'],
    ['a dotted key', 'sk.dummy.key'],
    ['a header without alg', `${Buffer.from('{"typ":"JWT"}').toString('base64url')}.x.y`],
    ['an alg that is only inherited', `${Buffer.from('{"__proto__":{"alg":"ES256"}}').toString('base64url')}.x.y`],
    ['a list', `${Buffer.from('["alg"]').toString('base64url')}.x.y`],
    ['a prefix before the header', `ghs_1_${token}`],
    ['a token without dots', token.replaceAll('.', '')],
  ])('%s does not', (_, text) => {
    expect(readShape(text)).toBeNull()
  })

  test('no header value makes the search throw anything but a refusal', () => {
    const name = fc.constantFrom(...credentialSlots, 'accept')
    const value = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('Bearer ', 'Basic ', 'bearer', 'e30.', `Basic ${'A'.repeat(99)}`),
      fc.base64String().map((text) => `Basic ${text}`),
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value), { maxLength: 6 }), (pairs) => {
        try {
          for (const { token: found } of findPresented(pairs.flat())) readShape(found)
        } catch (error) {
          if (!(error instanceof Refusal)) throw error
          expect(error.code).toBe('identify.rejected')
        }
      }),
      { numRuns: 1000 },
    )
  })
})
