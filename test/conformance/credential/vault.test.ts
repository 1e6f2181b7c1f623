import { X509Certificate } from 'node:crypto'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { CredentialProvider, Issued } from '../../../src/credential/credential.ts'
import { Unanswered } from '../../../src/credential/provider.ts'
import { ProviderConfig } from '../../../src/credential/registry.ts'
import { Refusal } from '../../../src/refusal.ts'
import { Secret } from '../../../src/secret.ts'
import { FaultyProxy, type Mishap } from '../../support/faulty-proxy.ts'
import { refusalOf, TestClock } from '../../support/identity-rig.ts'
import { calm, provider, providerServices, wanted } from '../../support/provider-rig.ts'
import { VaultStandIn, vaultSettings } from '../../support/vault-api.ts'

let standIn: VaultStandIn
let proxy: FaultyProxy

beforeEach(async () => {
  standIn = await VaultStandIn.start()
  proxy = await FaultyProxy.start(standIn.url)
})
afterEach(async () => {
  await proxy[Symbol.asyncDispose]()
  await standIn[Symbol.asyncDispose]()
})

type Kind = keyof ReturnType<typeof vaultSettings>

function opened(kind: Kind = 'database', changes: object = {}, clock: () => number = Date.now): CredentialProvider {
  return provider({ ...vaultSettings(proxy.url)[kind], timeout: '400ms', ...changes }, providerServices({}, clock))
}

/** Asks as the lender does: what was prepared is at hand when the answer is lost. */
async function lent(from: CredentialProvider, changes: Parameters<typeof wanted>[0] = {}): Promise<Issued & { prepared: Secret }> {
  const want = wanted({ scopes: from.offer.scopes, ...changes })
  const prepared = (await from.prepare?.(want, calm)) ?? new Secret('')
  return { ...(await from.issue(want, calm, prepared)), prepared }
}

/** The same for a question that fails; gives the refusal and what was prepared. */
async function failing(from: CredentialProvider): Promise<{ readonly refusal: Refusal; readonly prepared: Secret }> {
  const want = wanted({ scopes: from.offer.scopes })
  const prepared = (await from.prepare?.(want, calm)) ?? new Secret('')
  const refusal = await refusalOf(() => from.issue(want, calm, prepared))
  if (refusal === null) throw new Error('it did not fail')
  return { refusal, prepared }
}

const handle = ({ handle: sealed }: Issued): Secret => sealed ?? new Secret('')
/** One mishap for questions to a path, as often as told. */
function once(path: string, mishap: Mishap, times = 1): void {
  let left = times
  proxy.plan = (passing) => (passing.path.includes(path) && left-- > 0 ? mishap : null)
}
const alive = () => {
  const { parents, children, leases } = standIn.alive()
  return { parents: parents.length, children: children.length, leases }
}

describe('settings of vault', () => {
  it.each([
    ['a kv secret that is not said to stand', 'kv', { unsafe_standing: undefined }, 'unsafe_standing: true'],
    ['no policies', 'database', { policies: [] }, 'policies'],
    ['the root policy', 'database', { policies: ['root'] }, 'root policy'],
    ['a policy in upper case, which Vault would give back in another spelling', 'database', { policies: ['Orders'] }, 'lower case'],
    ['a path that climbs', 'database', { secret: { database: { mount: 'database/../sys', role: 'reader' } } }, 'secret'],
    ['a role with a slash', 'database', { secret: { database: { role: '../../sys/seal' } } }, 'secret'],
    ['plain HTTP beyond loopback', 'database', { address: 'http://vault.acme.example' }, 'https'],
    ['two secrets', 'database', { secret: { database: { role: 'a' }, token: {} } }, 'secret'],
    ['a template without the password', 'database', { secret: { database: { role: 'a', template: '{user}' } } }, 'secret'],
  ])('refuse %s', (_what, kind, changes, said) => {
    const read = ProviderConfig.safeParse({ ...vaultSettings('http://127.0.0.1:8200')[kind as Kind], ...changes })
    expect(JSON.stringify(read.error?.issues)).toContain(said)
  })

  it('put each kind of secret where it belongs, unless they say otherwise', () => {
    const kinds: readonly Kind[] = ['database', 'pki', 'token', 'kv']
    expect(kinds.map((kind) => opened(kind).placement)).toEqual([
      { in: 'basic', user: null },
      { in: 'tls' },
      { in: 'header', name: 'x-vault-token', prefix: '' },
      { in: 'header', name: 'authorization', prefix: 'Bearer ' },
    ])
    expect(opened('kv', { apply: { query: 'key' } }).placement).toEqual({ in: 'query', name: 'key' })
  })

  it('cannot put a key on a header, nor a template nowhere', () => {
    expect(() => opened('pki', { apply: { query: 'key' } })).toThrow('tls')
    expect(() => opened('database', { secret: { database: { role: 'reader', template: '{user} {password}' } } })).toThrow('apply')
  })
})

