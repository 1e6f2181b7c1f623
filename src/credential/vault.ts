import { Refusal } from '../refusal.ts'
import { Secret } from '../secret.ts'
import { failed } from './ask-issuer.ts'
import type { CredentialProvider, Issued, Placement, Wanted } from './credential.ts'
import { placementOf } from './placement.ts'
import { defineProvider, Unanswered, type ProviderServices } from './provider.ts'
import { canonicalScopes } from './scopes.ts'
import { objectOf, refused, VaultApi } from './vault-api.ts'
import { VaultConfig } from './vault-config.ts'
import { handleOf, sealable, type VaultHandle } from './vault-handle.ts'
import { policiesOf, tokenExcess } from './vault-judge.ts'
import { revokeSelf, seconds, VaultLogins, type Child, type Parent } from './vault-login.ts'
import { readSecret, type Read } from './vault-secret.ts'

/**
 * Secrets of HashiCorp Vault and OpenBao. Countersign logs in with its own identity; each lease gets one child token, with the policies that its
 * decision left, and what that token got is revoked with it. A child that nobody saw goes with the login it hangs from.
 */
export const vault = defineProvider({
  type: 'vault',
  config: VaultConfig,
  open,
  standing: ({ secret }) =>
    'kv' in secret
      ? [
          {
            at: ['secret', 'kv'],
            what: 'a secret of kv, lent as it is to every task',
            instead: 'Lend a dynamic secret of the same Vault (database, pki), or have the upstream take tokens of oauth or jwt.',
          },
        ]
      : [],
})

function open(config: VaultConfig, services: ProviderServices): CredentialProvider {
  const { secret, ttl, max_ttl: longest } = config
  const placement = placementFor(config)
  const lender = new Vault(config, services)
  return {
    type: 'vault',
    placement,
    standing: 'kv' in secret,
    offer: { scopes: canonicalScopes(config.policies), audiences: [], ttl, subject: false },
    floor: 1000,
    prepare: (_wanted, signal) => lender.prepare(signal),
    issue: (wanted, signal, prepared) => lender.issue(wanted, signal, prepared ?? null),
    revoke: (handle, signal) => lender.revoke(handleOf(handle), signal),
    close: () => lender.logins.close(),
    ...('database' in secret && longest !== undefined && longest > ttl
      ? { renew: (handle: Secret, more: number, signal: AbortSignal) => lender.renew(handleOf(handle), more, signal) }
      : {}),
  }
}

/** Where it goes by default is where its kind belongs. Throws when it cannot go where the settings say. */
function placementFor({ secret, apply }: VaultConfig): Placement {
  if (apply === undefined) {
    if ('pki' in secret) return { in: 'tls' }
    if ('token' in secret) return { in: 'header', name: 'x-vault-token', prefix: '' }
    if ('kv' in secret) return { in: 'header', name: 'authorization', prefix: 'Bearer ' }
    if (secret.database.template !== undefined) throw new Error('say by `apply` where the text of `template` goes')
    return { in: 'basic', user: null }
  }
  const placement = placementOf(apply)
  if ((placement.in === 'tls') !== 'pki' in secret) throw new Error('`apply: tls` is for `pki`, and `pki` for nothing else')
  if (placement.in === 'basic' && placement.user === null && !('database' in secret))
    throw new Error('only `database` brings a user: name one')
  return placement
}

/** One Vault as a lender of one secret. */
class Vault {
  readonly logins: VaultLogins
  readonly #config: VaultConfig
  readonly #services: ProviderServices
  readonly #api: VaultApi
  /** Where handles are good: nowhere else are they ever sent. */
  readonly #at: string

