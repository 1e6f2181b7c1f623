import { inspect } from 'node:util'
import { UnsecuredJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import type { Issued, Wanted } from '../../../src/credential/credential.ts'
import { Refusal } from '../../../src/refusal.ts'
import { Unanswered } from '../../../src/credential/provider.ts'
import { Secret } from '../../../src/secret.ts'
import { refusalOf, settled, TestClock } from '../../support/identity-rig.ts'
import { calm, provider, providerServices, wanted } from '../../support/provider-rig.ts'

const issuer = 'https://login.acme.example'
const clock = new TestClock()
const seconds = clock.now() / 1000

interface Sent {
  readonly url: string
  readonly form: URLSearchParams
}

/** An issuer of one answer: `token` is what its token endpoint says over a good answer. */
function scripted(token: object, others: Readonly<Record<string, () => Response>> = {}, config: object = {}) {
  const sent: Sent[] = []
  const usual = { access_token: 'canary-token', token_type: 'Bearer', expires_in: 60, scope: 'a b' }
  const answers: Readonly<Record<string, () => Response>> = {
    '/token': () => Response.json({ ...usual, ...token }),
    '/revoke': () => new Response(null, { status: 200 }),
    ...others,
  }
  const fetch = async (url: string, init: RequestInit): Promise<Response> => {
    sent.push({ url, form: new URLSearchParams(init.body instanceof URLSearchParams ? init.body : undefined) })
    return answers[new URL(url).pathname]?.() ?? new Response(null, { status: 404 })
  }
  const services = providerServices({ secret: 'canary-client-secret' }, clock.now, { fetch })
  const endpoints = { token: `${issuer}/token`, revocation: `${issuer}/revoke`, introspection: `${issuer}/introspect` }
  const client = { id: 'countersign', authenticate: 'client_secret_basic', secret: { env: 'secret' } }
  const opened = provider({ type: 'oauth', issuer, endpoints, client, scope: ['a', 'b'], ...config }, services)
  const issue = (changes: Partial<Wanted> = {}): Promise<Issued> =>
    opened.issue(wanted({ scopes: ['a', 'b'], audience: opened.offer.audiences[0] ?? null, ...changes }), calm)
  return { opened, issue, sent }
}

const unrevocable = { endpoints: { token: `${issuer}/token` } }
const exchange = { grant: 'token-exchange' }
const subject = { subject: 'user-1', issuer, token: new Secret('canary-subject') }
const exchanged = { issued_token_type: 'urn:ietf:params:oauth:token-type:access_token' }

function jwt(claims: object): { readonly access_token: string } {
  return { access_token: new UnsecuredJWT({ exp: seconds + 60, ...claims }).encode() }
}

describe('an answer as asked', () => {
  it.each([
    ['says the same scope', {}, {}],
    ['says no scope, which means the one asked for (RFC 6749 §5.1)', { scope: undefined }, {}],
    ['says fewer scopes', { scope: 'b' }, {}],
    ['adds a scope that is configured as harmless', { scope: 'a b email' }, { surplus: ['email'] }],
    ['writes bearer in lower case (RFC 6749 §7.1)', { token_type: 'bearer' }, {}],
    ['is a JWT for the audience asked for', jwt({ aud: 'https://api.acme.example' }), { audience: 'https://api.acme.example' }],
    ['is a JWT for a resource asked for', jwt({ aud: ['https://r.acme.example'] }), { resource: ['https://r.acme.example'] }],
    ['lives longer and can be revoked', { expires_in: 3600 }, {}],
    ['lives longer, and the configuration allows that much', { expires_in: 120 }, { ...unrevocable, surplus_ttl: '60s' }],
    ['carries roles that are configured as harmless', jwt({ roles: ['default'] }), { surplus_roles: ['default'] }],
    ['carries roles, and the upstream is to see them', jwt({ roles: ['admin'] }), { surplus_roles: 'any' }],
    ['is opaque, and the configuration takes that risk', {}, { ...unrevocable, audience: 'x', unsafe_opaque: true }],
  ])('is no wider when it %s', async (_what, token, config) => {
    expect((await scripted(token, {}, config).issue()).excess).toBeNull()
  })
})

describe('an answer that is wider than asked', () => {
  it.each([
    ['has another scope', { scope: 'a b admin' }, {}, 'scope'],
    ['has another scope inside its JWT', jwt({ scope: 'a b admin' }), {}, 'scope'],
    ['has another scope inside its JWT, as a list', jwt({ scp: ['a', 'admin'] }), {}, 'scope'],
    ['has a scope of no known form', jwt({ scope: { a: true } }), {}, 'scope'],
    ['carries roles', jwt({ realm_access: { roles: ['canary-role'] } }), {}, 'roles'],
    ['is no bearer token (N_A, RFC 8693 §2.2.1)', { token_type: 'N_A' }, {}, 'token_type'],
    ['wants a proof (RFC 9449)', { token_type: 'DPoP' }, {}, 'token_type'],
    ['has no type', { token_type: undefined }, {}, 'token_type'],
    ['brings a refresh token', { refresh_token: 'canary-refresh' }, {}, 'refresh'],
    ['is for another audience', jwt({ aud: 'account' }), { audience: 'https://api.acme.example' }, 'audience'],
    [
      'is for another audience too',
      jwt({ aud: ['https://api.acme.example', 'account'] }),
      { audience: 'https://api.acme.example' },
      'audience',
    ],
    ['is for an audience of no known form', jwt({ aud: [] }), { audience: 'https://api.acme.example' }, 'audience'],
    ['is a JWT without an audience', jwt({}), { audience: 'https://api.acme.example' }, 'audience'],
    ['is opaque where nobody can tell its audience', {}, { ...unrevocable, audience: 'https://api.acme.example' }, 'audience'],
    ['lives longer and nothing can revoke it', { expires_in: 61 }, unrevocable, 'longer'],
    ['lives longer by its own claim', { ...jwt({ exp: seconds + 3600 }) }, unrevocable, 'longer'],
    ['says no expiry', { expires_in: undefined }, unrevocable, 'expiry'],
    ['says an expiry that is no time', jwt({ exp: 'never' }), {}, 'expiry'],
    ['says an expiry beyond all time', { expires_in: 1e300 }, {}, 'expiry'],
    ['says a malformed expiry', { expires_in: 'soon' }, {}, 'well-formed'],
  ])('because it %s is told so', async (_what, token, config, excess) => {
    const issued = await scripted(token, {}, config).issue()
    expect(issued.excess).toContain(excess)
    expect(issued.excess).not.toContain('canary')
  })

  it.each([
    ['is of another type than asked for', { issued_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' }],
    ['does not say its type (RFC 8693 §2.2.1)', {}],
  ])('after an exchange, because it %s', async (_what, token) => {
    expect((await scripted(token, {}, exchange).issue({ subject })).excess).toContain('issued_token_type')
  })

  it('is given back with a handle, so that it can be revoked, its refresh token too', async () => {
    const { opened, issue, sent } = scripted({ ...exchanged, refresh_token: 'canary-refresh' }, {}, exchange)
    const issued = await issue({ subject })
    await opened.revoke?.(issued.handle ?? new Secret(''), calm)
    expect(sent.filter(({ url }) => url.endsWith('/revoke')).map(({ form }) => form.get('token'))).toEqual([
      'canary-token',
      'canary-refresh',
    ])
  })

  it.each([
    ['says that it is not active', () => Response.json({ active: false })],
    ['does not answer', () => new Response(null, { status: 500 })],
    ['answers no JSON', () => new Response('<html>')],
    ['names another audience', () => Response.json({ active: true, aud: 'account' })],
    ['names another scope', () => Response.json({ active: true, aud: 'x', scope: 'a b admin' })],
  ])('by introspection of an opaque token that %s', async (_what, introspect) => {
    expect((await scripted({}, { '/introspect': introspect }, { audience: 'x' }).issue()).excess).not.toBeNull()
  })
})

describe('a request', () => {
  it('asks for scope, audience and every resource', async () => {
    const { issue, sent } = scripted({}, {}, { audience: ['one', 'two'], resource: ['https://r.acme.example', 'https://s.acme.example'] })
    await issue({ scopes: ['a'], audience: 'two' })
    expect([...(sent[0]?.form ?? [])]).toEqual([
      ['scope', 'a'],
      ['audience', 'two'],
      ['resource', 'https://r.acme.example'],
      ['resource', 'https://s.acme.example'],
      ['grant_type', 'client_credentials'],
    ])
  })

  it('of an exchange carries the person’s token and an actor token that is not the caller’s', async () => {
    const { issue, sent } = scripted(exchanged, {}, exchange)
    await issue({ subject })
    const form = sent[0]?.form
    expect(form?.get('subject_token')).toBe('canary-subject')
    expect(form?.get('actor_token_type')).toBe('urn:ietf:params:oauth:token-type:jwt')
    expect(form?.get('actor_token')?.split('.')).toHaveLength(3)
  })
})

describe('an issuer that fails', () => {
  it.each([
    [
      'an OAuth error',
      () => Response.json({ error: 'invalid_scope', error_description: 'canary-token' }, { status: 400 }),
      '400 invalid_scope',
      false,
    ],
    ['an error code that is no code', () => Response.json({ error: 'canary token!' }, { status: 400 }), 'answered 400', false],
    ['a server error', () => Response.json({ error: 'server_error' }, { status: 500 }), 'answered 500', true],
    ['no JSON', () => new Response('canary-token <html>'), 'token request', true],
    ['JSON without a token', () => Response.json({ canary: 'canary-token' }), 'token request', true],
    ['a redirect', () => new Response(null, { status: 302, headers: { location: 'https://evil.example' } }), 'answered 302', false],
    [
      'more than any token needs',
      () => Response.json({ access_token: 'x'.repeat(300_000), token_type: 'Bearer', expires_in: 60 }),
      'token request',
      true,
    ],
    [
      'a broken connection',
      () => {
        throw Object.assign(new TypeError('canary-token'), { code: 'ECONNRESET' })
      },
      'ECONNRESET',
      true,
    ],
    [
      'a refused connection',
      () => {
        throw new TypeError('fetch failed', { cause: Object.assign(new Error(''), { code: 'ECONNREFUSED' }) })
      },
      'ECONNREFUSED',
      false,
    ],
  ])('with %s gives a refusal without its prose, and says whether a token may exist', async (_what, token, detail, unanswered) => {
    const refusal = await refusalOf(() => scripted({}, { '/token': token }).issue())
    expect(refusal?.code).toBe('credential.unavailable')
    expect(refusal?.detail).toContain(detail)
    expect(refusal?.cause instanceof Unanswered).toBe(unanswered)
    expect(inspect(refusal, { depth: 12, showHidden: true })).not.toContain('canary')
  })

  it('to revoke is told, so that it is tried again', async () => {
    const { opened, issue } = scripted({}, { '/revoke': () => new Response(null, { status: 503 }) })
    const { handle } = await issue()
    expect((await refusalOf(() => opened.revoke?.(handle ?? new Secret(''), calm)))?.code).toBe('credential.unavailable')
  })

  it('to revoke, in an answer of 200, is told as well: to say that a token is not active it may have other reasons', async () => {
    const doubt = () => Response.json({ error: 'invalid_token', error_description: 'canary-token' })
    const { opened, issue } = scripted({}, { '/revoke': doubt, '/introspect': () => Response.json({ active: false }) })
    const { handle } = await issue()
    const refusal = await refusalOf(() => opened.revoke?.(handle ?? new Secret(''), calm))
    expect(refusal).toMatchObject({ detail: 'revocation: the issuer answered 200 invalid_token', retry: 'later' })
    expect(inspect(refusal, { depth: 12, showHidden: true })).not.toContain('canary')
  })

  it.each(['', '<html>', '{}', '"error"', 'null', '[]'])('says nothing in the body %j of a confirmed revocation', async (body) => {
    const { opened, issue, sent } = scripted({}, { '/revoke': () => new Response(body) })
    const { handle } = await issue()
    await opened.revoke?.(handle ?? new Secret(''), calm)
    expect(sent.at(-1)?.url).toBe(`${issuer}/revoke`)
  })

  it('while the request is stopped leaves it open whether a token exists', async () => {
    const stop = new AbortController()
    const fetch = (_url: string, { signal }: RequestInit): Promise<Response> =>
      new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error)))
    const services = providerServices({ secret: 's' }, clock.now, { fetch })
    const client = { id: 'countersign', authenticate: 'client_secret_basic', secret: { env: 'secret' } }
    const slow = provider({ type: 'oauth', issuer, endpoints: { token: `${issuer}/token` }, client }, services)
    const call = refusalOf(() => slow.issue(wanted(), stop.signal))
    await settled()
    stop.abort(new Refusal('task.ended'))
    expect((await call)?.cause).toBeInstanceOf(Unanswered)
  })

  it('to answer in time is not waited for', async () => {
    const services = providerServices({ secret: 's' }, clock.now, {
      fetch: (_url, { signal }) =>
        new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error))),
    })
    const client = { id: 'countersign', authenticate: 'client_secret_basic', secret: { env: 'secret' } }
    const slow = provider({ type: 'oauth', issuer, client, timeout: '50ms' }, services)
    expect((await refusalOf(() => slow.issue(wanted(), calm)))?.detail).toBe('discovery: TimeoutError')
  })
})

