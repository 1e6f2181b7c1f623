import { generateKeyPairSync } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { CredentialProvider, Issued } from '../../../src/credential/credential.ts'
import { Unanswered } from '../../../src/credential/provider.ts'
import { Secret } from '../../../src/secret.ts'
import { app, appKey, GithubApp, installation } from '../../support/github-app.ts'
import { refusalOf } from '../../support/identity-rig.ts'
import { calm, provider, providerServices, wanted } from '../../support/provider-rig.ts'

const github = new GithubApp()
const services = providerServices({ key: appKey }, Date.now)

beforeAll(() => github.server.listen())
afterAll(() => github.server[Symbol.asyncDispose]())
beforeEach(() => {
  github.change = (answer) => answer
})

function opened(changes: object = {}): CredentialProvider {
  const permissions = ['contents:read', 'issues:write']
  const settings = {
    type: 'github',
    app,
    key: { env: 'key' },
    installation,
    permissions,
    repositories: ['web', 'api'],
    api: github.server.url,
  }
  return provider({ ...settings, ...changes }, services)
}

function issue(from = opened(), scopes = from.offer.scopes): Promise<Issued> {
  return from.issue(wanted({ scopes }), calm)
}

describe('an installation token', () => {
  it('is asked for by a JWT of the App and lives until its lease ends', async () => {
    const issued = await issue()
    expect(issued).toMatchObject({ revocation: 'issuer', excess: null })
    expect(issued.scopes).toEqual(['contents:read', 'issues:write', 'metadata:read', 'repository:api', 'repository:web'])
    expect(github.isLive(issued.secret.reveal())).toBe(true)
  })

  it('is narrowed to the permissions and repositories that the decision leaves', async () => {
    await issue(opened(), ['contents:read', 'repository:web'])
    expect(JSON.parse(github.server.seen.at(-1)?.body ?? '')).toEqual({ repositories: ['web'], permissions: { contents: 'read' } })
  })

  it('is never asked for without a permission, or without a repository where some are configured: that would mean all', async () => {
    expect((await refusalOf(() => issue(opened(), ['repository:web'])))?.detail).toContain('no permission')
    expect((await refusalOf(() => issue(opened(), ['contents:read'])))?.detail).toContain('no repository')
  })

  it('is good for every repository only where none is configured', async () => {
    const from = opened({ repositories: undefined })
    expect((await issue(from)).excess).toBeNull()
    expect(JSON.parse(github.server.seen.at(-1)?.body ?? '')).toEqual({ permissions: { contents: 'read', issues: 'write' } })
  })

  it('has the form of 2026, some 500 characters with two dots, and is not taken for a token of ours', async () => {
    const text = (await issue()).secret.reveal()
    expect(text.split('.')).toHaveLength(3)
    expect(text.length).toBeGreaterThan(400)
  })
})

describe('what came back', () => {
  it.each([
    ['a permission that was not asked for', { permissions: { contents: 'read', issues: 'write', administration: 'write' } }],
    ['a permission of a higher level', { permissions: { contents: 'write', issues: 'write' } }],
    ['another repository', { repositories: [{ name: 'secret-plans' }] }],
    ['all repositories', { repository_selection: 'all' }],
    ['no word of the repositories', { repositories: undefined }],
    ['no word of the permissions', { permissions: undefined }],
    ['an expiry that cannot be read', { expires_at: 'tomorrow' }],
    ['a token of a person', { token: `ghp_${'a'.repeat(36)}` }],
  ])('is too wide with %s, and can be taken back', async (_what, over) => {
    github.change = (answer) => ({ ...answer, ...over })
    const issued = await issue()
    expect(issued.excess).toEqual(expect.any(String))
    expect(issued.handle?.reveal()).toBe(issued.secret.reveal())
  })

  it('may hold less, and `metadata:read`, which GitHub always adds', async () => {
    github.change = (answer) => ({ ...answer, permissions: { metadata: 'read', issues: 'read' } })
    expect(await issue()).toMatchObject({ excess: null, scopes: ['issues:read', 'metadata:read', 'repository:api', 'repository:web'] })
  })

  it('may hold nothing that is not named harmless', async () => {
    expect((await issue(opened({ surplus: [] }))).excess).toContain('scope')
  })
})

describe('revocation', () => {
  it('ends the token at GitHub, and may be repeated', async () => {
    const from = opened()
    const { secret, handle } = await issue(from)
    await from.revoke?.(handle ?? new Secret(''), calm)
    expect(github.isLive(secret.reveal())).toBe(false)
    await from.revoke?.(handle ?? new Secret(''), calm)
  })

  it('that GitHub did not confirm is never taken for done', async () => {
    const from = opened()
    const { handle } = await issue(from)
    github.server.next.push('broken')
    expect((await refusalOf(() => from.revoke?.(handle ?? new Secret(''), calm)))?.detail).toContain('500')
  })
})

describe('a request that fails', () => {
  it('leaves nothing behind when GitHub says no', async () => {
    const refusal = await refusalOf(() => issue(opened({ app: 'Iv23liSomebodyElse' })))
    expect(refusal?.code).toBe('credential.unavailable')
    expect(refusal?.cause).toBeUndefined()
  })

  it.each(['half', 'broken'] as const)('says that nobody knows what became of it: %s', async (fault) => {
    github.server.next.push(fault)
    expect((await refusalOf(() => issue()))?.cause).toBeInstanceOf(Unanswered)
  })

  it('says so too when the answer holds no token that could be read: there may be one', async () => {
    github.change = () => ({ message: 'odd' })
    expect((await refusalOf(() => issue()))?.cause).toBeInstanceOf(Unanswered)
  })

  it('ends in time when GitHub says nothing', async () => {
    github.server.next.push('silent')
    const refusal = await refusalOf(() => issue(opened({ timeout: '50ms' })))
    expect(refusal?.cause).toBeInstanceOf(Unanswered)
  })
})

describe('the key of an App', () => {
  it.each([
    ['is no key at all', 'hunter2-is-no-key'],
    ['is no RSA key', generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })],
  ])('is refused when the configuration is read if it %s, without its text', (_what, pem) => {
    const settings = { type: 'github', app, key: { env: 'key' }, installation, permissions: ['contents:read'] }
    const open = (): unknown => provider(settings, providerServices({ key: pem }))
    expect(open).toThrow(/key of the App/)
    expect(open).not.toThrow(/hunter2/)
  })
})
