import { createHmac } from 'node:crypto'
import * as fc from 'fast-check'
import { calculateJwkThumbprint, exportJWK } from 'jose'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Caller } from '../../../src/identify/identify.ts'
import type { Call } from '../../../src/listen/call.ts'
import { agentKey, callOf, dpopCall, prove, provenUri, type AgentKey, type DpopCall, type Proving } from '../../support/dpop.ts'
import { identifyFor, refusalOf, TestClock } from '../../support/identity-rig.ts'
import { Issuer, part, signature, type Jwk } from '../../support/issuer.ts'

const clock = new TestClock()
const issuer = new Issuer({ clock: clock.now })
let identify: (call: Call) => Caller | Promise<Caller>
let key: AgentKey
let token: string

beforeAll(async () => {
  identify = await identifyFor(issuer, clock)
  // a proof from before it began would need a nonce
  clock.move(60_000)
  key = await agentKey()
  token = issuer.mint({ claims: { cnf: { jkt: key.jkt } } })
})

const proof = (more: Partial<Proving> = {}): Promise<string> => prove({ key, token, now: clock.now(), ...more })

/** Refused, whatever stands behind the proof: the token alone is never enough. */
async function refused(call: Call, reason?: RegExp): Promise<void> {
  const refusal = await refusalOf(() => identify(call))
  expect(refusal).toMatchObject({ code: 'identify.rejected', status: 401 })
  if (reason !== undefined) expect(refusal?.reasons.join()).toMatch(reason)
  expect(refusal?.headers['WWW-Authenticate']).toMatch(/^DPoP error="invalid_(dpop_proof|token)", algs="RS256 .*ES256.*"$/)
}

/** Any text as the first two parts, signed by the agent's key. */
function signedBy(data: string): string {
  return `${data}.${part(signature(key.privateKey, 'ES256', data))}`
}

/** Good but for its header, which may be any JSON text. */
async function forged(header: Jwk | string): Promise<string> {
  const [, claims = ''] = (await proof()).split('.')
  return signedBy(`${part(header)}.${claims}`)
}

const form = /not well-formed, or not made with the key/
const purpose = /for another method, URI or token/

