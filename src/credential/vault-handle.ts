/** What takes back something at Vault, as it is sealed with a lease. */
import { Secret } from '../secret.ts'
import { objectOf } from './vault-api.ts'

/** `child`: the token of one lease, and the dynamic secret that it got. `parent`: a login, and whatever was made from it that nobody saw. */
export type VaultHandle =
  | {
      readonly kind: 'child'
      readonly at: string
      readonly token: Secret
      /** Lease of the dynamic secret; null: none, or it ended with the token that got it. */
      readonly lease: string | null
      /** The login it hangs from. */
      readonly parent: Secret
      /** Epoch ms: renewing it goes no further. */
      readonly until: number
    }
  | { readonly kind: 'parent'; readonly at: string; readonly token: Secret }

/** As text to seal. */
export function sealable(handle: VaultHandle): Secret {
  const { kind, at } = handle
  const token = handle.token.reveal()
  if (kind === 'parent') return new Secret(JSON.stringify({ kind, at, token }))
  return new Secret(JSON.stringify({ kind, at, token, lease: handle.lease, parent: handle.parent.reveal(), until: handle.until }))
}

/** Reads it back. Throws for anything else. */
export function handleOf(sealed: Secret): VaultHandle {
  const { kind, at, token, lease, parent, until } = objectOf(JSON.parse(sealed.reveal()))
  if (typeof at !== 'string' || typeof token !== 'string') throw new Error('not a handle of Vault')
  if (kind === 'parent') return { kind, at, token: new Secret(token) }
  if (kind !== 'child' || typeof parent !== 'string' || typeof until !== 'number' || !(lease === null || typeof lease === 'string'))
    throw new Error('not a handle of Vault')
  return { kind, at, token: new Secret(token), lease, parent: new Secret(parent), until }
}