describe('the login', () => {
  it('is one for all leases, however many begin at once, and shows our identity to the audience of the role', async () => {
    const from = opened()
    await Promise.all(Array.from({ length: 8 }, () => lent(from)))
    const logins = standIn.asked.filter(({ path }) => path === 'auth/jwt/login')
    expect(logins.map(({ body }) => Object.keys(body))).toEqual([['role', 'jwt']])
    expect(alive()).toEqual({ parents: 1, children: 8, leases: 8 })
  })

  it('is lengthened to outlive the lease, which its role need not allow at once', async () => {
    standIn.role.ttl = 20
    const { expires } = await lent(opened('database', { ttl: '2m' }), { ttl: 120_000 })
    expect(expires).toBeGreaterThan(Date.now() + 110_000)
    expect(standIn.asked.find(({ path }) => path === 'auth/token/renew-self')?.body).toEqual({ increment: '130s' })
  })

  it('bounds a lease that it cannot outlive', async () => {
    Object.assign(standIn.role, { ttl: 20, max: 30 })
    expect((await lent(opened(), { ttl: 60_000 })).expires).toBeLessThanOrEqual(Date.now() + 30_000)
  })

  it('whose renewal nobody saw is trusted with no more than was certain before, and asked again', async () => {
    standIn.role.ttl = 20
    const from = opened()
    once('renew-self', 'lost')
    const first = await lent(from)
    expect(first.expires).toBeLessThanOrEqual(Date.now() + 21_000)
    const [child] = standIn.alive().children
    expect(child?.expires).toBeLessThanOrEqual(first.expires)
    expect((await lent(from)).expires).toBeGreaterThan(Date.now() + 50_000)
  })

  it('is revoked also past its end as far as we know, for a renewal may have come off that nobody saw', async () => {
    standIn.role.ttl = 20
    const clock = new TestClock(Date.now())
    const from = opened('database', {}, clock.now)
    once('renew-self', 'lost')
    await lent(from)
    clock.move(100_000)
    await from.close?.()
    expect(alive()).toEqual({ parents: 0, children: 0, leases: 0 })
  })

  it('is made anew before its end, and the one before it is revoked when its last lease is gone', async () => {
    Object.assign(standIn.role, { ttl: 60, max: 60 })
    const clock = new TestClock(Date.now())
    const from = opened('database', { ttl: '50s' }, clock.now)
    const first = await lent(from)
    clock.move(40_000)
    standIn.role.max = 1
    const second = await lent(from)
    expect(standIn.asked.filter(({ path }) => path === 'auth/jwt/login')).toHaveLength(2)
    expect(alive().parents).toBe(2)
    await from.revoke?.(handle(first), calm)
    expect(alive()).toEqual({ parents: 1, children: 1, leases: 1 })
    await from.revoke?.(handle(second), calm)
    expect(alive().parents).toBe(1)
  })

  it('that somebody revoked is found out when it has been idle, and made anew without any call failing', async () => {
    const clock = new TestClock(Date.now())
    const from = opened('database', {}, clock.now)
    await lent(from)
    for (const parent of standIn.alive().parents) standIn.kill(parent)
    clock.move(31_000)
    expect((await lent(from)).excess).toBeNull()
  })

  it('that somebody revoked just now fails one call, which may come again', async () => {
    const from = opened()
    await lent(from)
    for (const parent of standIn.alive().parents) standIn.kill(parent)
    expect((await failing(from)).refusal).toMatchObject({ detail: 'token of the task: permission denied: the issuer answered 403' })
    expect((await lent(from)).excess).toBeNull()
  })

  it.each([
    [
      'another role',
      { auth: { role: 'other', identity: 'signed', audience: 'vault' } },
      'login: it knows no such role: the issuer answered 400',
    ],
    [
      'another audience',
      { auth: { role: 'countersign', identity: 'signed', audience: 'elsewhere' } },
      'login: the role is bound to another identity or audience: the issuer answered 400',
    ],
  ])('with %s is refused, in our words', async (_what, changes, detail) => {
    const refusal = await refusalOf(() => opened('database', changes).prepare?.(wanted(), calm))
    expect(refusal).toMatchObject({ code: 'credential.unavailable', detail })
    expect(refusal?.cause).toBeUndefined()
  })

  it.each([
    ['is a batch token', { token_type: 'batch' }, 'no service token'],
    ['never expires', { lease_duration: 0 }, 'never expires'],
    ['is all-powerful', { policies: ['root'] }, 'root policy'],
    ['has few uses', { num_uses: 3 }, 'limits the uses'],
  ])('that %s is given back and not used', async (_what, login, said) => {
    standIn.quirks.login = login
    expect((await refusalOf(() => opened().prepare?.(wanted(), calm)))?.detail).toContain(said)
    expect(alive().parents).toBe(0)
  })

  it.each<Mishap>(['reset', 'error', 'lost', 'half', 'hang'])(
    'that meets with %s claims no credential, and the next one works',
    async (mishap) => {
      const from = opened()
      once('login', mishap)
      const refusal = await refusalOf(() => from.prepare?.(wanted(), calm))
      expect(refusal).toMatchObject({ code: 'credential.unavailable', retry: 'later' })
      expect(refusal?.cause).toBeUndefined()
      expect((await lent(from)).excess).toBeNull()
    },
  )

  it('is not waited for by a call that has ended, and goes on for the others', async () => {
    const from = opened()
    once('login', { late: 150 })
    const stop = new AbortController()
    const [gone, stays] = [refusalOf(() => from.prepare?.(wanted(), stop.signal)), from.prepare?.(wanted(), calm)]
    stop.abort(new Refusal('task.ended'))
    expect((await gone)?.code).toBe('task.ended')
    expect(await stays).toBeInstanceOf(Secret)
  })

  it('is ended when the provider is closed', async () => {
    const from = opened()
    await lent(from)
    await from.close?.()
    expect(alive()).toEqual({ parents: 0, children: 0, leases: 0 })
  })

  it('happens in the namespace of the settings', async () => {
    standIn.namespace = 'team-a'
    expect((await lent(opened('database', { namespace: 'team-a' }))).excess).toBeNull()
    expect((await refusalOf(() => opened().prepare?.(wanted(), calm)))?.code).toBe('credential.unavailable')
  })
})

