/** Tries a bundle as the sidecar will: reads it, verifies its signature, activates it. */

import { readBundle, type Bundle } from '../decide/bundle/bundle.ts'
import type { VerificationKey } from '../decide/bundle/key.ts'
import { openPolicy } from '../decide/module.ts'

export interface Trial {
  readonly bundle: Bundle
  /** Of the longest evaluation that the largest input needs, ms, and the most that it may take; null when it was not told. */
  readonly cost: { readonly ms: number; readonly budget: number } | null
}

/** With a key the bundle must be signed by it. Throws BundleFault when it would not come into force. */
export function tryBundle(bytes: Uint8Array, key: VerificationKey | null = null): Trial {
  const bundle = readBundle(bytes, key === null ? null : { keys: [key], keyId: null, scope: null })
  let cost: Trial['cost'] = null
  const info = (said: object): void => {
    if ('ms' in said && 'budget' in said) cost = { ms: Number(said.ms), budget: Number(said.budget) }
  }
  const log = { info, warn: () => undefined, error: () => undefined }
  openPolicy(bundle, { clock: () => 0, log }).close()
  return { bundle, cost }
}