describe('discovery', () => {
  const metadata = { issuer, token_endpoint: `${issuer}/token` }

  it('takes RFC 8414 metadata where there is no OpenID configuration, and reads it once', async () => {
    const { issue, sent } = scripted(
      {},
      { '/.well-known/oauth-authorization-server': () => Response.json(metadata) },
      { endpoints: undefined },
    )
    await issue()
    await issue()
    expect(sent.map(({ url }) => new URL(url).pathname)).toEqual([
      '/.well-known/openid-configuration',
      '/.well-known/oauth-authorization-server',
      '/token',
      '/token',
    ])
  })

  it('says expiry when the issuer offers no revocation', async () => {
    const answers = { '/.well-known/openid-configuration': () => Response.json(metadata) }
    expect(await scripted({}, answers, { endpoints: undefined }).issue()).toMatchObject({ revocation: 'expiry', handle: null })
  })

  it('on loopback, in clear, never leads to an endpoint in clear elsewhere', async () => {
    const local = 'http://127.0.0.1:9'
    const document = { issuer: local, token_endpoint: 'http://login.acme.example/token' }
    const answers = { '/.well-known/openid-configuration': () => Response.json(document) }
    const { issue, sent } = scripted({}, answers, { endpoints: undefined, issuer: local })
    expect((await refusalOf(issue))?.code).toBe('credential.unavailable')
    expect(sent.map(({ url }) => new URL(url).origin)).toEqual([local])
  })

  it.each([
    ['names another issuer', { ...metadata, issuer: 'https://evil.example' }],
    ['has an endpoint in clear', { ...metadata, token_endpoint: 'http://login.acme.example/token' }],
  ])('is refused when it %s', async (_what, document) => {
    const answers = { '/.well-known/openid-configuration': () => Response.json(document) }
    const { issue, sent } = scripted({}, answers, { endpoints: undefined })
    expect((await refusalOf(issue))?.code).toBe('credential.unavailable')
    expect(sent.every(({ url }) => url.includes('.well-known'))).toBe(true)
  })
})