describe('the token of a lease', () => {
  const created = () => standIn.asked.find(({ path }) => path.startsWith('auth/token/create'))

  it('has the policies of the decision and no default, the life of the lease, and names task, caller and lease', async () => {
    await lent(opened(), { scopes: ['orders-read'], ttl: 5900 })
    const { task, caller, lease } = wanted()
    expect(created()).toMatchObject({
      path: 'auth/token/create/countersign',
      body: {
        policies: ['lease', 'orders-read'],
        no_default_policy: true,
        type: 'service',
        ttl: '5s',
        explicit_max_ttl: '5s',
        renewable: false,
        meta: { task, caller, lease },
      },
    })
  })

  it('is never asked for without policies, for Vault would give all of them', async () => {
    expect((await refusalOf(() => opened().issue(wanted(), calm)))?.detail).toContain('no policy is asked for')
    expect(alive().children).toBe(0)
  })

  it('of less than a second lives one, which is the floor', async () => {
    const from = opened()
    await lent(from, { ttl: 300 })
    expect(created()?.body['ttl']).toBe('1s')
    expect(from.floor).toBe(1000)
  })

  it.each([
    ['the policies of an entity', { entity: ['admins'] }, 'policies that were not asked for'],
    ['the default policy', { token: { policies: ['default', 'lease', 'orders-read'] } }, 'policies that were not asked for'],
    ['policies in another namespace', { token: { external_namespace_policies: { other: ['a'] } } }, 'cannot be told'],
    ['no policies at all', { token: { policies: null } }, 'cannot be told'],
    ['a longer life', { token: { ttl: 61 } }, 'longer than asked'],
    ['no end', { token: { ttl: 0 } }, 'expiry is not told'],
    ['a period', { token: { period: 60 } }, 'for ever'],
    ['renewals', { token: { renewable: true } }, 'can be renewed'],
    ['no parent', { token: { orphan: true } }, 'orphan'],
    ['the type of a batch token', { token: { type: 'batch' } }, 'no service token'],
  ])('with %s is too wide: nothing is read with it, and it is handed over to be revoked', async (_what, quirks, excess) => {
    standIn.quirks = quirks
    const from = opened()
    const issued = await lent(from)
    expect(issued).toMatchObject({ revocation: 'issuer', excess: expect.stringContaining(excess) })
    expect(standIn.asked.map(({ path }) => path)).not.toContain('database/creds/reader')
    await from.revoke?.(handle(issued), calm)
    expect(alive().children).toBe(0)
  })

  it('may have a policy that is named harmless', async () => {
    standIn.quirks.entity = ['audited']
    expect((await lent(opened('database', { surplus: ['audited'] }))).excess).toBeNull()
  })

  it('with few uses is none: it could not revoke itself', async () => {
    standIn.quirks.token = { num_uses: 3 }
    const { refusal } = await failing(opened())
    expect(refusal.detail).toContain('token_num_uses')
    expect(refusal.cause).toBeUndefined()
    expect(alive().children).toBe(0)
  })

  it('that may not look itself up is none: nobody could tell whether it is dead', async () => {
    standIn.quirks.powerless = ['auth/token/lookup-self']
    expect((await failing(opened())).refusal.detail).toContain('looked up by itself: permission denied')
  })

  it('with a policy that its role does not allow is not made', async () => {
    expect((await failing(opened('database', { policies: ['nobody'] }))).refusal.detail).toContain('the policies are not allowed there')
  })
})

