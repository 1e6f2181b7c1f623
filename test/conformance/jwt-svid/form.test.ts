import { beforeAll, describe, expect, test } from 'vitest'
import type { Caller } from '../../../src/identify/identify.ts'
import type { Call } from '../../../src/listen/call.ts'
import { readJwtSvid } from '../../../src/identify/jwt-svid/jwt-svid.ts'
import { bearer, identifyFor, refusalOf, TestClock } from '../../support/identity-rig.ts'
import { Issuer, part, signature, signingAlgorithms, signingKey } from '../../support/issuer.ts'

const clock = new TestClock()
const issuer = new Issuer({ clock: clock.now, keys: [signingKey('ES256', 'es-1'), signingKey('RS256', 'rs-1')] })
const [es, rs] = issuer.keys
let identify: (call: Call) => Caller | Promise<Caller>

beforeAll(async () => {
  identify = await identifyFor(issuer, clock)
})

async function refused(token: string): Promise<{ code: string | undefined; reasons: readonly string[] | undefined }> {
  const refusal = await refusalOf(() => identify(bearer(token)))
  return { code: refusal?.code, reasons: refusal?.reasons }
}

const malformed = { code: 'identify.rejected', reasons: ['the token is not a well-formed JWT-SVID'] }
const algorithm = { code: 'identify.rejected', reasons: ['the token is signed with an algorithm that is not accepted'] }

describe('[JWT-SVID §1; JWT-SVID §5.1; RFC 7515 §7.1] compact form alone', () => {
  test('takes a token as SPIRE mints it', async () => {
    expect(await identify(bearer(issuer.mint()))).toMatchObject({
      id: 'spiffe://acme.example/agent',
      trustDomain: 'acme.example',
      method: 'jwt-svid',
      confirmed: 'bearer',
    })
  })

  const [header = '', claims = '', signed = ''] = issuer.mint().split('.')
  test.each([
    ['two parts', `${header}.${claims}`],
    ['four parts', `${header}.${claims}.${signed}.${signed}`],
    ['a dot at the end', `${header}.${claims}.${signed}.`],
    ['no header', `.${claims}.${signed}`],
    ['no claims', `${header}..${signed}`],
    ['no signature', `${header}.${claims}.`],
    ['five parts, as a JWE has', `${part({ alg: 'RSA-OAEP', enc: 'A256GCM' })}.a.b.c.d`],
    ['nothing', ''],
    ['dots', '..'],
    ['JWS JSON serialization', JSON.stringify({ protected: header, payload: claims, signature: signed })],
    ['flattened JWS with an unprotected header', JSON.stringify({ header: { alg: 'ES256' }, payload: claims, signature: signed })],
  ])('refuses %s', async (_, token) => {
    expect(await refusalOf(() => readJwtSvid(token))).toMatchObject({ code: 'identify.rejected' })
    expect((await refused(token)).code).toMatch(/^identify\.(rejected|missing)$/)
  })

  test('refuses a JWE that says an accepted alg', async () => {
    expect(await refused(`${part({ alg: 'RS256', enc: 'A256GCM', kid: 'rs-1' })}.${claims}.${signed}.c.d`)).toMatchObject({
      code: 'identify.rejected',
    })
  })
})

describe('[RFC 7515 §2] base64url without padding or white space, in the one canonical spelling', () => {
  const token = issuer.mint()
  const [header = '', claims = '', signed = ''] = token.split('.')
  test.each([
    ['padding on the header', `${header}=.${claims}.${signed}`],
    ['padding on the claims', `${header}.${claims}=.${signed}`],
    ['padding on the signature', `${header}.${claims}.${signed}==`],
    ['a space in the claims', `${header}. ${claims}.${signed}`],
    ['a line end in the signature', `${header}.${claims}.${signed.slice(0, 4)}\n${signed.slice(4)}`],
    ['plain base64 letters', `${header}.${claims}.+/${signed.slice(2)}`],
    ['stray bits in the last letter of the signature', `${header}.${claims}.${withStrayBits(signed)}`],
    ['a length that no bytes have', `${header}.${claims}.${signed}AAA`],
  ])('refuses %s', async (_, changed) => {
    expect(await refused(changed)).toMatchObject({ code: 'identify.rejected' })
  })

  test('refuses stray bits before it looks at the signature', () => {
    expect(() => readJwtSvid(`${header}.${claims}.${withStrayBits(signed)}`)).toThrow(
      expect.objectContaining({ detail: 'signature: not canonical base64url' }),
    )
  })
})

describe('[JWT-SVID §2] header', () => {
  test.each(['jku', 'jwk', 'x5u', 'x5c', 'x5t', 'crit', 'b64', 'zip', 'cty', 'enc', 'nonce', '__proto__', 'constructor', 'Alg'])(
    'refuses the member %s',
    async (name) => {
      const header = `{"alg":"ES256","kid":"es-1","typ":"JWT","${name}":["b64"]}`
      expect(await refused(issuer.mint({ header }))).toEqual(malformed)
    },
  )

  test('refuses a key of the token itself', async () => {
    const own = signingKey('ES256', 'es-1')
    expect(await refused(issuer.mint({ key: own, header: { jwk: own.publicJwk } }))).toEqual(malformed)
  })

  test.each([
    ['alg', '{"alg":"none","alg":"ES256","kid":"es-1"}'],
    ['alg, the second escaped', '{"alg":"ES256","\\u0061lg":"ES256","kid":"es-1"}'],
    ['kid', '{"alg":"ES256","kid":"es-1","kid":"es-1"}'],
    ['typ', '{"alg":"ES256","kid":"es-1","typ":"JWT","typ":"JWT"}'],
  ])('[RFC 7515 §4] refuses two members %s', async (_, header) => {
    expect(await refused(issuer.mint({ header }))).toEqual(malformed)
  })

  test.each([
    ['an array', '["alg"]'],
    ['a string', '"alg"'],
    ['null', 'null'],
    ['trailing text', '{"alg":"ES256","kid":"es-1"} x'],
    ['a comment', '{"alg":"ES256","kid":"es-1"/**/}'],
    ['bytes that are not UTF-8', Buffer.from('7b22616c67223a22ff227d', 'hex').toString('latin1')],
    ['a byte order mark', '\ufeff{"alg":"ES256","kid":"es-1"}'],
  ])('refuses %s for a header', async (_, header) => {
    expect((await refused(issuer.mint({ header }))).code).toMatch(/^identify\.(rejected|missing)$/)
    expect(await refusalOf(() => readJwtSvid(issuer.mint({ header })))).toMatchObject({ code: 'identify.rejected' })
  })
})