describe('a proof', () => {
  test.each(['ES256', 'ES384', 'ES512', 'RS256', 'PS256'] as const)(
    '[RFC 9449 §4.2; RFC 9449 §4.3 item 6; RFC 9449 §6.1; RFC 7638 §3.2] made by another implementation with %s proves the caller',
    async (kind) => {
      const own = await agentKey(kind)
      const bound = issuer.mint({ claims: { cnf: { jkt: own.jkt } } })
      const caller = await identify(dpopCall(bound, [await proof({ key: own, token: bound })]))
      expect(caller).toMatchObject({ id: issuer.id(), method: 'jwt-svid', confirmed: 'dpop' })
    },
  )

  test('[RFC 9449 §7.1] is asked for with every call, also when the token is known', async () => {
    const first = await identify(dpopCall(token, [await proof()]))
    const second = identify(dpopCall(token, [await proof()]))
    // at once, and the same object: what is written about a caller is kept with it
    expect(second).toBe(first)
    await refused(dpopCall(token, []), /does not prove that its sender holds it/)
  })

  test('[RFC 9449 §4.3 item 1] comes in one header field', async () => {
    const one = await proof()
    await refused(dpopCall(token, [one, await proof()]), form)
    await refused(dpopCall(token, [one, one]), form)
    await refused(dpopCall(token, [`${one}, ${await proof()}`]), form)
    await refused(dpopCall(token, ['']), form)
  })

  test('[RFC 9449 §4.3 item 2] is one compact JWS of at most 8 KiB', async () => {
    const [header = '', claims = '', signed = ''] = (await proof()).split('.')
    for (const text of [
      'x',
      '..',
      `${header}.${claims}`,
      `${header}.${claims}.`,
      `${header}..${signed}`,
      `${header}.${claims}.${signed}.${signed}`,
      `${part('[]')}.${claims}.${signed}`,
      `${header}.${part('"x"')}.${signed}`,
      JSON.stringify({ protected: header, payload: claims, signature: signed }),
      await proof({ claims: { pad: 'x'.repeat(8200) } }),
    ])
      await refused(dpopCall(token, [text]), form)
  })

  test.each(['jti', 'htm', 'htu', 'iat', 'ath'])('[RFC 9449 §4.2; RFC 9449 §4.3 item 3] has %s, of its type', async (name) => {
    for (const value of [undefined, null, {}, [], true, name === 'iat' ? '1' : 1])
      await refused(dpopCall(token, [await proof({ claims: { [name]: value } })]), form)
  })

  test.each(['jwt', 'JWT', 'DPOP+JWT', 'application/dpop+jwt', 'dpop+jwt ', undefined])(
    '[RFC 9449 §4.3 item 4] with typ %s is none',
    async (typ) => {
      await refused(dpopCall(token, [await proof({ header: { typ } })]), form)
    },
  )

  test('[RFC 9449 §4.3 item 5; RFC 9449 §11.6] is signed with one of nine asymmetric algorithms', async () => {
    const [header = '', claims = ''] = (await proof()).split('.')
    const jwk = key.jwk
    await refused(dpopCall(token, [`${part({ typ: 'dpop+jwt', alg: 'none', jwk })}.${claims}.${part('')}`]), form)
    await refused(dpopCall(token, [`${part({ typ: 'dpop+jwt', alg: 'none', jwk })}.${claims}.AA`]), form)
    for (const alg of ['HS256', 'ES256K', 'EdDSA', 'Ed25519', 'es256', null])
      await refused(dpopCall(token, [await forged({ typ: 'dpop+jwt', alg, jwk })]), form)
    // HMAC with the public key as secret, and with a symmetric key whose own thumbprint the token names
    const secret = 'c2VjcmV0'
    const mac = (head: string): string =>
      `${head}.${claims}.${createHmac('sha256', secret).update(`${head}.${claims}`).digest('base64url')}`
    await refused(dpopCall(token, [mac(part({ typ: 'dpop+jwt', alg: 'HS256', jwk: { kty: 'oct', k: secret } }))]), form)
    await refused(dpopCall(token, [mac(header)]), form)
    const eddsa = await agentKey('EdDSA')
    const bound = issuer.mint({ claims: { cnf: { jkt: eddsa.jkt } } })
    await refused(dpopCall(bound, [await proof({ key: eddsa, token: bound })]), form)
  })

  test('[RFC 9449 §4.3 item 6] that another key signed is none, nor one whose signature was touched', async () => {
    await refused(dpopCall(token, [await proof({ signWith: await agentKey() })]), form)
    const good = await proof()
    const [header = '', claims = '', signed = ''] = good.split('.')
    for (let at = 0; at < signed.length; at += 17) {
      const other = signed[at] === 'A' ? 'B' : 'A'
      await refused(dpopCall(token, [`${header}.${claims}.${signed.slice(0, at)}${other}${signed.slice(at + 1)}`]), form)
    }
    await refused(dpopCall(token, [`${header}.${claims}.${signed.slice(0, 40)}`]), form)
  })

  test('[RFC 9449 §4.3 item 7] that gives its private key away is none', async () => {
    const whole = await exportJWK(key.privateKey)
    await refused(dpopCall(token, [await proof({ header: { jwk: whole } })]), form)
    const rsa = await agentKey('RS256')
    const bound = issuer.mint({ claims: { cnf: { jkt: rsa.jkt } } })
    for (const name of ['p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'])
      await refused(dpopCall(bound, [await proof({ key: rsa, token: bound, header: { jwk: { ...rsa.jwk, [name]: 'AQAB' } } })]), form)
  })

  test.each(['GET', 'post', 'POST ', ''])('[RFC 9449 §4.3 item 8] for the method %j does not serve POST', async (htm) => {
    await refused(dpopCall(token, [await proof({ claims: { htm } })]), purpose)
  })

  test.each<[string, string, DpopCall]>([
    ['as it was sent', provenUri, {}],
    ['in another case where case does not count', 'HTTP://LOCALHOST:7420/crm/orders/1', { host: 'localhost:7420' }],
    ['with the port that http implies', 'http://crm.acme.example:80/crm/orders/1', { host: 'crm.acme.example' }],
    ['without it', 'http://crm.acme.example/crm/orders/1', { host: 'crm.acme.example:80' }],
    ['with the port that https implies', 'https://crm.acme.example:443/crm/orders/1', { scheme: 'https', host: 'crm.acme.example' }],
    ['with a query and a fragment, which do not count', `${provenUri}?a=1#b`, {}],
    ['as a host alone', 'http://127.0.0.1:7420', { prefix: '', path: '/' }],
    ['as a prefix without the slash behind it', 'http://127.0.0.1:7420/crm', { path: '/' }],
    ['as a prefix with it', 'http://127.0.0.1:7420/crm/', { path: '/' }],
    ['in a task', 'http://127.0.0.1:7420/t/t_1/crm/a%2Fb', { prefix: '/t/t_1/crm', path: '/a%2Fb' }],
  ])('[RFC 9449 §4.3 item 9] may name its URI %s', async (_, htu, call) => {
    expect(await identify(dpopCall(token, [await proof({ claims: { htu } })], call))).toMatchObject({ confirmed: 'dpop' })
  })

  test.each<[string, string, DpopCall]>([
    ['another path', 'http://127.0.0.1:7420/crm/orders/2', {}],
    ['a longer path', `${provenUri}/`, {}],
    ['a path in another case', 'http://127.0.0.1:7420/CRM/orders/1', {}],
    ['a path spelled otherwise', 'http://127.0.0.1:7420/crm/%6Frders/1', {}],
    ['a path with dots', 'http://127.0.0.1:7420/crm/x/../orders/1', {}],
    ['the path behind the prefix', 'http://127.0.0.1:7420/orders/1', {}],
    ['another host', 'http://127.0.0.2:7420/crm/orders/1', {}],
    ['another port', 'http://127.0.0.1:7421/crm/orders/1', {}],
    ['the port of the other scheme', 'http://crm.acme.example:443/crm/orders/1', { host: 'crm.acme.example' }],
    ['another scheme', 'https://127.0.0.1:7420/crm/orders/1', {}],
    ['http where TLS came', provenUri, { scheme: 'https' }],
    ['a user', 'http://a@127.0.0.1:7420/crm/orders/1', {}],
    ['no host', 'http:///crm/orders/1', {}],
    ['a path alone', '/crm/orders/1', {}],
    ['a backslash', 'http://127.0.0.1:7420\\@evil.example/crm/orders/1', {}],
    ['text before it', ` ${provenUri}`, {}],
    ['the upstream', 'https://crm.acme.example/api/orders/1', {}],
    ['nothing', '', {}],
  ])('[RFC 9449 §4.3 item 9] that names %s is for another request', async (_, htu, call) => {
    await refused(dpopCall(token, [await proof({ claims: { htu } })], call), purpose)
  })

  test.each([
    [-60_000, false],
    [-59_000, true],
    [0, true],
    [5000, true],
    [6000, false],
    [3_600_000, false],
  ])('[RFC 9449 §4.3 item 11] made %i ms from now is accepted: %s', async (ms, accepted) => {
    const call = dpopCall(token, [await proof({ now: clock.now() + ms })])
    if (accepted) expect(await identify(call)).toMatchObject({ confirmed: 'dpop' })
    else await refused(call, /too old, or ahead of our clock/)
  })

  test('[RFC 9449 §4.3 item 11] has a time that a number can hold', async () => {
    const [header = ''] = (await proof()).split('.')
    for (const iat of ['1e400', '-1e400', '9007199254740993']) {
      const claims = part(`{"jti":"a","htm":"POST","htu":"${provenUri}","iat":${iat},"ath":"x"}`)
      await refused(dpopCall(token, [`${header}.${claims}.AA`]), form)
    }
    const half = await proof({ claims: { iat: clock.now() / 1000 - 0.5 } })
    expect(await identify(dpopCall(token, [half]))).toMatchObject({ confirmed: 'dpop' })
  })

  test('[RFC 9449 §4.3 item 12] is for this token and made with the key that the token is bound to', async () => {
    const other = issuer.mint({ claims: { cnf: { jkt: key.jkt }, jti: 'other' } })
    await refused(dpopCall(token, [await proof({ token: other })]), purpose)
    await refused(dpopCall(token, [await proof({ claims: { ath: '' } })]), purpose)
    const thief = await agentKey()
    await refused(dpopCall(token, [await proof({ key: thief })]), form)
    // what is bound to the thief's key serves the thief, and only as the thief
    const theirs = issuer.mint({ claims: { sub: issuer.id('/thief'), cnf: { jkt: thief.jkt } } })
    const call = callOf([
      ['authorization', `DPoP ${theirs}`],
      ['x-api-key', token],
      ['dpop', await proof({ key: thief, token: theirs })],
    ])
    expect(await refusalOf(() => identify(call))).toMatchObject({ reasons: ['the request carries tokens of different callers'] })
  })

  test('[RFC 9449 §4.3 item 5] may be made with another algorithm of the same key than the one before', async () => {
    const rsa = await agentKey('RS256')
    const bound = issuer.mint({ claims: { cnf: { jkt: rsa.jkt } } })
    for (const alg of ['PS256', 'RS256', 'RS512']) {
      const text = await proof({ key: rsa, token: bound, header: { alg, jwk: { ...rsa.jwk, alg } } })
      expect(await identify(dpopCall(bound, [text]))).toMatchObject({ confirmed: 'dpop' })
    }
  })

  test('[RFC 7638 §3.2] is recognised by the required members of its key, whatever else and in whatever order', async () => {
    const { kty, crv, x, y } = key.jwk
    const jwk = { y, use: 'sig', kid: 'k', x, alg: 'ES256', kty, crv, key_ops: ['verify'] }
    expect(await identify(dpopCall(token, [await proof({ header: { jwk } })]))).toMatchObject({ confirmed: 'dpop' })
  })
})