describe('what is lent', () => {
  it('of a database is its user and password, under a lease', async () => {
    const issued = await lent(opened(), { scopes: ['orders-read'] })
    expect(issued).toMatchObject({
      user: expect.stringMatching(/^v-token-co-/),
      scopes: ['orders-read'],
      revocation: 'issuer',
      excess: null,
    })
    expect(issued.expires).toBeGreaterThan(Date.now() + 55_000)
  })

  it('of a database lives no longer than its own lease', async () => {
    standIn.leaseTtl = 7
    expect((await lent(opened())).expires).toBeLessThanOrEqual(Date.now() + 7000)
  })

  it('of a database may be a text, whose password stays a secret of its own', async () => {
    const template = 'postgresql://{user}:{password}@db/{user}'
    const { secret, user, parts } = await lent(
      opened('database', { secret: { database: { role: 'reader', template } }, apply: { header: 'X-Dsn' } }),
    )
    expect(secret.reveal()).toBe(`postgresql://${user}:${parts?.['password']?.reveal()}@db/${user}`)
  })

  it('of a database without a lease is too wide', async () => {
    standIn.quirks.secret = { lease_id: '' }
    expect((await lent(opened())).excess).toContain('no lease')
  })

  it('of kv stands: the token is gone before it is used, and nothing takes it back', async () => {
    const issued = await lent(opened('kv'))
    expect(issued).toMatchObject({ handle: null, revocation: 'discard', excess: null })
    expect(issued.secret.reveal()).toBe('a-kv-secret')
    expect(alive()).toEqual({ parents: 1, children: 0, leases: 0 })
  })

  it('of the first version of kv lies elsewhere', async () => {
    const issued = await lent(opened('kv', { secret: { kv: { mount: 'kv1', path: 'crm', field: 'key', version: 1 } } }))
    expect(issued.secret.reveal()).toBe('a-kv-secret')
  })

  it.each(['nothing', 'number'])('of kv must be text: a field called %s is refused, and no token is left', async (field) => {
    const { refusal } = await failing(opened('kv', { secret: { kv: { mount: 'kv', path: 'team/crm', field } } }))
    expect(refusal.detail).toContain('no such field')
    expect(refusal.cause).toBeUndefined()
    expect(alive().children).toBe(0)
  })

  it('of a certificate authority is a key, with its certificate and chain', async () => {
    const { secret, parts, revocation, excess } = await lent(opened('pki'))
    const chain = parts?.['certificate']?.reveal() ?? ''
    expect([revocation, excess]).toEqual(['issuer', null])
    expect(new X509Certificate(chain).subjectAltName).toBe('DNS:agent.acme.example')
    expect(chain.match(/BEGIN CERTIFICATE/g)).toHaveLength(2)
    expect(secret.reveal()).toContain('PRIVATE KEY')
  })

  it('of a certificate authority without leases ends by its expiry, and its token at once', async () => {
    standIn.pkiLease = false
    const issued = await lent(opened('pki'), { ttl: 9000 })
    expect(issued).toMatchObject({ revocation: 'expiry', handle: null, excess: null })
    expect(issued.expires).toBeLessThanOrEqual(Date.now() + 9000)
    expect(alive().children).toBe(0)
  })

  it.each([
    ['another name', { names: ['other.acme.example'] }, 'more than was asked'],
    ['a name more', { names: ['agent.acme.example', 'admin.acme.example'] }, 'more than was asked'],
    ['a URI', { uris: ['spiffe://acme.example/admin'] }, 'more than was asked'],
    ['the power to sign others', { ca: true }, 'an authority'],
  ])('of a certificate authority is too wide with %s', async (_what, leaf, excess) => {
    standIn.quirks.leaf = leaf
    expect((await lent(opened('pki'))).excess).toContain(excess)
  })

  it('of a certificate authority without leases is too wide when it lives longer', async () => {
    standIn.pkiLease = false
    standIn.quirks.leaf = { until: Date.now() + 600_000 }
    expect((await lent(opened('pki'))).excess).toContain('longer than asked')
    expect((await lent(opened('pki', { surplus_ttl: '10m' }))).excess).toBeNull()
  })

  it('may be the token itself', async () => {
    const from = opened('token')
    const issued = await lent(from)
    expect(standIn.tokens.has(issued.secret.reveal())).toBe(true)
    await from.revoke?.(handle(issued), calm)
    expect(standIn.tokens.has(issued.secret.reveal())).toBe(false)
  })

  it('is told in none of Vault’s words when it is refused', async () => {
    const { refusal } = await failing(opened('pki', { secret: { pki: { role: 'agent', common_name: 'canary.evil.example' } } }))
    expect(refusal.detail).toBe('certificate: the role does not allow that name: the issuer answered 400')
    expect(inspect(refusal, { depth: 9, showHidden: true })).not.toContain('canary')
  })

  it('is nothing when a token could split a header, and the token is not told', async () => {
    standIn.quirks.login = { client_token: 's.canary\r\nX-Evil: 1' }
    const want = wanted({ scopes: ['orders-read'] })
    const refusal = await refusalOf(() => opened().issue(want, calm))
    expect(refusal?.code).toBe('credential.unavailable')
    expect(inspect(refusal, { depth: 9, showHidden: true })).not.toContain('canary')
  })

  it('of a database is put into a template once, whatever stands in the name', async () => {
    standIn.quirks.secret = { data: { username: '{password}', password: 'pass' } }
    const secret = { database: { role: 'reader', template: '{user}:{password}' } }
    expect((await lent(opened('database', { secret, apply: { header: 'X-Dsn' } }))).secret.reveal()).toBe('{password}:pass')
  })

  it('is nothing while Vault is sealed, and that is certain', async () => {
    const from = opened()
    await lent(from)
    standIn.sealed = true
    const { refusal } = await failing(from)
    expect(refusal.detail).toContain('it is sealed')
    expect(refusal.cause).toBeUndefined()
  })
})

