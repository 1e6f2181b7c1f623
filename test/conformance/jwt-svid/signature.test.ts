import { createHmac, createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import * as fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Caller } from '../../../src/identify/identify.ts'
import type { Call } from '../../../src/listen/call.ts'
import { bearer, identifyFor, openedSource, refusalOf, TestClock } from '../../support/identity-rig.ts'
import { makeIdentify } from '../../../src/identify/identify.ts'
import { derSignature, Issuer, part, signature, signatureUnderExponentOne, signingAlgorithms, signingKey } from '../../support/issuer.ts'
import type { Jwk, SigningAlgorithm } from '../../support/issuer.ts'

const clock = new TestClock()
const es256 = signingKey('ES256', 'es256')
const es384 = signingKey('ES384', 'es384')
const es512 = signingKey('ES512', 'es512')
const rsa = signingKey('RS256', 'rsa')
const issuer = new Issuer({ clock: clock.now, keys: [es256, es384, es512, rsa] })
let identify: (call: Call) => Caller | Promise<Caller>

beforeAll(async () => {
  identify = await identifyFor(issuer, clock)
})

const unverified = ['the token could not be verified with the keys of its trust domain']

async function reasons(token: string, by = identify): Promise<readonly string[] | undefined> {
  return (await refusalOf(() => by(bearer(token))))?.reasons
}

/** A stage over one JWK published as it is. */
async function identifyWith(jwk: Jwk): Promise<(call: Call) => Caller | Promise<Caller>> {
  const { source } = await openedSource(JSON.stringify({ keys: [{ use: 'jwt-svid', ...jwk }] }), { clock })
  return makeIdentify({ sources: [source], clock: clock.now })
}

describe('[RFC 7515 §5.2] the signature is verified', () => {
  test.each([es256, es384, es512, rsa])('takes a signature by $kid', async (key) => {
    expect(await identify(bearer(issuer.mint({ key })))).toMatchObject({ id: issuer.id() })
  })

  test('refuses a key with the right kid that is not the published one', async () => {
    expect(await reasons(issuer.mint({ key: signingKey('ES256', 'es256') }))).toEqual(unverified)
    expect(await reasons(issuer.mint({ key: signingKey('RS256', 'rsa') }))).toEqual(unverified)
  })

  test('refuses claims or header of one token with the signature of another', async () => {
    const [header, , signed] = issuer.mint().split('.')
    expect(await reasons(`${header}.${part({ ...issuer.claims(), sub: issuer.id('/admin') })}.${signed}`)).toEqual(unverified)
    expect(await reasons(`${part({ alg: 'ES256', kid: 'es256' })}.${issuer.mint().split('.')[1]}.${signed}`)).toEqual(unverified)
  })

  test('refuses a signature cut, lengthened, doubled or emptied of content', async () => {
    for (const key of [es256, rsa]) {
      const token = issuer.mint({ key })
      const data = token.slice(0, token.lastIndexOf('.'))
      const bytes = Buffer.from(token.slice(data.length + 1), 'base64url')
      const changed = [
        bytes.subarray(1),
        bytes.subarray(0, -1),
        Buffer.concat([bytes, Buffer.alloc(1)]),
        Buffer.concat([Buffer.alloc(1), bytes]),
        Buffer.concat([bytes, bytes]),
        Buffer.alloc(bytes.length),
        Buffer.alloc(bytes.length, 0xff),
        Buffer.alloc(1),
      ]
      for (const one of changed) expect(await reasons(`${data}.${part(one)}`)).toEqual(unverified)
    }
  })

  test('any change of a byte anywhere in a good token is refused', async () => {
    const tokens = [issuer.mint({ key: es256 }), issuer.mint({ key: rsa })]
    const letter = fc.constantFrom(...Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n\u00e9'))
    const change = fc.record({
      token: fc.constantFrom(...tokens),
      at: fc.nat(),
      letter,
      kind: fc.constantFrom('replace', 'insert', 'remove', 'swap', 'repeat'),
    })
    await fc.assert(
      fc.asyncProperty(change, async ({ token, at, letter: put, kind }) => {
        const changed = mutate(token, at % token.length, put, kind)
        // more than one space may stand between the scheme and the token
        fc.pre(changed.replace(/^ +/, '') !== token)
        const refusal = await refusalOf(() => identify(bearer(changed)))
        // a change in the first part may leave nothing that looks like a token
        expect(refusal?.code).toMatch(/^identify\.(rejected|missing)$/)
      }),
      { numRuns: 1500 },
    )
  })
})

describe('[RFC 7518 §3.4] an ES signature is the two numbers side by side', () => {
  test('refuses DER, plain and padded to the length of the numbers', async () => {
    expect(await reasons(issuer.mint({ key: es256, sign: (data) => derSignature(es256.privateKey, data) }))).toEqual(unverified)
    expect(await reasons(issuer.mint({ key: es256, sign: (data) => derSignature(es256.privateKey, data).subarray(0, 64) }))).toEqual(
      unverified,
    )
  })

  test('refuses zeros for r and s, one of them, or the order of the curve', async () => {
    const order = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex')
    const zero = Buffer.alloc(32)
    for (const pair of [
      [zero, zero],
      [order, zero],
      [zero, order],
      [order, order],
    ]) {
      expect(await reasons(issuer.mint({ key: es256, sign: () => Buffer.concat(pair) }))).toEqual(unverified)
    }
  })
})

describe('[RFC 7518 §3.5] PSS', () => {
  test('refuses a salt that is not as long as the hash', async () => {
    for (const saltLength of [0, 20, 64]) {
      const token = issuer.mint({
        key: rsa,
        header: { alg: 'PS256' },
        sign: (data) => sign('sha256', Buffer.from(data), { key: rsa.privateKey, padding: 6, saltLength }),
      })
      expect(await reasons(token)).toEqual(unverified)
    }
  })
})

describe('[RFC 8725 §3.1] the algorithm is bound to the key', () => {
  test.each(signingAlgorithms.flatMap((said) => [es256, es384, es512, rsa].map((key) => ({ said, key }))))(
    '$said by $key.kid',
    async ({ said, key }) => {
      const fits = key === rsa ? /^[RP]S/.test(said) : said === key.algorithm
      const signWith: SigningAlgorithm = fits ? said : key.algorithm
      expect(await reasons(issuer.mint({ key, header: { alg: said }, signWith }))).toEqual(fits ? undefined : unverified)
    },
  )

  test('refuses a signature with one algorithm under the name of another of the same key', async () => {
    expect(await reasons(issuer.mint({ key: rsa, header: { alg: 'PS256' }, signWith: 'RS256' }))).toEqual(unverified)
    expect(await reasons(issuer.mint({ key: rsa, header: { alg: 'RS512' }, signWith: 'RS256' }))).toEqual(unverified)
  })

  test('refuses HS256 keyed with the public key, in each form it is published in', async () => {
    const pem = createPublicKey(rsa.privateKey).export({ type: 'spki', format: 'pem' })
    for (const secret of [pem, JSON.stringify(rsa.publicJwk), String(rsa.publicJwk['n'])]) {
      const token = issuer.mint({ key: rsa, header: { alg: 'HS256' }, sign: (data) => createHmac('sha256', secret).update(data).digest() })
      expect(await reasons(token)).toEqual(['the token is signed with an algorithm that is not accepted'])
    }
  })

  test('refuses EdDSA, even from a key that is published', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519')
    const by = await identifyWith({ ...publicKey.export({ format: 'jwk' }), kid: 'ed' })
    for (const alg of ['EdDSA', 'ES256']) {
      const token = issuer.mint({ header: { alg, kid: 'ed' }, sign: (data) => sign(null, Buffer.from(data), privateKey) })
      expect((await refusalOf(() => by(bearer(token))))?.code).toBe('identify.rejected')
    }
  })

  test('refuses ES256 with a P-384 key', async () => {
    const token = issuer.mint({ key: es384, header: { alg: 'ES256' }, sign: (data) => signature(es384.privateKey, 'ES256', data) })
    expect(await reasons(token)).toEqual(unverified)
  })

  test("a key's own alg narrows it to that one", async () => {
    const by = await identifyWith({ ...rsa.publicJwk, kid: 'rsa', alg: 'PS384' })
    expect(await reasons(issuer.mint({ key: rsa, header: { alg: 'PS384' }, signWith: 'PS384' }), by)).toBeUndefined()
    expect(await reasons(issuer.mint({ key: rsa }), by)).toEqual(unverified)
  })
})

