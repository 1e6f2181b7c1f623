import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { CredentialProvider, Issued } from '../../../src/credential/credential.ts'
import { Unanswered } from '../../../src/credential/provider.ts'
import { Secret } from '../../../src/secret.ts'
import { CredentialRig } from '../../support/credential-rig.ts'
import { refusalOf } from '../../support/identity-rig.ts'
import { calm, provider, providerServices, wanted } from '../../support/provider-rig.ts'
import { sketchRow } from '../../support/question.ts'
import { account, namespace, ownToken, TokenApi } from '../../support/token-api.ts'

const api = new TokenApi()
const services = providerServices({ '/token': ownToken }, Date.now)
const audience = 'https://crm.acme.example'

beforeAll(() => api.server.listen())
afterAll(() => api.server[Symbol.asyncDispose]())
beforeEach(() => {
  api.claims = (claims) => claims
})

function opened(changes: object = {}): CredentialProvider {
  const identity = { token_file: '/token' }
  const settings = { type: 'kubernetes', server: api.server.url, identity, namespace, service_account: account, audiences: [audience] }
  return provider({ ...settings, ...changes }, services)
}

function issue(from = opened(), changes: Parameters<typeof wanted>[0] = {}): Promise<Issued> {
  return from.issue(wanted({ audience, ...changes }), calm)
}

describe('a service-account token (TokenRequest, authentication.k8s.io/v1)', () => {
  it('is bound to a Secret that was made for its lease, and says so to whoever looks at the Secret', async () => {
    const issued = await issue(opened(), { lease: 'l_01BOUND' })
    expect(issued).toMatchObject({ revocation: 'issuer', excess: null })
    expect(issued.handle?.reveal()).toBe('countersign-l-01bound')
    expect(await api.accepts(issued.secret.reveal())).toBe(true)
    const [secret] = api.server.seen.filter(({ path }) => path.endsWith('/secrets'))
    expect(JSON.parse(secret?.body ?? '').metadata.annotations).toMatchObject({ 'countersign/task': wanted().task })
  })

  it('is asked for the ten minutes that Kubernetes gives at least, and for no more than was wanted above', async () => {
    const seconds = (): number => JSON.parse(api.server.seen.at(-1)?.body ?? '').spec.expirationSeconds
    await issue(opened(), { lease: 'l_01SHORT', ttl: 5000 })
    expect(seconds()).toBe(600)
    await issue(opened(), { lease: 'l_01LONG', ttl: 900_500 })
    expect(seconds()).toBe(901)
  })

  it('is for the audience that was asked for and no other', async () => {
    const issued = await issue(opened({ audiences: [audience, 'https://mail.acme.example'] }), {
      lease: 'l_01MAIL',
      audience: 'https://mail.acme.example',
    })
    expect(issued.excess).toBeNull()
    expect(JSON.parse(api.server.seen.at(-1)?.body ?? '').spec.audiences).toEqual(['https://mail.acme.example'])
  })
})

describe('what came back', () => {
  const bound = (over: object) => (claims: Record<string, unknown>) => ({
    ...claims,
    'kubernetes.io': { ...(claims['kubernetes.io'] as object), ...over },
  })

  it.each([
    ['another audience', (claims: Record<string, unknown>) => ({ ...claims, aud: ['https://kubernetes.default.svc'] })],
    ['a second audience', (claims: Record<string, unknown>) => ({ ...claims, aud: [audience, 'https://kubernetes.default.svc'] })],
    ['another service account', (claims: Record<string, unknown>) => ({ ...claims, sub: 'system:serviceaccount:kube-system:admin' })],
    ['no expiry', (claims: Record<string, unknown>) => ({ ...claims, exp: undefined })],
    ['no Secret', bound({ secret: undefined })],
    ['the Secret of another lease', bound({ secret: { name: 'other', uid: 'other' } })],
    ['another namespace', bound({ namespace: 'kube-system' })],
  ])('is too wide with %s', async (what, change) => {
    api.claims = change
    expect((await issue(opened(), { lease: `l_${what.replaceAll(/\W/g, '')}` })).excess).toEqual(expect.any(String))
  })
})

describe('revocation', () => {
  it('deletes the Secret, after which the API server refuses the token; it may be repeated', async () => {
    const from = opened()
    const { secret, handle } = await issue(from, { lease: 'l_01GONE' })
    await from.revoke?.(handle ?? new Secret(''), calm)
    expect(await api.accepts(secret.reveal())).toBe(false)
    await from.revoke?.(handle ?? new Secret(''), calm)
  })

  it('that was not confirmed is never taken for done', async () => {
    const from = opened()
    const { handle } = await issue(from, { lease: 'l_01KEPT' })
    api.server.next.push('broken')
    expect(await refusalOf(() => from.revoke?.(handle ?? new Secret(''), calm))).not.toBeNull()
  })

  it.each([
    ['of the Secret', ['half']],
    ['of the token', [null, 'half']],
  ] as const)('needs no answer to have been seen: half an answer %s leaves nothing behind', async (_what, faults) => {
    const rig = new CredentialRig({ providers: new Map([['crm', opened()]]) })
    const before = api.secrets.size
    api.server.next.push(...faults)
    const refusal = await refusalOf(() => rig.lease({ provider: 'crm' }))
    expect(refusal?.cause).toBeInstanceOf(Unanswered)
    await rig.stage.revokeTask(sketchRow().id, 'completed')
    expect(api.secrets.size).toBe(before)
    expect(rig.rows().map(({ state }) => state)).toEqual(['revoked'])
  })
})

describe('a request that fails', () => {
  it('after its Secret was made leaves none behind', async () => {
    const rig = new CredentialRig({ providers: new Map([['crm', opened({ service_account: 'somebody-else' })]]) })
    const before = api.secrets.size
    expect((await refusalOf(() => rig.lease({ provider: 'crm' })))?.detail).toContain('404')
    await rig.stage.revokeTask(sketchRow().id, 'completed')
    expect(api.secrets.size).toBe(before)
  })

  it('leaves nothing behind when the API server says no', async () => {
    const refusal = await refusalOf(() =>
      issue(
        provider(
          { type: 'kubernetes', server: api.server.url, identity: 'svid', namespace, service_account: account, audiences: [audience] },
          services,
        ),
      ),
    )
    expect(refusal?.detail).toContain('401')
    expect(refusal?.cause).toBeUndefined()
  })
})