describe('revocation', () => {
  it('takes secret and token, and may be repeated', async () => {
    const from = opened()
    const issued = await lent(from)
    await from.revoke?.(handle(issued), calm)
    expect(alive()).toEqual({ parents: 1, children: 0, leases: 0 })
    await from.revoke?.(handle(issued), calm)
  })

  it('waits for the secret to be gone, and only then ends the token', async () => {
    const from = opened()
    const issued = await lent(from)
    standIn.asked.length = 0
    await from.revoke?.(handle(issued), calm)
    expect(standIn.asked.map(({ path }) => path)).toEqual(['sys/leases/revoke', 'auth/token/revoke-self'])
    expect(standIn.asked[0]?.body['sync']).toBe(true)
  })

  it('is left to the token where policy does not let it revoke leases', async () => {
    const from = opened()
    const issued = await lent(from)
    standIn.quirks.powerless = ['sys/leases/revoke']
    await from.revoke?.(handle(issued), calm)
    expect(alive()).toMatchObject({ children: 0, leases: 0 })
  })

  it('is not done while a token that policy keeps from revoking itself lives, and done when it is dead', async () => {
    const from = opened('token')
    const issued = await lent(from)
    standIn.quirks.powerless = ['auth/token/revoke-self']
    const refusal = await refusalOf(() => from.revoke?.(handle(issued), calm))
    expect(refusal?.detail).toContain('must allow auth/token/revoke-self')
    for (const child of standIn.alive().children) standIn.kill(child)
    await from.revoke?.(handle(issued), calm)
  })

  it.each<Mishap>(['reset', 'error', 'error-after', 'lost', 'hang'])('that meets with %s is tried again', async (mishap) => {
    const from = opened()
    const issued = await lent(from)
    once('revoke', mishap)
    expect((await refusalOf(() => from.revoke?.(handle(issued), calm)))?.code).toBe('credential.unavailable')
    await from.revoke?.(handle(issued), calm)
    expect(alive()).toMatchObject({ children: 0, leases: 0 })
  })

  it('sends nothing to another address than the one that issued', async () => {
    const issued = await lent(opened())
    const elsewhere = provider(vaultSettings(standIn.url).database, providerServices({}, Date.now))
    standIn.asked.length = 0
    expect((await refusalOf(() => elsewhere.revoke?.(handle(issued), calm)))?.detail).toContain('another address')
    expect(standIn.asked).toEqual([])
  })

  it('by the next process ends secret, token and the login it hangs from', async () => {
    const issued = await lent(opened())
    await opened().revoke?.(handle(issued), calm)
    expect(alive()).toEqual({ parents: 0, children: 0, leases: 0 })
  })

  it('by the next process, of what was only prepared, ends whatever came of it', async () => {
    const { prepared } = await lent(opened())
    await opened().revoke?.(prepared, calm)
    expect(alive()).toEqual({ parents: 0, children: 0, leases: 0 })
  })
})

