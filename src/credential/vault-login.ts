/** The tokens that Countersign logs in to Vault with, and the tokens of tasks that hang from them. */
import { randomUUID } from 'node:crypto'
import { Refusal } from '../refusal.ts'
import { Secret } from '../secret.ts'
import { failed } from './ask-issuer.ts'
import { digestOf } from './digest.ts'
import { ownIdentity } from './own-identity.ts'
import type { ProviderServices } from './provider.ts'
import { unlessAborted } from './unless-aborted.ts'
import { objectOf, type VaultApi } from './vault-api.ts'
import type { VaultConfig } from './vault-config.ts'

/** A token that a login gave. */
export interface Parent {
  readonly token: Secret
  /** Epoch ms, as far as Vault said. */
  expires: number
  /** The longest life it ever had before it, ms: what the login role allows. */
  span: number
  /** Epoch ms of its latest answer. */
  seen: number
  /** Tokens that were made from it and may live, by their digest. Written by `adopt` and `lose`. */
  readonly children: Map<string, Child>
  /** True when its latest renewal was not answered. */
  unsure: boolean
  /** Tokens that are being made from it. */
  making: number
  /** True when a token may have been made from it that nobody saw. */
  lost: boolean
}

/** The token of one lease. */
export interface Child {
  readonly token: Secret
  /** Epoch ms. */
  expires: number
  /** True when it is of no use to anybody and could not be revoked yet. */
  doomed: boolean
}

/** A login outlives what hangs from it by this, ms. */
const margin = 10_000
/** A login that said nothing for so long is asked whether it lives before it is used, ms. */
const trusted = 30_000
/** Longest wait for the end of all logins, ms. */
const closeTime = 5000

/** The logins of one provider: one is in use, and those before it that still have children. */
export class VaultLogins {
  readonly #config: Pick<VaultConfig, 'auth' | 'ttl' | 'timeout'>
  readonly #services: ProviderServices
  readonly #api: VaultApi
  /** Every login that may live. Written by `#fly`, `forget` and `revoke`. */
  readonly #parents = new Set<Parent>()
  #current: Parent | null = null
  /** The one login or renewal under way. */
  #flight: Promise<Parent> | null = null

  constructor(config: Pick<VaultConfig, 'auth' | 'ttl' | 'timeout'>, services: ProviderServices, api: VaultApi) {
    this.#config = config
    this.#services = services
    this.#api = api
  }

