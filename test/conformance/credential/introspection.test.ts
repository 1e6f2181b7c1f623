import { beforeEach, describe, expect, it } from 'vitest'
import type { CredentialProvider } from '../../../src/credential/credential.ts'
import {
  introspectionClients,
  makeIntrospection,
  type Introspection,
  type IntrospectionAnswer,
} from '../../../src/credential/introspect.ts'
import { ProviderConfig } from '../../../src/credential/registry.ts'
import { CredentialRig } from '../../support/credential-rig.ts'
import { sketchRow } from '../../support/question.ts'
import { provider, providerServices } from '../../support/provider-rig.ts'

const settings = {
  crm: { type: 'jwt', audience: 'https://crm.acme.example', scope: ['crm:read'], introspect: { secret: { env: 'crm' } } },
  mail: { type: 'jwt', audience: 'https://mail.partner.example', introspect: { client: 'mailer', secret: { env: 'mail' } } },
  plain: { type: 'jwt', audience: 'https://plain.acme.example' },
}
const secrets = { crm: 'crm secret+1', mail: 'mail-secret' }

let rig: CredentialRig
let introspect: Introspection

beforeEach(() => {
  let clock = (): number => 0
  const services = providerServices(secrets, () => clock())
  const providers = new Map<string, CredentialProvider>(
    Object.entries(settings).map(([name, config]) => [name, provider(config, services)]),
  )
  rig = new CredentialRig({ providers })
  clock = rig.clock.now
  const configs = Object.fromEntries(Object.entries(settings).map(([name, config]) => [name, ProviderConfig.parse(config)]))
  const clients = introspectionClients(configs, services.secret)
  const rate = { client: 20, failures: 3 }
  introspect =
    makeIntrospection({ clients, book: rig.stage.book, clock: rig.clock.now, ticks: rig.clock.now, rate }) ??
    (() => ({ status: 0, headers: {}, body: '' }))
})

function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
}

const asCrm = basic('crm', 'crm+secret%2B1')

function ask(token: string, authorization: string | undefined = asCrm): IntrospectionAnswer {
  return introspect({ authorization, body: new URLSearchParams({ token }).toString() })
}

async function tokenOf(name = 'crm'): Promise<string> {
  return (await rig.lease({ provider: name })).secret.reveal()
}