describe('a proof is read strictly', () => {
  test.each(['kid', 'x5c', 'jku', 'x5u', 'x5t#S256', 'crit', 'b64', 'cty', 'zip', 'nonce'])(
    '[Countersign: proofs are read strictly] a header with %s is refused',
    async (name) => {
      await refused(dpopCall(token, [await forged({ typ: 'dpop+jwt', alg: 'ES256', jwk: key.jwk, [name]: 'x' })]), form)
    },
  )

  test('[Countersign: proofs are read strictly] every spelling but the canonical one is refused', async () => {
    const [header = '', claims = '', signed = ''] = (await proof()).split('.')
    const jwk = JSON.stringify(key.jwk)
    for (const text of [
      signedBy(`${header}=.${claims}`),
      signedBy(`${header}.${claims}=`),
      signedBy(`${header}. ${claims}`),
      signedBy(` ${header}.${claims}`),
      `${header}.${claims}.${signed}==`,
      await forged(`{"typ":"dpop+jwt","alg":"none","alg":"ES256","jwk":${jwk}}`),
      await forged(`{"typ":"dpop+jwt","\\u0061lg":"ES256","jwk":${jwk}}`),
    ])
      await refused(dpopCall(token, [text]), form)
  })

  test('[Countersign: proofs are read strictly] a key that an issuer may not have proves nothing', async () => {
    const weak = await agentKey('weak')
    const { privateKey } = weak
    const small = { ...(await agentKey('RS256')).jwk, e: 'Aw' }
    for (const [jwk, jkt] of [
      [weak.jwk, weak.jkt],
      [small, await calculateJwkThumbprint(small)],
    ] as const) {
      const bound = issuer.mint({ claims: { cnf: { jkt } } })
      // jose refuses to sign with a weak key
      const text = await forgedWith(privateKey, { typ: 'dpop+jwt', alg: 'RS256', jwk }, bound)
      await refused(dpopCall(bound, [text]), form)
    }
    for (const jwk of [null, [], 'x', {}, { ...key.jwk, crv: 'secp256k1' }, { ...key.jwk, use: 'enc' }, { ...key.jwk, alg: 'ES384' }])
      await refused(dpopCall(token, [await forged({ typ: 'dpop+jwt', alg: 'ES256', jwk: jwk as Jwk })]), form)
    const ops = await proof({ header: { jwk: { ...key.jwk, x: `${key.jwk.x}=` } } })
    await refused(dpopCall(token, [ops]), form)
  })

  test('[Countersign: proofs are read strictly] no text whatever proves anything, nor throws anything but a refusal', async () => {
    const good = await proof()
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.tuple(fc.nat(good.length - 1), fc.string({ maxLength: 3 })).map(([at, text]) => good.slice(0, at) + text + good.slice(at + 1)),
          fc.tuple(fc.json(), fc.json()).map(([header, claims]) => `${part(header)}.${part(claims)}.AA`),
        ),
        async (text) => {
          if (text === good) return
          expect(await refusalOf(() => identify(dpopCall(token, [text])))).toMatchObject({ code: 'identify.rejected' })
        },
      ),
      { numRuns: 300 },
    )
    expect(await identify(dpopCall(token, [good]))).toMatchObject({ confirmed: 'dpop' })
  })
})

async function forgedWith(privateKey: AgentKey['privateKey'], header: Jwk, forToken: string): Promise<string> {
  const [, claims = ''] = (await proof({ token: forToken })).split('.')
  const data = `${part(header)}.${claims}`
  return `${data}.${part(signature(privateKey, 'RS256', data))}`
}
