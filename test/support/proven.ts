import type { CredentialProvider, Issued } from '../../src/credential/credential.ts'

/** What the contract tests saw one provider do: a line in docs/providers.md. Text throughout. */
export interface Proven {
  /** What a decision can narrow: scopes, audience. Empty: its life alone. */
  readonly narrows: string
  readonly renews: 'yes' | 'no'
  /** `revocation` of its leases. */
  readonly ends: Issued['revocation']
  /** What becomes of a credential whose answer nobody saw. */
  readonly unseen: Issued['revocation']
  /** Shortest life that its issuer gives, ms; 0: any. */
  readonly floor: string
  /** What comes with the secret: a user, parts by name. Empty: nothing. */
  readonly with: string
}

/** Looks at a provider and at what it gave; has what it can renew renewed. */
export async function provenBy(from: CredentialProvider, issued: Issued, signal: AbortSignal): Promise<Proven> {
  const { scopes, audiences } = from.offer
  const narrows = [...(scopes.length > 0 ? ['scopes'] : []), ...(audiences.length > 0 ? ['audience'] : [])]
  const came = [...(issued.user === undefined ? [] : ['user']), ...Object.keys(issued.parts ?? {}).toSorted()]
  return {
    narrows: narrows.join(', '),
    renews: (await renews(from, issued, signal)) ? 'yes' : 'no',
    ends: issued.revocation,
    unseen: issued.revocation === 'issuer' && from.prepare === undefined ? 'expiry' : issued.revocation,
    floor: String(from.floor ?? 0),
    with: came.join(', '),
  }
}

async function renews(from: CredentialProvider, { handle }: Issued, signal: AbortSignal): Promise<boolean> {
  if (from.renew === undefined || handle === null) return false
  const { expires } = await from.renew(handle, 5000, signal)
  if (!Number.isSafeInteger(expires) || expires <= Date.now()) throw new Error('a renewal does not say until when')
  return true
}