describe('an answer that nobody saw', () => {
  it.each<Mishap>(['lost', 'half', 'error-after', { late: 600 }])('of a token (%s) goes with its login', async (mishap) => {
    const from = opened()
    once('auth/token/create', mishap)
    const { refusal, prepared } = await failing(from)
    expect(refusal.cause).toBeInstanceOf(Unanswered)
    await from.revoke?.(prepared, calm)
    expect(alive()).toEqual({ parents: 0, children: 0, leases: 0 })
  })

  it('of a token waits for the other leases of its login, which gets no more of them', async () => {
    const from = opened()
    const other = await lent(from)
    once('auth/token/create', 'lost')
    const { prepared } = await failing(from)
    expect((await refusalOf(() => from.revoke?.(prepared, calm)))?.detail).toContain('other leases still need')
    const later = await lent(from)
    expect(alive()).toMatchObject({ parents: 2, children: 3 })
    await from.revoke?.(handle(other), calm)
    expect(alive()).toEqual({ parents: 1, children: 1, leases: 1 })
    await from.revoke?.(prepared, calm)
    expect(standIn.tokens.has(JSON.parse(handle(later).reveal()).token)).toBe(true)
  })

  it.each<Mishap>(['lost', 'half', 'error-after'])('of a secret (%s) goes with its token, at once', async (mishap) => {
    const from = opened()
    once('database/creds', mishap)
    const { refusal, prepared } = await failing(from)
    expect(refusal.cause).toBeUndefined()
    expect(alive()).toEqual({ parents: 1, children: 0, leases: 0 })
    await from.revoke?.(prepared, calm)
    expect(alive().parents).toBe(1)
  })

  it('of a secret whose token cannot be revoked at once is said not to be known, until the token is gone', async () => {
    const from = opened()
    proxy.plan = ({ path }) => (path.includes('creds') ? 'lost' : path.includes('revoke') ? 'error' : null)
    const { refusal, prepared } = await failing(from)
    expect(refusal.cause).toBeInstanceOf(Unanswered)
    expect((await refusalOf(() => from.revoke?.(prepared, calm)))?.code).toBe('credential.unavailable')
    proxy.plan = () => null
    await from.revoke?.(prepared, calm)
    expect(alive()).toEqual({ parents: 1, children: 0, leases: 0 })
  })

  it.each([
    ['no token', 'auth/token/create'],
    ['no secret', 'database/creds'],
  ])('with %s in it counts as one', async (_what, path) => {
    const from = opened()
    standIn.quirks.secret = { data: {} }
    if (path === 'auth/token/create') once(path, 'half')
    const { prepared } = await failing(from)
    await from.revoke?.(prepared, calm)
    expect(alive()).toMatchObject({ children: 0, leases: 0 })
  })
})