  constructor(config: VaultConfig, services: ProviderServices) {
    this.#config = config
    this.#services = services
    this.#api = new VaultApi(config, services)
    this.#at = `${config.address} ${config.namespace ?? ''}`
    this.logins = new VaultLogins(config, services, this.#api)
  }

  /** The login, which takes along a child that nobody saw. */
  async prepare(signal: AbortSignal): Promise<Secret> {
    const { token } = await this.logins.usable(signal)
    return sealable({ kind: 'parent', at: this.#at, token })
  }

  async issue(wanted: Wanted, signal: AbortSignal, prepared: Secret | null): Promise<Issued> {
    signal.throwIfAborted()
    // asked for none, Vault gives all that the login has
    if (wanted.scopes.length === 0)
      throw new Refusal('credential.unavailable', { detail: 'no policy is asked for, and Vault would choose' })
    const parent = prepared === null ? await this.logins.usable(signal) : this.logins.of(handleOf(prepared).token)
    if (parent === null) throw new Refusal('credential.unavailable', { detail: 'the login is gone', retry: 'later' })
    // no longer than the login is certain to live: a child must not end before its lease, nor after
    const ttl = seconds(Math.min(wanted.ttl, parent.expires - this.#services.clock()))
    const child = await this.#make(parent, wanted, ttl, signal)
    try {
      return await this.#fill(parent, child, wanted, ttl, signal)
    } catch (error) {
      throw await this.#undone(parent, child, error)
    }
  }

  /** Makes the token of a lease. */
  async #make(parent: Parent, wanted: Wanted, ttl: number, signal: AbortSignal): Promise<Child> {
    const { token_role: role } = this.#config
    const path = role === undefined ? 'auth/token/create' : `auth/token/create/${role}`
    const what = 'token of the task'
    parent.making++
    try {
      const answer = await this.#api.ask({ method: 'POST', path, token: parent.token, body: this.#request(wanted, ttl), what }, signal)
      if (answer.dead) this.logins.forget(parent)
      if (!answer.ok) throw refused(what, answer)
      const { client_token: token } = objectOf(answer.json['auth'])
      if (typeof token !== 'string' || token === '') throw failed(`${what}: the answer holds none`, answer.status, '', false)
      return this.logins.adopt(parent, new Secret(token), this.#services.clock() + ttl * 1000)
    } catch (error) {
      if (error instanceof Error && error.cause instanceof Unanswered) {
        parent.lost = true
        this.logins.retire(parent)
      }
      throw error
    } finally {
      parent.making--
    }
  }

  #request({ task, caller, lease, scopes, ttl: wanted }: Wanted, ttl: number): Readonly<Record<string, unknown>> {
    const { base_policies: base, max_ttl: longest = 0 } = this.#config
    const renewable = this.#renewable()
    return {
      policies: canonicalScopes([...scopes, ...base]),
      no_default_policy: true,
      type: 'service',
      ttl: `${ttl}s`,
      explicit_max_ttl: `${renewable ? seconds(Math.max(longest, wanted)) : ttl}s`,
      renewable,
      display_name: 'countersign',
      meta: { task, caller, lease },
    }
  }

  #renewable(): boolean {
    const { secret, max_ttl: longest = 0, ttl } = this.#config
    return 'database' in secret && longest > ttl
  }

  /** Judges the token, and reads the secret with it. */
  async #fill(parent: Parent, child: Child, wanted: Wanted, ttl: number, signal: AbortSignal): Promise<Issued> {
    const { surplus, base_policies: base, surplus_ttl: surplusTtl = 0, secret, max_ttl: longest = 0 } = this.#config
    const { clock } = this.#services
    const facts = objectOf(await this.#lookup(child, signal))
    const granted = policiesOf(facts) ?? []
    const scopes = canonicalScopes(wanted.scopes.filter((name) => granted.includes(name)))
    const until = clock() + Math.max(longest, wanted.ttl)
    const handle: VaultHandle = { kind: 'child', at: this.#at, token: child.token, lease: null, parent: parent.token, until }
    const asked = { policies: [...wanted.scopes, ...base], surplus, ttl, renewable: this.#renewable() }
    const excess = tokenExcess(asked, facts)
    child.expires = endOf(facts['ttl'], ttl, child.expires, clock())
    // nothing is read with a token that is wider than it may be
    if (excess !== null)
      return { secret: child.token, expires: child.expires, scopes, handle: sealable(handle), revocation: 'issuer', excess }
    const end = clock() + wanted.ttl
    const reading = { token: child.token, ttl, end: end + ('pki' in secret ? surplusTtl : 0), clock }
    const read = await readSecret(this.#api, secret, reading, signal)
    const issued = { ...read, scopes, expires: Math.min(read.expires, child.expires) }
    if (read.revocation === 'issuer') return bare(issued, sealable({ ...handle, lease: read.lease }))
    // the token has done its work: what it read goes its own way
    await this.#revokeChild({ ...handle, lease: null }, signal)
    this.logins.lose(parent, child.token)
    return bare({ ...issued, expires: read.expires }, null)
  }

  /** What the token says of itself. That it may is needed later: it is how a dead token is told from one that lacks a policy. */
  async #lookup({ token }: Child, signal: AbortSignal): Promise<unknown> {
    const what = 'token of the task, looked up by itself'
    const json = await this.#api.need({ method: 'GET', path: 'auth/token/lookup-self', token, what }, signal)
    const { data } = json
    if (objectOf(data)['num_uses'] !== 0)
      throw failed(`${what}: its uses are limited; leave token_num_uses out of the token role`, 200, '', true)
    return data
  }

  /** Takes the token of a lease that came to nothing back at once; gives the refusal to throw. */
  async #undone(parent: Parent, child: Child, error: unknown): Promise<Refusal> {
    const refusal =
      error instanceof Refusal ? error : new Refusal('credential.unavailable', { detail: 'the provider failed', retry: 'later' })
    const { code, detail, retry } = refusal
    try {
      await revokeSelf(this.#api, child.token, 'revocation', AbortSignal.timeout(this.#config.timeout))
      this.logins.lose(parent, child.token)
      return new Refusal(code, { retry, ...(detail === null ? {} : { detail }) })
    } catch {
      child.doomed = true
      return new Refusal(code, { retry, ...(detail === null ? {} : { detail }), cause: new Unanswered() })
    }
  }

  async revoke(handle: VaultHandle, signal: AbortSignal): Promise<void> {
    if (handle.at !== this.#at) throw failed('revocation: it was issued at another address', null, '', true)
    const parent = this.logins.of(handle.kind === 'parent' ? handle.token : handle.parent)
    if (handle.kind === 'child') {
      await this.#revokeChild(handle, signal)
      // a login of an earlier process has nobody else to end it
      if (parent === null) return revokeSelf(this.#api, handle.parent, 'revocation of the login', signal)
      this.logins.lose(parent, handle.token)
      return this.logins.tidy(signal)
    }
    if (parent === null) return revokeSelf(this.#api, handle.token, 'revocation of the login', signal)
    await this.#revokeUnseen(parent, signal)
  }

  /** What hangs from a login and nobody can use: known tokens one by one, and one that nobody saw by the login itself. */
  async #revokeUnseen(parent: Parent, signal: AbortSignal): Promise<void> {
    for (const { token, doomed } of this.logins.living(parent)) {
      if (!doomed) continue
      await revokeSelf(this.#api, token, 'revocation', signal)
      this.logins.lose(parent, token)
    }
    if (!parent.lost) return
    if (this.logins.busy(parent))
      throw failed('revocation: a token that nobody saw goes with its login, which other leases still need', null, '', true)
    await this.logins.revoke(parent, signal)
  }

  /** First the dynamic secret, waited for; then the token. A token that may not revoke leases takes its own along, a moment later. */
  async #revokeChild({ token, lease }: Extract<VaultHandle, { kind: 'child' }>, signal: AbortSignal): Promise<void> {
    const what = 'revocation'
    if (lease !== null) {
      const body = { lease_id: lease, sync: true }
      const answer = await this.#api.ask({ method: 'PUT', path: 'sys/leases/revoke', token, body, what }, signal)
      if (!answer.ok && answer.status !== 403) throw refused(`${what} of the dynamic secret`, answer)
    }
    await revokeSelf(this.#api, token, what, signal)
  }

  /** Lets token and dynamic secret live on; what Vault says of their life counts, not what was asked. */
  async renew(handle: VaultHandle, ttl: number, signal: AbortSignal): Promise<{ readonly expires: number }> {
    const { clock } = this.#services
    const now = clock()
    if (handle.kind !== 'child' || handle.lease === null || handle.at !== this.#at)
      throw failed('renewal: there is nothing to renew', null, '', true)
    const parent = this.logins.of(handle.parent)
    if (parent === null) throw failed('renewal: its login is gone', null, '', true)
    await this.logins.prolong(parent, signal)
    const more = Math.min(ttl, handle.until - now, parent.expires - now)
    if (more < 1000) throw failed('renewal: it has had its longest life', null, '', true)
    const increment = `${seconds(more)}s`
    const { token, lease } = handle
    this.logins.adopt(parent, token, now + more)
    const self = { method: 'POST', path: 'auth/token/renew-self', token, body: { increment }, what: 'renewal of the token' } as const
    const life = lifeOf(objectOf((await this.#api.need(self, signal))['auth']))
    const body = { lease_id: lease, increment: seconds(more) }
    const secret = { method: 'PUT', path: 'sys/leases/renew', token, body, what: 'renewal of the dynamic secret' } as const
    // by now the token lives longer, so that before its secret says until when nobody knows
    const leased = lifeOf(await this.#api.need(secret, signal).catch((error: unknown) => unsure(error)))
    return { expires: now + Math.min(life, leased) }
  }
}

/** Epoch ms by which a token has ended: it says how long it lives in whole seconds, rounded down, and one that was not given more than asked ends by then. */
function endOf(said: unknown, asked: number, by: number, now: number): number {
  if (typeof said !== 'number') return by
  const end = now + (said + 1) * 1000
  return said > asked ? end : Math.min(by, end)
}

function unsure(error: unknown): never {
  const detail = (error instanceof Refusal ? error.detail : null) ?? 'renewal: it failed'
  throw new Refusal('credential.unavailable', { detail, retry: 'later', cause: new Unanswered() })
}

function lifeOf({ lease_duration: life }: Readonly<Record<string, unknown>>): number {
  if (typeof life !== 'number' || !(life > 0)) throw failed('renewal: its life is not told', null, '', false)
  return life * 1000
}

function bare({ lease: _lease, ...issued }: Omit<Issued, 'handle'> & Pick<Read, 'lease'>, handle: Secret | null): Issued {
  return { ...issued, handle }
}
