/** Signed notes (C2SP signed-note) as a verifier reads them: verifier keys, signature lines, and who signed. */

import { createPublicKey, hash, verify } from 'node:crypto'

/** A verifier key of one name. */
export interface VerifierKey {
  /** `name+hash+base64`, in the one form that it has. */
  readonly text: string
  readonly name: string
  /** Key id: eight lower-case hex digits. */
  readonly id: string
  /** Is this the Ed25519 signature of this key over these bytes? */
  verifies(bytes: Uint8Array, signature: Uint8Array): boolean
}

/** A signature line of a note, not verified yet. */
export interface NoteSignature {
  readonly name: string
  /** Key id, hex. */
  readonly id: string
  readonly signature: Buffer
}

export interface Note {
  /** What is signed, with its last LF. */
  readonly text: string
  readonly signatures: readonly NoteSignature[]
}

/** A note of which at least one signature verifies. */
export interface OpenedNote {
  readonly text: string
  /** Whose signatures verify, in their order. */
  readonly signers: readonly VerifierKey[]
}

const ed25519 = 0x01
/** More is no note: each costs a verification. */
const mostSignatures = 100

/** Reads a verifier key; throws an Error when it is not a well-formed Ed25519 one. */
export function readVerifierKey(given: string): VerifierKey {
  const text = given.trim()
  const first = text.indexOf('+')
  const second = text.indexOf('+', first + 1)
  if (first < 0 || second < 0) throw new Error('not a verifier key (name+hash+base64)')
  const name = text.slice(0, first)
  const id = text.slice(first + 1, second)
  const bytes = fromBase64(text.slice(second + 1))
  if (!/^[A-Za-z0-9._:/-]{1,255}$/.test(name)) throw new Error('a ledger name is made of letters, digits and . _ : / -')
  if (bytes?.length !== 33 || bytes[0] !== ed25519) throw new Error('not an Ed25519 verifier key (name+hash+base64)')
  const digest = hash('sha256', Buffer.concat([Buffer.from(`${name}\n`), bytes]))
  if (digest.slice(0, 8) !== id) throw new Error('the hash in the verifier key does not match its name and key')
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: bytes.subarray(1).toString('base64url') }, format: 'jwk' })
  return { text, name, id, verifies: (signed, signature) => signature.length === 64 && verify(null, signed, key, signature) }
}

/** Takes a note apart; throws an Error when it is none. Nothing is verified. */
export function readNote(note: string): Note {
  const end = note.lastIndexOf('\n\n')
  if (end < 0) throw new Error('not a signed note')
  const lines = note.slice(end + 2).split('\n')
  if (lines.pop() !== '' || lines.length === 0 || lines.length > mostSignatures) throw new Error('the signature lines are malformed')
  return { text: note.slice(0, end + 1), signatures: lines.map(signatureLine) }
}

/** Opens a note of the ledger itself: it has a signature of each of these keys, in this order, and no other. Gives its text; throws an Error. */
export function openOwnNote(note: string, keys: readonly VerifierKey[]): string {
  const { text, signatures } = readNote(note)
  if (signatures.length !== keys.length) throw new Error(`the note has ${signatures.length} signature lines, not ${keys.length}`)
  for (const [at, { name, id, signature }] of signatures.entries()) {
    const key = keys[at]
    if (key?.name !== name || key.id !== id) throw new Error('the signature is not by the key that the line states')
    if (!key.verifies(Buffer.from(text), signature)) throw new Error('the signature does not verify')
  }
  return text
}

/**
 * Opens a note that was kept elsewhere: at least one of these keys signed it. Signature lines of other names and key ids are passed over,
 * such as those of witnesses. Throws an Error that says why not.
 */
export function openNote(note: string, keys: Iterable<VerifierKey>): OpenedNote {
  const { text, signatures } = readNote(note)
  const known = [...keys]
  const signers: VerifierKey[] = []
  for (const { name, id, signature } of signatures) {
    const key = known.find((one) => one.name === name && one.id === id)
    if (key === undefined || signers.includes(key)) continue
    if (!key.verifies(Buffer.from(text), signature)) throw new Error('the signature does not verify')
    signers.push(key)
  }
  if (signers.length === 0) throw new Error('no signature by a key that is trusted')
  return { text, signers }
}

/** The bytes of standard base64 in its one canonical form, or null: with stray bits a changed text would pass for the signed one. */
export function fromBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : null
}

function signatureLine(line: string): NoteSignature {
  const [dash, name = '', encoded = '', ...rest] = line.split(' ')
  const bytes = fromBase64(encoded)
  if (dash !== '—' || name === '' || name.includes('+') || rest.length > 0 || bytes === null || bytes.length < 5)
    throw new Error('the signature lines are malformed')
  return { name, id: bytes.toString('hex', 0, 4), signature: bytes.subarray(4) }
}
