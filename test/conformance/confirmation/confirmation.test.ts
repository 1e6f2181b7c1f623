import { hash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { makeAuthority } from '../../../src/demo/x509.ts'
import { readConfirmation } from '../../../src/identify/jwt/cnf.ts'
import type { TlsPeer } from '../../../src/listen/call.ts'
import { Refusal } from '../../../src/refusal.ts'
import { bearer, callWith, identifyFor, refusalOf, TestClock } from '../../support/identity-rig.ts'
import { Issuer, part } from '../../support/issuer.ts'

const clock = new TestClock()
const issuer = new Issuer({ clock: clock.now })
const authority = makeAuthority({ trustDomain: 'clients.example', seconds: 3600, clock: clock.now })

/** A connection with a certificate that names no workload. */
function client(): { readonly peer: TlsPeer; readonly x5t: string } {
  const { chain } = authority.issue({ id: 'https://clients.example/one', seconds: 600 })
  return { peer: { chain }, x5t: hash('sha256', chain[0] ?? new Uint8Array(), 'base64url') }
}

const unproven = {
  code: 'identify.rejected',
  reasons: ['the token is bound to a key, and the request does not prove that its sender holds it'],
}
const digest = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'

describe('a token bound to a client certificate', () => {
  test('[RFC 8705 §3; RFC 8705 §3.1] proves its caller on a connection with that certificate, in every slot', async () => {
    const identify = await identifyFor(issuer, clock)
    const { peer, x5t } = client()
    const token = issuer.mint({ claims: { cnf: { 'x5t#S256': x5t } } })
    const first = await identify(callWith({ authorization: `Bearer ${token}` }, null, peer))
    expect(first).toMatchObject({ id: issuer.id(), method: 'jwt-svid', confirmed: 'mtls' })
    for (const headers of [{ 'x-api-key': token }, { 'proxy-authorization': `Bearer ${token}` }])
      // the same object on every connection: what is written about a caller is kept with it
      expect(identify(callWith(headers, null, { chain: [...peer.chain] }))).toBe(first)
  })

  test('[RFC 8705 §3] is refused on every other connection, known or not', async () => {
    const identify = await identifyFor(issuer, clock)
    const { peer, x5t } = client()
    const token = issuer.mint({ claims: { cnf: { 'x5t#S256': x5t } } })
    const stolen = async (): Promise<void> => {
      for (const tls of [null, { chain: [] }, client().peer, { chain: [client().peer.chain[0]!, peer.chain[0]!] }])
        expect(await refusalOf(() => identify(callWith({ authorization: `Bearer ${token}` }, null, tls)))).toMatchObject(unproven)
    }
    await stolen()
    await identify(callWith({ authorization: `Bearer ${token}` }, null, peer))
    await stolen()
  })

  test('[RFC 8705 §3] beside another token of the same caller has to be proven too', async () => {
    const identify = await identifyFor(issuer, clock)
    const { peer, x5t } = client()
    const bound = issuer.mint({ claims: { cnf: { 'x5t#S256': x5t } } })
    const plain = issuer.mint({ claims: { jti: 'plain' } })
    const both = { authorization: `Bearer ${plain}`, 'x-api-key': bound }
    expect(await refusalOf(() => identify(callWith(both)))).toMatchObject(unproven)
    expect(await refusalOf(() => identify(callWith(both)))).toMatchObject(unproven)
    // the first token is the one that counts, and it binds nobody
    expect(await identify(callWith(both, null, peer))).toMatchObject({ confirmed: 'bearer' })
    expect(await identify(callWith({ authorization: `Bearer ${bound}`, 'x-api-key': plain }, null, peer))).toMatchObject({
      confirmed: 'mtls',
    })
  })
})

describe('cnf', () => {
  test.each([
    ['none', {}, null],
    ['a DPoP key', { cnf: { jkt: digest } }, { jkt: digest }],
    ['a certificate', { cnf: { 'x5t#S256': digest } }, { x5tS256: digest }],
  ])('[RFC 7800 §3.1] %s is understood', (_, claims, read) => {
    expect(readConfirmation(claims)).toEqual(read)
  })

  test.each<[string, unknown]>([
    ['null', null],
    ['text', digest],
    ['a list', [{ jkt: digest }]],
    ['nothing in it', {}],
    ['a whole key', { jwk: { kty: 'EC' } }],
    ['a key id', { kid: 'k' }],
    ['an encrypted key', { jwe: 'x' }],
    ['a URL of keys', { jku: 'https://evil.example/keys' }],
    ['a SHA-1 of a certificate', { x5t: digest }],
    ['both', { jkt: digest, 'x5t#S256': digest }],
    ['one and something else', { jkt: digest, kid: 'k' }],
    ['a name in another case', { JKT: digest }],
    ['an inherited name', JSON.parse(`{"__proto__":{"jkt":"${digest}"}}`)],
    ['a digest that is no text', { jkt: 1 }],
    ['an empty digest', { jkt: '' }],
    ['a digest of another length', { jkt: `${digest}A` }],
    ['a digest with padding', { jkt: `${digest}=` }],
    ['a digest in hex', { 'x5t#S256': 'ab'.repeat(32) }],
    ['a digest in plain base64', { jkt: digest.replace('-', '+') }],
    ['a digest with stray bits', { jkt: `${digest.slice(0, -1)}N` }],
  ])('[RFC 7800 §3.1] with %s makes the token worthless, not a bearer token', async (_, cnf) => {
    const identify = await identifyFor(issuer, clock)
    const refusal = await refusalOf(() => identify(bearer(issuer.mint({ claims: JSON.stringify({ ...issuer.claims(), cnf }) }))))
    expect(refusal).toMatchObject({ code: 'identify.rejected', reasons: ['the token asks its sender for a proof that is not known here'] })
  })

  test('[RFC 7800 §3.1] given twice makes the token malformed', async () => {
    const identify = await identifyFor(issuer, clock)
    const claims = `${JSON.stringify(issuer.claims()).slice(0, -1)},"cnf":{"jkt":"${digest}"},"cnf":{}}`
    expect(await refusalOf(() => identify(bearer(issuer.mint({ claims }))))).toMatchObject({ code: 'identify.rejected' })
    expect(part(claims)).toBeTruthy()
  })

  test('[RFC 7800 §3.1] whatever is in it, it is read as one of the two or refused', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (cnf) => {
        try {
          const read = readConfirmation({ cnf })
          expect(read === null).toBe(cnf === undefined)
        } catch (error) {
          expect(error).toBeInstanceOf(Refusal)
        }
      }),
    )
  })
})
