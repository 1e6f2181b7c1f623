/** The verifier key of a ledger (C2SP signed-note), for what is signed besides notes. */
import { createPublicKey, hash, type KeyObject } from 'node:crypto'

export interface VerifierKey {
  /** `name+hash+base64`. */
  readonly text: string
  /** The ledger's name. */
  readonly name: string
  /** Key id, lower-case hex. */
  readonly id: string
  readonly key: KeyObject
}

const ed25519 = 1

/** Reads a verifier key; throws an Error when it is no well-formed Ed25519 one. */
export function readVerifierKey(text: string): VerifierKey {
  const first = text.indexOf('+')
  const second = text.indexOf('+', first + 1)
  const [name, id, encoded] = [text.slice(0, first), text.slice(first + 1, second), text.slice(second + 1)]
  const bytes = Buffer.from(encoded, 'base64')
  if (first < 1 || second < 0 || bytes.toString('base64') !== encoded || bytes.length !== 33 || bytes[0] !== ed25519)
    throw new Error('not an Ed25519 verifier key (name+hash+base64)')
  if (!/^[A-Za-z0-9._:/-]{1,255}$/.test(name)) throw new Error('a ledger name is made of letters, digits and . _ : / -')
  const own = hash('sha256', Buffer.concat([Buffer.from(`${name}\n`), bytes]), 'hex').slice(0, 8)
  if (own !== id) throw new Error('the hash in the verifier key does not match its name and key')
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: bytes.subarray(1).toString('base64url') }, format: 'jwk' })
  return { text, name, id, key }
}

/** The keys of a file: one a line. Throws an Error that says which line is none. */
export function readVerifierKeys(text: string): readonly VerifierKey[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map((line) => readVerifierKey(line))
}