describe('[JWT-SVID §2.1; JWT-SVID §4] alg is one of nine, before anything else', () => {
  test.each(signingAlgorithms)('takes %s', async (name) => {
    const one = new Issuer({ clock: clock.now, keys: [signingKey(name)] })
    expect(await (await identifyFor(one, clock))(bearer(one.mint()))).toMatchObject({ id: one.id() })
  })

  test.each([
    'none',
    'None',
    'NONE',
    '',
    'HS256',
    'HS384',
    'HS512',
    'EdDSA',
    'Ed25519',
    'ES256K',
    'ML-DSA-44',
    'RSA-OAEP',
    'dir',
    'es256',
    'ES256 ',
    'toString',
    '__proto__',
  ])('refuses "%s"', async (alg) => {
    expect(await refused(issuer.mint({ header: { alg } }))).toEqual(algorithm)
  })

  test.each([[1], [null], [['ES256']], [{ alg: 'ES256' }]])('refuses %j, which is no text', async (alg) => {
    expect(await refused(issuer.mint({ header: { alg } }))).toEqual(algorithm)
  })

  test('refuses alg none without a signature and with an old one', async () => {
    const claims = part(issuer.claims())
    expect(await refused(`${part({ alg: 'none', kid: 'es-1' })}.${claims}.`)).toEqual(algorithm)
    expect(await refused(`${part({ alg: 'none', kid: 'es-1' })}.${claims}.AAAA`)).toEqual(algorithm)
  })

  test('says so even when everything else is wrong too', async () => {
    expect(await refused(`${part({ alg: 'HS256', jku: 'https://evil.example' })}.%%%.`)).toEqual(algorithm)
  })

  test('refuses a token without alg', async () => {
    const token = issuer.mint({ header: '{"kid":"es-1"}' })
    expect(await refusalOf(() => readJwtSvid(token))).toMatchObject({ code: 'identify.rejected', reasons: algorithm.reasons })
    expect(await refused(token)).toMatchObject({ code: 'identify.missing' })
  })
})

describe('[JWT-SVID §2.2] kid, required here', () => {
  test.each([[undefined], [''], [1], [null], [['es-1']], ['k'.repeat(257)]])('refuses %j', async (kid) => {
    expect(await refused(issuer.mint({ header: { kid } }))).toEqual(malformed)
  })

  test.each(['es-2', 'ES-1', ' es-1', '__proto__', 'constructor', '../es-1', "' OR 1=1"])('refuses the unknown kid %s', async (kid) => {
    expect(await refused(issuer.mint({ header: { kid } }))).toMatchObject({
      reasons: ['the token could not be verified with the keys of its trust domain'],
    })
  })

  test('refuses the kid of another key', async () => {
    expect(await refused(issuer.mint({ key: es!, header: { kid: 'rs-1' } }))).toMatchObject({ code: 'identify.rejected' })
    expect(await refused(issuer.mint({ key: rs!, header: { kid: 'es-1' } }))).toMatchObject({ code: 'identify.rejected' })
  })
})

describe('[JWT-SVID §2.3] typ is absent, JWT or JOSE', () => {
  test.each([[undefined], ['JWT'], ['JOSE']])('takes %s', async (typ) => {
    expect(await identify(bearer(issuer.mint({ header: { typ } })))).toMatchObject({ id: issuer.id() })
  })

  test.each(['at+jwt', 'wit+jwt', 'dpop+jwt', 'application/jwt', 'jwt', 'JWS', '', null, 1, ['JWT']])('refuses %s', async (typ) => {
    expect(await refused(issuer.mint({ header: { typ } }))).toEqual(malformed)
  })
})

describe('[Countersign: longest token] size', () => {
  test('takes 8 KiB and refuses a byte more', async () => {
    expect(await identify(bearer(padded(8192)))).toMatchObject({ id: issuer.id() })
    expect(await refused(padded(8193))).toEqual(malformed)
  })
})

/** A good token of exactly so many bytes: base64 lengths go in steps, so header and claims are both filled. */
function padded(length: number): string {
  const signatureLength = 86
  for (let fill = Math.floor(length / 2); fill < length; fill++) {
    for (const space of ['', ' ', '  ']) {
      const data = `${part(`{"alg":"ES256",${space}"kid":"es-1"}`)}.${part({ ...issuer.claims(), jti: 'x'.repeat(fill) })}`
      if (data.length + 1 + signatureLength === length) return `${data}.${part(signature(es!.privateKey, 'ES256', data))}`
    }
  }
  throw new Error('no such length')
}

/** The same bytes with an unused bit of the last letter set. */
function withStrayBits(encoded: string): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return encoded.slice(0, -1) + letters[letters.indexOf(encoded.at(-1) ?? '') + 1]
}