describe('[RFC 7518 §3.3; RFC 7518 §6.3; RFC 7518 §6.2] weak and wrong keys never verify', () => {
  test('RSA with e = 1, under which anyone can sign', async () => {
    const jwk = { ...rsa.publicJwk, e: 'AQ' }
    const forged = issuer.mint({ key: rsa, sign: (data) => signatureUnderExponentOne(data, 256) })
    expect(await reasons(forged, await identifyWith({ ...jwk, kid: 'rsa' }))).toEqual(unverified)
  })

  test('RSA with e = 3', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 })
    const key = { ...rsa, privateKey, publicJwk: { ...publicKey.export({ format: 'jwk' }) } }
    expect(await reasons(issuer.mint({ key }), await identifyWith({ ...key.publicJwk, kid: 'rsa' }))).toEqual(unverified)
  })

  test('RSA of 1024 and of 2040 bits', async () => {
    for (const bits of [1024, 2040]) {
      const key = signingKey('RS256', 'short', bits)
      expect(await reasons(issuer.mint({ key }), await identifyWith({ ...key.publicJwk, kid: 'short' }))).toEqual(unverified)
    }
  })

  test('a curve outside the list', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'secp256k1' })
    const key = { ...es256, privateKey, publicJwk: { ...publicKey.export({ format: 'jwk' }) } }
    expect(await reasons(issuer.mint({ key }), await identifyWith({ ...key.publicJwk, kid: 'es256' }))).toEqual(unverified)
  })
})

function mutate(text: string, at: number, letter: string, kind: string): string {
  switch (kind) {
    case 'replace':
      return text.slice(0, at) + letter + text.slice(at + 1)
    case 'insert':
      return text.slice(0, at) + letter + text.slice(at)
    case 'remove':
      return text.slice(0, at) + text.slice(at + 1)
    case 'swap':
      return text.slice(0, at) + text.slice(at + 1, at + 2) + text.slice(at, at + 1) + text.slice(at + 2)
    default:
      return text.slice(0, at) + text.slice(at, at + 4) + text.slice(at)
  }
}
