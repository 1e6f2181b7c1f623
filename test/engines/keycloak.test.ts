import { createPrivateKey, createPublicKey } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { calculateJwkThumbprint, decodeJwt } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CredentialProvider, Issued } from '../../src/credential/credential.ts'
import { Secret } from '../../src/secret.ts'
import { CredentialRig } from '../support/credential-rig.ts'
import { refusalOf } from '../support/identity-rig.ts'
import { IssuerServer } from '../support/issuer-server.ts'
import { Keycloak, type Realm } from '../support/keycloak.ts'
import { calm, provider, providerServices, wanted } from '../support/provider-rig.ts'
import { ask, audience as ownAudience, freeAgent, routeTo, Running, TestUpstream } from '../support/running.ts'
import { findEngine } from '../support/spiffe-peer.ts'
import { agentId, ownId, WorkloadCompany } from '../support/workload-company.ts'

/** A real Keycloak, where it is installed: `npm run engines -- keycloak`. */
const absent = findEngine('keycloak') === null
const title = absent ? 'Keycloak (left out: it is neither in .engines/bin nor on the PATH)' : 'Keycloak'
if (absent) console.log('test/engines/keycloak.test.ts is left out: there is no keycloak')

const greedy = 'spiffe://acme.example/greedy'
const plain = 'spiffe://acme.example/plain'
const bound = 'spiffe://acme.example/bound'