describe('token introspection (RFC 7662)', () => {
  it('is off until an upstream is configured to authenticate', () => {
    expect(makeIntrospection({ clients: [], book: rig.stage.book, clock: rig.clock.now })).toBeNull()
  })

  it('tells an upstream of a live token that is meant for it (§2.2)', async () => {
    const answer = ask(await tokenOf())
    expect(answer).toMatchObject({ status: 200, headers: { 'content-type': 'application/json', 'cache-control': 'no-store' } })
    const { caller, id: task } = sketchRow()
    const told = {
      active: true,
      token_type: 'Bearer',
      aud: 'https://crm.acme.example',
      sub: caller,
      client_id: caller,
      scope: 'crm:read',
      task,
    }
    expect(JSON.parse(answer.body)).toMatchObject(told)
  })

  it('says inactive and nothing else once the lease is revoked, at once (§2.2)', async () => {
    const text = await tokenOf()
    const end = rig.stage.revokeTask(sketchRow().id, 'completed')
    expect(ask(text).body).toBe('{"active":false}')
    await end
    expect(rig.rows().map(({ state }) => state)).toEqual(['revoked'])
  })

  it('says inactive once the token has expired', async () => {
    const text = await tokenOf()
    rig.clock.move(60_000)
    expect(ask(text).body).toBe('{"active":false}')
  })

  it('says inactive of a token for another upstream, and of one whose upstream does not introspect (§4)', async () => {
    expect(ask(await tokenOf('mail')).body).toBe('{"active":false}')
    expect(ask(await tokenOf('plain')).body).toBe('{"active":false}')
    expect(JSON.parse(ask(await tokenOf('mail'), basic('mailer', 'mail-secret')).body)).toMatchObject({ active: true })
  })

  it('says inactive of a credential that another provider got, whatever its audience', async () => {
    const other = new CredentialRig()
    const lease = await other.lease()
    const clients = introspectionClients({ crm: ProviderConfig.parse(settings.crm) }, providerServices(secrets).secret)
    const beside = makeIntrospection({ clients, book: other.stage.book, clock: other.clock.now, ticks: other.clock.now })
    const body = new URLSearchParams({ token: lease.secret.reveal() }).toString()
    expect(beside?.({ authorization: asCrm, body }).body).toBe('{"active":false}')
  })

  it.each([
    ['nonsense', () => 'nonsense'],
    ['a token with one letter changed', (text: string) => `${text.slice(0, -2)}${text.at(-2) === 'A' ? 'B' : 'A'}${text.slice(-1)}`],
    ['a token without its signature', (text: string) => text.slice(0, text.lastIndexOf('.') + 1)],
  ])('says inactive of %s', async (_what, change) => {
    expect(ask(change(await tokenOf())).body).toBe('{"active":false}')
  })

  it.each([
    ['no credentials', undefined],
    ['a wrong secret', basic('crm', 'mail-secret')],
    ['an unknown client', basic('nobody', 'crm secret+1')],
    ['another scheme', 'Bearer crm'],
    ['an empty pair', basic('', '')],
  ])('answers 401 to %s, live token or not (§2.1)', async (_what, authorization) => {
    const answer = introspect({ authorization, body: new URLSearchParams({ token: await tokenOf() }).toString() })
    expect(answer).toMatchObject({ status: 401, body: '{"error":"invalid_client"}' })
    expect(answer.headers['www-authenticate']).toContain('Basic')
  })

  it.each([
    ['form-encoded, as RFC 6749 §2.3.1 says', asCrm],
    ['as they are, as many clients send them', basic('crm', 'crm secret+1')],
    ['under a scheme in lower case', asCrm.replace('Basic', 'basic')],
  ])('takes id and secret %s', async (_what, authorization) => {
    expect(ask(await tokenOf(), authorization).status).toBe(200)
  })

  it.each([
    ['no token', 'hint=x'],
    ['an empty token', 'token='],
    ['two tokens', 'token=a&token=b'],
    ['more than any token needs', `token=${'x'.repeat(20_000)}`],
  ])('answers 400 to %s (§2.1)', (_what, body) => {
    expect(introspect({ authorization: asCrm, body })).toMatchObject({ status: 400, body: '{"error":"invalid_request"}' })
  })

  it('answers so many questions a second to one client, and none of another’s share', async () => {
    const text = await tokenOf()
    const statuses = Array.from({ length: 21 }, () => ask(text).status)
    expect(statuses.slice(0, 20).every((status) => status === 200)).toBe(true)
    expect(statuses[20]).toBe(429)
    expect(ask('x', basic('mailer', 'mail-secret')).status).toBe(200)
    rig.clock.move(50)
    expect(ask(text).status).toBe(200)
  })

  it('slows down guessing without locking the upstream out', () => {
    const wrong = () => ask('x', basic('crm', 'guess')).status
    expect([wrong(), wrong(), wrong(), wrong()]).toEqual([401, 401, 401, 429])
    expect(ask('x').status).toBe(200)
  })
})

describe('the clients of the endpoint', () => {
  const read = providerServices({ one: 'a', none: '' }).secret
  const config = (introspection: object) => ProviderConfig.parse({ type: 'jwt', audience: 'x', introspect: introspection })

  it('need a secret', () => {
    expect(() => introspectionClients({ a: config({ secret: { env: 'none' } }) }, read)).toThrow('empty')
  })

  it('need names of their own', () => {
    const clients = { a: config({ secret: { env: 'one' } }), b: config({ client: 'a', secret: { env: 'one' } }) }
    expect(() => introspectionClients(clients, read)).toThrow('two introspection clients')
  })
})
