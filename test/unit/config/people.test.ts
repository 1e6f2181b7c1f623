import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { spki } from '../../../src/admin/signed-request.ts'
import { ConfigFault } from '../../../src/config/findings.ts'
import { parseConfig } from '../../../src/config/load.ts'
import { approverKey } from '../../../src/config/sign-in.ts'
import { configText, routeTo, type Settings } from '../../support/running.ts'

const oidc = { issuer: 'https://login.acme.example', client: 'countersign', approvers: 'group:approvers' }
const publicUrl = 'https://countersign.acme.example'
const keyOf = (): string => spki(generateKeyPairSync('ed25519').privateKey).toString('base64')

/** `code path` of what is found. */
function found(settings: Readonly<Record<string, Settings>>): string[] {
  const text = configText({ routes: { api: routeTo('http://127.0.0.1:9', 'api') }, settings })
  try {
    return parseConfig(text, 'countersign.yaml', {}).findings.map(({ code, path }) => `${code} ${path}`)
  } catch (error) {
    if (error instanceof ConfigFault) return error.findings.map(({ code, path }) => `${code} ${path}`)
    throw error
  }
}

describe('how people sign in and are told', () => {
  const key = keyOf()
  const hook = { type: 'webhook', url: 'https://hooks.acme.example/x' }

  it.each<[string, Readonly<Record<string, Settings>>, string[]]>([
    ['good', { admin: { public_url: publicUrl, sign_in: { oidc }, approvers: [{ name: 'alice', key, groups: ['leads'] }] } }, []],
    ['good', { approve: { channels: [{ type: 'page' }, hook], escalate: { to: 'webhook' }, break_glass: ['group:leads'] } }, []],
    ['no public_url', { admin: { sign_in: { oidc } } }, ['CS1202 admin.sign_in.oidc']],
    ['plain http', { admin: { public_url: 'http://127.0.0.1:7421', sign_in: { oidc } } }, ['CS1501 admin.public_url']],
    [
      'plain http, said so',
      { admin: { public_url: 'http://127.0.0.1:7421', sign_in: { oidc: { ...oidc, unsafe_plain: true } } } },
      ['CS1901 admin.sign_in.oidc.unsafe_plain'],
    ],
    ['a path in it', { admin: { public_url: `${publicUrl}/x` } }, ['CS1201 admin.public_url']],
    ['plain http elsewhere', { admin: { public_url: 'http://countersign.acme.example' } }, ['CS1201 admin.public_url']],
    [
      'a literal secret',
      { admin: { public_url: publicUrl, sign_in: { oidc: { ...oidc, secret: 'x' } } } },
      ['CS1301 admin.sign_in.oidc.secret'],
    ],
    [
      'approvers of no form',
      { admin: { public_url: publicUrl, sign_in: { oidc: { ...oidc, approvers: 'approvers' } } } },
      ['CS1201 admin.sign_in.oidc.approvers'],
    ],
    ['a key of no form', { admin: { approvers: [{ name: 'alice', key: 'AAAA' }] } }, ['CS1201 admin.approvers.0.key']],
    ['neither key nor subject', { admin: { approvers: [{ name: 'alice' }] } }, ['CS1201 admin.approvers.0']],
    [
      'one key for two',
      {
        admin: {
          approvers: [
            { name: 'alice', key },
            { name: 'bob', key },
          ],
        },
      },
      ['CS1402 admin.approvers.1.key'],
    ],
    [
      'one name for two',
      {
        admin: {
          approvers: [
            { name: 'alice', key },
            { name: 'alice', key: keyOf() },
          ],
        },
      },
      ['CS1402 admin.approvers.1.name'],
    ],
    [
      'a group like a person',
      { admin: { approvers: [{ name: 'alice', key, groups: ['person:bob'] }] } },
      ['CS1201 admin.approvers.0.groups.0'],
    ],
    [
      'roles of people and groups that are there',
      {
        admin: {
          approvers: [{ name: 'alice', key, groups: ['leads'], roles: ['operator'] }],
          roles: { viewer: 'group:leads', admin: ['person:alice'] },
        },
      },
      [],
    ],
    [
      'roles of people whom nobody knows',
      { admin: { approvers: [{ name: 'alice', key }], roles: { viewer: 'group:leads', admin: ['person:bob'] } } },
      ['CS1401 admin.roles.admin', 'CS1401 admin.roles.viewer'],
    ],
    ['roles of whom an issuer may know', { admin: { public_url: publicUrl, sign_in: { oidc }, roles: { operator: 'group:oncall' } } }, []],
    ['a role that is none', { admin: { roles: { owner: 'group:leads' } } }, ['CS1204 admin.roles.owner']],
    ['somebody of no role', { admin: { approvers: [{ name: 'alice', key, roles: [] }] } }, ['CS1201 admin.approvers.0.roles']],
    [
      'sign-in for nobody',
      { admin: { public_url: publicUrl, sign_in: { oidc: { issuer: oidc.issuer, client: oidc.client } } } },
      ['CS1202 admin.sign_in.oidc'],
    ],
    [
      'sign-in for a role alone',
      {
        admin: { public_url: publicUrl, sign_in: { oidc: { issuer: oidc.issuer, client: oidc.client } }, roles: { viewer: 'group:staff' } },
      },
      [],
    ],
    ['two channels of one name', { approve: { channels: [hook, hook] } }, ['CS1402 approve.channels.1']],
    ['nobody to escalate to', { approve: { channels: [hook], escalate: { to: 'pager' } } }, ['CS1401 approve.escalate.to']],
    [
      'a page to escalate to',
      { approve: { channels: [{ type: 'page' }], escalate: { to: 'page' } } },
      ['CS1403 approve.escalate', 'CS1403 approve.escalate.to'],
    ],
    ['the local key answers', { admin: { unsafe_local_key_approves: true } }, ['CS1901 admin.unsafe_local_key_approves']],
    [
      'tokens of agents that would open the port',
      {
        admin: { public_url: publicUrl, sign_in: { oidc } },
        identify: {
          sources: [{ type: 'oidc', issuer: oidc.issuer, audience: oidc.client, id: 'spiffe://acme.example/w/{sub}' }],
        },
      },
      ['CS1402 identify.sources.0.audience'],
    ],
  ])('%s: %j', (_, settings, codes) => {
    expect(found(settings).toSorted()).toEqual(codes.toSorted())
  })
})

describe('the public key of an approver', () => {
  it('is Ed25519 or P-256 in its one spelling, and nothing else', () => {
    const good = keyOf()
    expect(approverKey(good)?.asymmetricKeyType).toBe('ed25519')
    expect(approverKey(spki(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey).toString('base64'))?.asymmetricKeyType).toBe(
      'ec',
    )
    for (const bad of [
      `${good} `,
      good.replace(/=*$/, ''),
      '',
      spki(generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey).toString('base64'),
      spki(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey).toString('base64'),
      spki(generateKeyPairSync('x25519').privateKey).toString('base64'),
    ])
      expect(approverKey(bad)).toBe(null)
  })
})