describe.skipIf(absent)(title, () => {
  let company: WorkloadCompany
  let bundle: IssuerServer
  let keycloak: Keycloak
  let realm: Realm
  /** Forms that Keycloak was sent, with the header that authenticates clients of a secret. */
  let sent: { readonly form: URLSearchParams; readonly authorization: string | null }[]

  beforeAll(async () => {
    company = await WorkloadCompany.found({ ids: [ownId] })
    bundle = await new IssuerServer(() => ({ status: 200, text: company.acme.bundle })).listen()
    keycloak = await Keycloak.start()
    realm = await keycloak.realm('acme', {
      trustDomain: 'acme.example',
      bundle: `${bundle.url}/bundle`,
      resources: { orders: ['orders.read', 'orders.write'], billing: ['billing.read'] },
      clients: [
        { id: 'countersign', spiffeId: ownId },
        { id: 'greedy', spiffeId: greedy, defaults: ['profile', 'email'] },
        { id: 'plain', spiffeId: plain, roles: true },
        { id: 'bound', spiffeId: bound, bound: true },
      ],
      people: ['person-1'],
    })
  }, 300_000)

  afterAll(async () => {
    await keycloak[Symbol.asyncDispose]()
    await bundle[Symbol.asyncDispose]()
    await company[Symbol.asyncDispose]()
  })

  /** A provider of ours as the workload of this ID; `svid` in place of its JWT-SVID. */
  function opened(changes: object = {}, { id = ownId, svid = null as Promise<string> | null } = {}): CredentialProvider {
    sent = []
    const services = providerServices({}, Date.now, {
      svid: async (audience) => new Secret(await (svid ?? company.acme.mint(id, audience, 60))),
      fetch: (url, init) => {
        const authorization = new Headers(init.headers).get('authorization')
        if (init.body instanceof URLSearchParams) sent.push({ form: init.body, authorization })
        return fetch(url, init)
      },
    })
    const client = { authenticate: 'jwt-svid' }
    return provider({ type: 'oauth', issuer: realm.issuer, client, scope: ['orders.read', 'orders.write'], ...changes }, services)
  }

  /** Reads orders unless told otherwise, for the first audience of the provider. */
  function issue(from: CredentialProvider, changes: Parameters<typeof wanted>[0] = {}): Promise<Issued> {
    return from.issue(wanted({ scopes: ['orders.read'], audience: from.offer.audiences[0] ?? null, ...changes }), calm)
  }

  async function subject(token?: string): Promise<Parameters<typeof wanted>[0]> {
    return { subject: { subject: 'person-1', issuer: realm.issuer, token: new Secret(token ?? (await realm.signIn('person-1'))) } }
  }

  function revoke(from: CredentialProvider, { handle }: Pick<Issued, 'handle'>): Promise<void> {
    if (handle === null || from.revoke === undefined) throw new Error('nothing to revoke it by')
    return from.revoke(handle, calm)
  }

  const exchange = { grant: 'token-exchange', audience: 'orders' }

  describe('client credentials', () => {
    it('come by a JWT-SVID (jwt-spiffe), and no secret stands or is sent', async () => {
      const from = opened()
      const issued = await issue(from)
      expect(issued).toMatchObject({ excess: null, revocation: 'issuer', scopes: ['orders.read'] })
      expect(from.standing).toBe(false)
      const { form = new URLSearchParams(), authorization } = sent[0] ?? {}
      expect([...form.keys()].toSorted()).toEqual(['client_assertion', 'client_assertion_type', 'grant_type', 'scope'])
      expect(form.get('client_assertion_type')).toBe('urn:ietf:params:oauth:client-assertion-type:jwt-spiffe')
      expect(authorization).toBeNull()
      const facts = await realm.introspect(issued.secret.reveal(), 'orders')
      expect(facts).toMatchObject({ active: true, client_id: 'countersign', aud: 'orders', scope: 'orders.read' })
    })

    it('are narrowed by the scope of the decision, and a scope that the client has not is refused', async () => {
      const from = opened({ scope: ['orders.read', 'orders.write', 'admin'] })
      expect(await issue(from, { scopes: ['orders.read', 'orders.write'] })).toMatchObject({ excess: null })
      expect((await issue(from)).scopes).toEqual(['orders.read'])
      const refusal = await refusalOf(() => issue(from, { scopes: ['orders.read', 'admin'] }))
      expect([refusal?.detail, refusal?.cause]).toEqual(['token request: the issuer answered 400 invalid_scope', undefined])
    })

    it('with default scopes of the realm are too wide, unless those are named as harmless', async () => {
      expect((await issue(opened({}, { id: greedy }))).excess).toBe('its scope is wider than asked')
      expect((await issue(opened({ surplus: ['profile'] }, { id: greedy }))).excess).toBe('its scope is wider than asked')
      expect((await issue(opened({ surplus: ['profile', 'email'] }, { id: greedy }))).excess).toBeNull()
    })

    it('with the roles that everybody has at Keycloak are too wide: with them a token manages the account of its subject', async () => {
      const issued = await issue(opened({}, { id: plain }))
      expect(issued).toMatchObject({ excess: 'it carries roles that nobody asked for', scopes: ['orders.read'] })
      expect(decodeJwt(issued.secret.reveal())).toMatchObject({ aud: ['orders', 'account'], scope: 'orders.read' })
      expect((await issue(opened({ surplus_roles: 'any' }, { id: plain }))).excess).toBeNull()
    })

    it('for an audience or a resource that Keycloak ignores are too wide: it follows from the scope', async () => {
      expect((await issue(opened({ audience: 'orders' }))).excess).toBeNull()
      expect((await issue(opened({ audience: 'billing' }))).excess).toBe('its audience is not the one asked for')
      expect((await issue(opened({ resource: ['https://orders.acme.example'] }))).excess).toBe('its audience is not the one asked for')
    })

    it('that are too wide are refused and taken back before the call hears of it', async () => {
      const seen: string[] = []
      const from = opened({}, { id: greedy })
      const kept: CredentialProvider = {
        ...from,
        issue: (...args) => from.issue(...args).then((issued) => (seen.push(issued.secret.reveal()), issued)),
      }
      const rig = new CredentialRig({ providers: new Map([['crm', kept]]), clock: Date.now })
      const task = { expires: Date.now() + 600_000, limit: Date.now() + 600_000 }
      expect((await refusalOf(() => rig.lease({ task })))?.code).toBe('credential.too-wide')
      expect(rig.kinds()).toEqual(['lease.issued', 'lease.revoked'])
      expect(await realm.introspect(seen[0] ?? '', 'orders')).toEqual({ active: false })
    })
  })

  describe('an assertion', () => {
    it.each([
      ['for the token endpoint', (issuer: string) => company.acme.mint(ownId, `${issuer}/protocol/openid-connect/token`, 60), 400],
      ['for another issuer', () => company.acme.mint(ownId, 'https://login.acme.example', 60), 400],
      ['that has expired', (issuer: string) => company.acme.mint(ownId, issuer, -60), 400],
      ['of the agent', (issuer: string) => company.acme.mint(agentId, issuer, 60), 401],
      ['signed by another trust domain', (issuer: string) => company.partner.mint(ownId, issuer, 60), 401],
    ])('%s is refused, and nothing is issued', async (_which, mint, status) => {
      const refusal = await refusalOf(() => issue(opened({}, { svid: mint(realm.issuer) })))
      expect([refusal?.detail, refusal?.cause]).toEqual([`token request: the issuer answered ${status} invalid_client`, undefined])
    })

    it('of RFC 7523 is not what Keycloak takes from a workload', async () => {
      const refusal = await refusalOf(() => issue(opened({ client: { authenticate: 'jwt-svid', assertion: 'jwt-bearer' } })))
      expect(refusal?.detail).toBe('token request: the issuer answered 401 invalid_client')
    })
  })

  describe('token exchange', () => {
    it('gives a token for the person and the audience asked for', async () => {
      const person = await realm.signIn('person-1')
      const issued = await issue(opened(exchange), await subject(person))
      expect(issued).toMatchObject({ excess: null, revocation: 'issuer', scopes: ['orders.read'] })
      const facts = await realm.introspect(issued.secret.reveal(), 'orders')
      expect(facts).toMatchObject({ active: true, sub: decodeJwt(person).sub, aud: 'orders', client_id: 'countersign' })
      // Keycloak takes no notice of the actor
      expect(sent.at(-1)?.form.get('actor_token')).not.toBeNull()
      expect(facts).not.toHaveProperty('act')
    })

    it.each([
      ['unknown', 'nobody', 'invalid_client'],
      ['that no scope asked for is for', 'billing', 'invalid_request'],
    ])('for an audience %s is refused, and nothing is issued', async (_which, audience, error) => {
      const refusal = await refusalOf(async () => issue(opened({ ...exchange, audience }), await subject()))
      expect(refusal?.detail).toBe(`token request: the issuer answered 400 ${error}`)
      expect(refusal?.cause).toBeUndefined()
    })

    it('of a token that was taken back, was lent to another client or is none is refused', async () => {
      const person = await realm.signIn('person-1')
      const lent = (await issue(opened(exchange, { id: plain }), await subject(person))).secret.reveal()
      await realm.signOut(person)
      for (const token of [person, lent, 'a-canary']) {
        const refusal = await refusalOf(async () => issue(opened(exchange), await subject(token)))
        expect(refusal?.detail).toMatch(/answered (400 invalid_request|403 access_denied)$/)
      }
    })

    it('leaves the roles of the person in the token, which is too wide unless they are named as harmless', async () => {
      const roles = ['default-roles-acme', 'offline_access', 'uma_authorization']
      const person = await subject()
      expect((await issue(opened(exchange, { id: plain }), person)).excess).toBe('it carries roles that nobody asked for')
      expect((await issue(opened({ ...exchange, surplus_roles: roles }, { id: plain }), person)).excess).toBeNull()
    })

    it('finds default scopes of the realm too wide as well', async () => {
      expect((await issue(opened(exchange, { id: greedy }), await subject())).excess).toBe('its scope is wider than asked')
    })
  })

  describe('revocation', () => {
    it.each([
      ['client credentials', {}],
      ['an exchange', exchange],
    ])('of a token by %s makes it inactive at introspection at once, and may be repeated', async (_which, grant) => {
      const from = opened(grant)
      const issued = await issue(from, await subject())
      expect(await realm.introspect(issued.secret.reveal(), 'orders')).toMatchObject({ active: true })
      await revoke(from, issued)
      expect(await realm.introspect(issued.secret.reveal(), 'orders')).toEqual({ active: false })
      await revoke(from, issued)
    })

    it('of one token leaves that of the person and all others alone', async () => {
      const person = await subject()
      const from = opened(exchange)
      const [one, other] = [await issue(from, person), await issue(from, person)]
      await revoke(from, one)
      expect(await realm.introspect(other.secret.reveal(), 'orders')).toMatchObject({ active: true })
      expect((await issue(from, person)).excess).toBeNull()
    })

    it('of a token that another client got, or that is none, is never taken for done', async () => {
      const other = await issue(opened({ surplus: ['profile', 'email'] }, { id: greedy }))
      expect((await refusalOf(() => revoke(opened(), other)))?.detail).toBe('revocation: the issuer answered 400 invalid_request')
      const none = await refusalOf(() => revoke(opened(), { handle: new Secret('["a-canary"]') }))
      expect(none?.detail).toBe('revocation: the issuer answered 200 invalid_token')
    })
  })

  describe('a DPoP-bound token (RFC 9449)', () => {
    it.each([
      ['client credentials', {}],
      ['an exchange', exchange],
    ])('by %s is bound to the key of its lease, and revoked like any other', async (_which, grant) => {
      const from = opened({ ...grant, dpop: true })
      const issued = await issue(from, await subject())
      expect(issued.excess).toBeNull()
      const key = createPublicKey(createPrivateKey(issued.parts?.['dpop_key']?.reveal() ?? '')).export({ format: 'jwk' })
      const facts = await realm.introspect(issued.secret.reveal(), 'orders')
      expect(facts).toMatchObject({ active: true, token_type: 'DPoP', cnf: { jkt: await calculateJwkThumbprint(key) } })
      await revoke(from, issued)
      expect(await realm.introspect(issued.secret.reveal(), 'orders')).toEqual({ active: false })
    })

    it('is all that a client gets which Keycloak wants proofs of', async () => {
      expect((await issue(opened({ dpop: true }, { id: bound }))).excess).toBeNull()
      const refusal = await refusalOf(() => issue(opened({}, { id: bound })))
      expect(refusal?.detail).toMatch(/answered 400 invalid_request$/)
    })
  })

  describe('behind the whole sidecar', () => {
    it('a person’s token is exchanged for the call, the agent sees neither, and the end of the task ends it at Keycloak', async () => {
      const tokens: string[] = []
      await using upstream = await TestUpstream.start((request, response) => {
        tokens.push(/^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '')
        response.writeHead(200, { 'content-type': 'application/json' }).end('{"order":1042}')
      })
      const keys = join(company.folder, 'people.json')
      writeFileSync(keys, await realm.keys())
      const agent = freeAgent({ id: agentId, implicit: false })
      await using running = await Running.start({
        agents: [agent],
        routes: { orders: routeTo(upstream.url, 'orders', { credential: 'orders' }) },
        providers: {
          orders: { type: 'oauth', issuer: realm.issuer, client: { authenticate: 'jwt-svid' }, scope: ['orders.read'], ...exchange },
        },
        settings: {
          identify: { audience: ownAudience, sources: [{ type: 'spiffe', socket: company.socket }] },
          task: { subjects: [{ issuer: realm.issuer, audience: 'countersign', keys: { file: keys } }] },
        },
      })
      await running.sidecar.trust().settled(5000)
      const person = await realm.signIn('person-1')
      const authorization = `Bearer ${await company.acme.mint(agentId, ownAudience, 300)}`
      const post = (path: string, body: object) =>
        ask(running.port(), `/.countersign/v1/tasks${path}`, { method: 'POST', headers: { authorization }, body: JSON.stringify(body) })
      const task = await post('', { purpose: 'look up order 1042', on_behalf_of: person })
      expect(task.status, task.text).toBe(201)
      const id = String(task.json['id'])
      const answer = await ask(running.port(), `/t/${id}/orders/1042`, { headers: { authorization } })
      expect(answer.status, answer.text).toBe(200)
      const [token = ''] = tokens
      expect(await realm.introspect(token, 'orders')).toMatchObject({ active: true, sub: decodeJwt(person).sub, scope: 'orders.read' })
      expect((await post(`/${id}/complete`, {})).status).toBe(200)
      expect(await realm.introspect(token, 'orders')).toEqual({ active: false })
      const lines = running.entries().filter(({ kind }) => kind === 'decision' || kind === 'outcome')
      const human = { subject: decodeJwt(person).sub, issuer: realm.issuer }
      expect(lines.map((line) => line['human'])).toEqual([human, human])
      for (const text of [running.ledgerText(), running.logged.join('\n'), task.text, answer.text])
        for (const secret of [token, person]) expect(text).not.toContain(secret)
    })
  })
})
