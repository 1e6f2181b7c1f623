import { beforeAll, describe, expect, test } from 'vitest'
import { readToken } from '../../../src/identify/oidc/token.ts'
import { refusalOf } from '../../support/identity-rig.ts'
import { anyCall, audience, issuerUrl, MemoryIssuer, openedOidc, presented } from '../../support/oidc-rig.ts'
import type { OpenedOidc } from '../../support/oidc-rig.ts'
import { signingAlgorithms, signingKey } from '../../support/issuer.ts'
import type { Jwk, Minting } from '../../support/issuer.ts'

let rig: OpenedOidc
let seconds: number

beforeAll(async () => {
  rig = await openedOidc()
  seconds = rig.clock.now() / 1000
})

/** What the agent is told; null when the token was taken. */
async function told(claims: Jwk | string, minting: Minting = {}, by = rig): Promise<string | null> {
  const refusal = await refusalOf(() => by.caller(claims, minting))
  if (refusal === null) return null
  expect(refusal.code).toBe('identify.rejected')
  return refusal.reasons[0] ?? ''
}

const form = 'the token is not a well-formed JWT'
const algorithm = 'the token is signed with an algorithm that is not accepted'
const unknown = 'the token is not from a trust domain known here'
const key = 'the token could not be verified with the keys of its issuer'

/** The claims as text, for what an object cannot say. */
function text(members: string): string {
  return `{"iss":"${issuerUrl}","sub":"agent-7","aud":"${audience}","iat":${seconds},"exp":${seconds + 300}${members}}`
}

test('a token of the issuer proves the caller that its claims make', async () => {
  expect(await rig.caller({ aud: audience })).toEqual({
    id: 'spiffe://acme.example/w/agent-7',
    trustDomain: 'acme.example',
    method: 'oidc',
    confirmed: 'bearer',
    issuer: issuerUrl,
    expires: (seconds + 300) * 1000,
    proof: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
    claims: {},
  })
})

describe('whose token it is', () => {
  test.each([
    ['another', 'https://partner.example'],
    ['the same with a slash', `${issuerUrl}/`],
    ['the same in upper case', issuerUrl.toUpperCase()],
    ['the same with its port', `${issuerUrl}:443`],
    ['a longer one', `${issuerUrl}.partner.example`],
    ['a list', [issuerUrl]],
    ['absent', undefined],
    ['null', null],
  ])('[RFC 7519 §4.1.1; RFC 8725 §3.8] an iss that is not the configured issuer to the letter is not known: %s', async (_, iss) => {
    expect(await told({ iss })).toBe(unknown)
  })

  test.each([
    ['ours last', `,"iss":"${issuerUrl}"`, form],
    ['another last', ',"iss":"https://partner.example"', unknown],
    ['spelled with an escape', `,"is\\u0073":"${issuerUrl}"`, form],
  ])('[RFC 7519 §4] a second iss is refused: %s', async (_, members, reason) => {
    expect(await told(text(members))).toBe(reason)
  })

  test('[Countersign: a JWT-SVID is none of an issuer] a token whose subject is a SPIFFE ID is left to the keys of that trust domain', async () => {
    expect(await told({ sub: 'spiffe://acme.example/w/admin' })).toBe(unknown)
  })

  test('[RFC 7519 §4] nothing is read from __proto__', async () => {
    expect(
      await told(`{"__proto__":{"iss":"${issuerUrl}","sub":"admin"},"aud":"${audience}","iat":${seconds},"exp":${seconds + 300}}`),
    ).toBe(unknown)
    expect(await rig.caller(text(',"__proto__":{"sub":"admin"}'))).toMatchObject({ id: 'spiffe://acme.example/w/agent-7' })
  })
})

describe('claims', () => {
  test.each([
    ['absent', undefined, form],
    ['null', null, form],
    ['for another', 'other', 'the token is for another audience'],
    ['for others', ['other', 'countersign2'], 'the token is for another audience'],
    ['in upper case', 'COUNTERSIGN', 'the token is for another audience'],
    ['empty', [], form],
    ['of mixed types', [audience, 7], form],
  ])('[RFC 7519 §4.1.3; RFC 8725 §3.9] an aud that does not name us is refused: %s', async (_, aud, reason) => {
    expect(await told({ aud })).toBe(reason)
  })

  test.each([
    ['absent', undefined, form],
    ['text', '9999999999', form],
    ['a fraction', 1_790_000_300.5, form],
    ['past', 1_789_999_999, 'the token has expired'],
    ['now', 1_790_000_000, 'the token has expired'],
  ])('[RFC 7519 §4.1.4] an exp that does not lie ahead in whole seconds is refused: %s', async (_, exp, reason) => {
    expect(await told({ exp })).toBe(reason)
  })

  test.each(['1e400', '9007199254740992', '-1e400', '1e15'])(
    '[RFC 7519 §4.1.4] an exp that no clock reaches is refused: %s',
    async (exp) => {
      const claims = text('').replace(/"exp":\d+/, `"exp":${exp}`)
      expect(await told(claims)).not.toBeNull()
    },
  )

  test.each(['nbf', 'iat'])('[RFC 7519 §4.1.5; RFC 7519 §4.1.6] %s may lie ahead by the leeway and no more', async (name) => {
    expect(await told({ [name]: seconds + 5 })).toBeNull()
    expect(await told({ [name]: seconds + 6 })).toBe('the token is not valid yet')
  })

  test('[OIDC Core §2] iat and sub have to be there', async () => {
    expect(await told({ iat: undefined })).toBe(form)
    expect(await told({ sub: undefined })).toBe(form)
    expect(await told({ sub: '' })).toBe(form)
    expect(await told({ sub: 7 })).toBe(form)
  })

  test('[Countersign: longest lifetime] a token that was made for more than a day is refused, also on its last one', async () => {
    const long = 'the token is valid for longer than is accepted'
    expect(await told({ exp: seconds + 86_400 })).toBeNull()
    expect(await told({ exp: seconds + 86_401 })).toBe(long)
    expect(await told({ iat: seconds - 31_536_000 + 60, exp: seconds + 60 })).toBe(long)
  })
})

