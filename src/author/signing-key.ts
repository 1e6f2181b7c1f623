/** The key that a bundle is signed with, and the one that verifies it. */

import { createPrivateKey, createPublicKey } from 'node:crypto'
import { resolve } from 'node:path'
import { BundleFault } from '../decide/bundle/fault.ts'
import { readKey, type VerificationKey } from '../decide/bundle/key.ts'
import { readText } from './input-file.ts'
import { AuthorFault } from './opa.ts'

export interface SigningKey {
  /** Where the compiler reads it. */
  readonly path: string
  readonly scope: string | null
  /** When the signature says it was made (`iat`), epoch seconds; null: it does not say. */
  readonly issued: number | null
  /** What verifies what it signs. */
  readonly verification: VerificationKey
}

/**
 * Reads a PEM private key, or the secret of an HMAC when the algorithm is one. Without an algorithm the key says it, as for keys that
 * verify. Throws AuthorFault, which never holds any of the key.
 */
export function readSigningKey(
  path: string,
  id: string,
  said: Pick<SigningKey, 'scope' | 'issued'> & { readonly algorithm: string | null },
): SigningKey {
  const { algorithm, scope, issued } = said
  const secret = algorithm?.startsWith('HS') ?? false
  const text = readText(path)
  try {
    return {
      path: resolve(path),
      scope,
      issued,
      verification: readKey({ id, algorithm, scope, text: secret ? text : publicText(text, path) }),
    }
  } catch (error) {
    if (!(error instanceof BundleFault)) throw error
    throw new AuthorFault(`${path}: ${error.message}`, { cause: error })
  }
}

function publicText(text: string, path: string): string {
  try {
    return createPublicKey(createPrivateKey(text)).export({ type: 'spki', format: 'pem' })
  } catch {
    // the library's message may quote the text, so it is not kept even as a cause
    throw new AuthorFault(`${path} is not a PEM private key without a passphrase; a secret needs --algorithm HS256`)
  }
}