  /** A login that outlives a lease, renewed or made anew when need be. Rejects with `credential.unavailable`, or the signal's reason. */
  async usable(signal: AbortSignal): Promise<Parent> {
    signal.throwIfAborted()
    const current = this.#current
    if (current !== null && !current.unsure && this.#reaches(current) && this.#services.clock() < current.seen + trusted) return current
    // several leases wait for it: none of them can stop it for the others
    this.#flight ??= this.#fly()
    return unlessAborted(this.#flight, signal)
  }

  /** The login of this process with that token; null: it is another process's, or gone. */
  of(token: Secret): Parent | null {
    return [...this.#parents].find((parent) => parent.token.reveal() === token.reveal()) ?? null
  }

  /** Nothing is made from it any more. It is revoked when its last child is gone. */
  retire(parent: Parent): void {
    if (this.#current === parent) this.#current = null
  }

  /** It is no token any more, says Vault. */
  forget(parent: Parent): void {
    this.retire(parent)
    this.#parents.delete(parent)
  }

  /** Counts a token as made from a login. */
  adopt(parent: Parent, token: Secret, expires: number): Child {
    const child = { token, expires, doomed: false }
    parent.children.set(digestOf(token), child)
    parent.seen = this.#services.clock()
    return child
  }

  /** Counts a token as gone. */
  lose(parent: Parent, token: Secret): void {
    parent.children.delete(digestOf(token))
  }

  /** Children that may live. */
  living(parent: Parent): readonly Child[] {
    const now = this.#services.clock()
    for (const [key, child] of parent.children) if (child.expires + margin < now) parent.children.delete(key)
    return [...parent.children.values()]
  }

  /** True while tokens hang from it, or may soon. */
  busy(parent: Parent): boolean {
    return parent.making > 0 || this.living(parent).length > 0
  }

  /** Revokes logins that are out of use and have no child left; those that could not be revoked are tried again the next time. Never rejects. */
  async tidy(signal: AbortSignal): Promise<void> {
    const idle = [...this.#parents].filter((parent) => parent !== this.#current && !this.busy(parent))
    await Promise.allSettled(idle.map((parent) => this.revoke(parent, signal)))
  }

  /** Revokes a login with all that hangs from it. Rejects when Vault did not confirm. */
  async revoke(parent: Parent, signal: AbortSignal): Promise<void> {
    this.retire(parent)
    // also past its end as far as we know: a renewal may have come off that nobody saw
    await revokeSelf(this.#api, parent.token, 'revocation of the login', signal)
    this.#parents.delete(parent)
  }

  /** Revokes every login. Never rejects: what Vault does not confirm ends by its expiry. */
  async close(): Promise<void> {
    const signal = AbortSignal.timeout(Math.min(this.#config.timeout, closeTime))
    if (this.#flight !== null) await unlessAborted(this.#flight, signal).catch(() => undefined)
    await Promise.allSettled([...this.#parents].map((parent) => this.revoke(parent, signal)))
  }

  /** Lets a login live long enough for a lease from now on; does nothing when it does already or cannot. Never rejects. */
  async prolong(parent: Parent, signal: AbortSignal): Promise<void> {
    const left = parent.expires - this.#services.clock()
    if (left >= this.#config.ttl + margin) return
    // how long it lives is asked again before it is used the next time
    parent.unsure = (await this.#renew(parent, signal).catch(() => null)) === null
  }

  /** Long enough for a lease, or at least for half of what its role allows: a role that allows little is no reason to log in for each lease. */
  #reaches({ expires, span }: Parent): boolean {
    return expires - this.#services.clock() >= Math.min(this.#config.ttl + margin, span / 2)
  }

  async #fly(): Promise<Parent> {
    try {
      const signal = AbortSignal.timeout(3 * this.#config.timeout)
      const before = this.#current
      if (before !== null && (await this.#renew(before, signal).catch(() => false)) && this.#reaches(before)) return before
      if (before !== null) this.retire(before)
      const parent = await this.#login(signal)
      await this.prolong(parent, signal)
      this.#parents.add(parent)
      this.#current = parent
      void this.tidy(signal)
      return parent
    } finally {
      this.#flight = null
    }
  }

  /** False when Vault says that it is no token any more. */
  async #renew(parent: Parent, signal: AbortSignal): Promise<boolean> {
    const asked = seconds(this.#config.ttl + margin)
    const body = { increment: `${asked}s` }
    const answer = await this.#api.ask(
      { method: 'POST', path: 'auth/token/renew-self', token: parent.token, body, what: 'renewal of the login' },
      signal,
    )
    if (answer.dead) this.forget(parent)
    if (!answer.ok) return false
    const now = this.#services.clock()
    const { lease_duration: life } = objectOf(answer.json['auth'])
    if (typeof life !== 'number' || !(life > 0)) return false
    parent.expires = now + life * 1000
    parent.span = Math.max(parent.span, life * 1000)
    parent.seen = now
    parent.unsure = false
    return true
  }

  /** An answer that nobody saw leaves a login that ends by itself, after `token_ttl` of its role: nobody holds it, and no lease hangs from it. */
  async #login(signal: AbortSignal): Promise<Parent> {
    const { auth } = this.#config
    const what = 'login'
    try {
      const jwt = await ownIdentity(auth.identity, this.#services, auth.audience, randomUUID(), signal)
      const body = { role: auth.role, jwt: jwt.reveal() }
      const json = await this.#api.need({ method: 'POST', path: `auth/${auth.mount}/login`, token: null, body, what }, signal)
      const answer = objectOf(json['auth'])
      const { client_token: token, lease_duration: life } = answer
      if (typeof token !== 'string' || token === '') throw failed(what, null, 'the answer holds no token', true)
      const why = unfit(answer)
      const now = this.#services.clock()
      const span = typeof life === 'number' ? life * 1000 : 0
      const parent: Parent = {
        token: new Secret(token),
        expires: now + span,
        span,
        seen: now,
        children: new Map(),
        unsure: false,
        making: 0,
        lost: false,
      }
      if (why === null) return parent
      await this.revoke(parent, signal).catch(() => undefined)
      throw failed(what, null, why, true)
    } catch (error) {
      // whatever failed here, no credential was asked for yet
      const refusal = error instanceof Refusal ? error : null
      throw new Refusal('credential.unavailable', {
        detail: refusal?.detail ?? 'login: our identity cannot be had',
        retry: refusal?.retry ?? 'later',
      })
    }
  }
}

/** Why tokens of tasks cannot be made from what a login gave; null when they can. */
function unfit(answer: Readonly<Record<string, unknown>>): string | null {
  const { policies, token_type: type, lease_duration: life, num_uses: uses } = answer
  if (type !== 'service') return 'the role gives no service token, so none can be made from it'
  if (Array.isArray(policies) && policies.includes('root')) return 'the role gives the root policy'
  if (typeof life !== 'number' || !Number.isFinite(life) || life <= 0) return 'the role gives a token that never expires: set token_ttl'
  if (uses !== 0 && uses !== undefined) return 'the role limits the uses of the token: leave token_num_uses out'
  return null
}

/** Revokes a token by itself, with all that hangs from it; resolves when Vault confirmed, also that it is no token any more. */
export async function revokeSelf(api: VaultApi, token: Secret, what: string, signal: AbortSignal): Promise<void> {
  const answer = await api.ask({ method: 'POST', path: 'auth/token/revoke-self', token, body: {}, what }, signal)
  if (answer.ok || answer.dead) return
  // a policy's no: whether there is anything left to revoke says the token itself
  const look = await api.ask({ method: 'GET', path: 'auth/token/lookup-self', token, what }, signal)
  if (look.dead) return
  throw failed(`${what}: a policy must allow auth/token/revoke-self`, answer.status, '', true)
}

/** Whole seconds, at least one: Vault knows no less. */
export function seconds(ms: number): number {
  return Math.max(1, Math.floor(ms / 1000))
}