describe('renewal', () => {
  const renewing = { ttl: '1m', max_ttl: '3m' }

  it('is for databases that say how far it goes', () => {
    const offered = [opened(), opened('token', renewing), opened('database', renewing)].map((from) => 'renew' in from)
    expect(offered).toEqual([false, false, true])
  })

  it('lengthens token and secret, and believes what Vault says of their life', async () => {
    const from = opened('database', renewing)
    const issued = await lent(from)
    expect((await from.renew?.(handle(issued), 60_000, calm))?.expires).toBeGreaterThan(Date.now() + 58_000)
    standIn.leaseTtl = 5
    expect((await from.renew?.(handle(issued), 60_000, calm))?.expires).toBeLessThanOrEqual(Date.now() + 5000)
  })

  it('goes no further than the longest life, though a token role forgets it', async () => {
    const clock = new TestClock(Date.now())
    const from = opened('database', renewing, clock.now)
    const issued = await lent(from)
    clock.move(150_000)
    expect((await from.renew?.(handle(issued), 60_000, calm))?.expires).toBeLessThanOrEqual(clock.now() + 30_000)
    clock.move(30_000)
    expect((await refusalOf(() => from.renew?.(handle(issued), 60_000, calm)))?.detail).toContain('longest life')
  })

  it('that went half way is said not to be known', async () => {
    const from = opened('database', renewing)
    const issued = await lent(from)
    once('leases/renew', 'error')
    expect((await refusalOf(() => from.renew?.(handle(issued), 60_000, calm)))?.cause).toBeInstanceOf(Unanswered)
  })

  it('of what was revoked fails', async () => {
    const from = opened('database', renewing)
    const issued = await lent(from)
    await from.revoke?.(handle(issued), calm)
    expect((await refusalOf(() => from.renew?.(handle(issued), 60_000, calm)))?.code).toBe('credential.unavailable')
  })
})