describe('header', () => {
  test.each(['none', 'None', 'HS256', 'EdDSA', 'ES256K', '', null, 7])(
    '[RFC 8725 §3.1] alg %s is refused before anything else',
    async (alg) => {
      expect(await told({}, { header: { alg } })).toBe(algorithm)
    },
  )

  test('[RFC 8725 §2.1] an HMAC made with the public key is no signature', async () => {
    expect(await told({}, { header: { alg: 'HS256' }, sign: () => Buffer.alloc(32) })).toBe(algorithm)
  })

  test.each([
    ['RS256 under an EC key', { alg: 'RS256' }],
    ['ES384 under a P-256 key', { alg: 'ES384' }],
  ])('[RFC 8725 §3.1] an algorithm that is not the key’s is refused: %s', async (_, header) => {
    expect(await told({}, { header })).toBe(key)
  })

  test.each([
    ['crit', ['exp']],
    ['jku', 'https://partner.example/keys'],
    ['jwk', { kty: 'EC' }],
    ['x5u', 'https://partner.example/cert'],
    ['x5c', []],
    ['b64', false],
    ['zip', 'DEF'],
    ['cty', 'JWT'],
    ['nonce', 'x'],
    ['__proto__x', 1],
  ])('[RFC 8725 §3.10; RFC 7515 §4.1.11] a header with %s is refused', async (name, value) => {
    expect(await told({}, { header: { [name]: value } })).toBe(form)
  })

  test('[Countersign: certificate thumbprints in a header are not read] x5t and x5t#S256 change nothing', async () => {
    expect(await told({}, { header: { x5t: 'x', 'x5t#S256': 'y' } })).toBeNull()
    expect(await told({}, { header: { x5t: 'x', kid: undefined } })).toBe(form)
  })

  test.each([
    [undefined, null],
    ['JWT', null],
    ['jwt', null],
    ['application/jwt', null],
    ['at+jwt', form],
    ['JOSE', form],
    ['wit+jwt', form],
    ['logout+jwt', form],
    ['dpop+jwt', form],
    ['', form],
    [7, form],
  ])('[RFC 8725 §3.11] typ %s tells one kind of token from another', async (typ, reason) => {
    expect(await told({}, { header: { typ } })).toBe(reason)
  })

  test.each([
    ['at+jwt', null],
    ['application/at+jwt', null],
    ['AT+JWT', null],
    ['JWT', form],
    [undefined, form],
  ])('[RFC 9068 §4] a source of access tokens takes typ at+jwt alone: %s', async (typ, reason) => {
    const access = await openedOidc({ typ: 'at+jwt' })
    expect(await told({}, { header: { typ } }, access)).toBe(reason)
  })

  test.each([[undefined], [''], [7], ['x'.repeat(257)]])('[Countersign: kid is required] kid %s is refused', async (kid) => {
    expect(await told({}, { header: { kid } })).toBe(form)
  })
})

describe('signature', () => {
  test.each(signingAlgorithms)('[RFC 8725 §3.1] %s verifies with its key and with no other', async (name) => {
    const issuer = new MemoryIssuer({ keys: [signingKey(name)] })
    const by = await openedOidc({}, { issuer })
    expect(await told({}, {}, by)).toBeNull()
    expect(await told({}, { key: signingKey(name) }, by)).toBe(key)
  })

  test('[RFC 7515 §5.2] changed claims do not verify', async () => {
    const [header, , signed] = rig.issuer.mint().split('.')
    const [, claims] = rig.issuer.mint({ claims: { sub: 'admin' } }).split('.')
    const refusal = await refusalOf(() => rig.source.verify(presented(`${header}.${claims}.${signed}`), anyCall))
    expect(refusal?.reasons).toEqual([key])
  })

  test('[RFC 7515 §7.1] anything but three parts of canonical base64url is refused', async () => {
    const token = rig.issuer.mint()
    const bad = [`${token}.`, `${token}=`, `${token}.x`, token.slice(0, token.lastIndexOf('.') + 1), ` ${token}`, `${token}\n`, '..', '']
    for (const one of bad) expect((await refusalOf(() => readToken(one, 'JWT')))?.reasons, one).toEqual([form])
    expect(readToken(token, 'JWT')).toMatchObject({ issuer: issuerUrl, subject: 'agent-7' })
  })

  test('[Countersign: tokens up to 8 KiB] a longer one is refused unread', async () => {
    expect(await told({ x: 'x'.repeat(9000) })).toBe(form)
  })
})
