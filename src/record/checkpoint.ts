/** Checkpoints: signed notes (C2SP signed-note, tlog-checkpoint) over the head of the chain. */

import { createPublicKey, hash, sign, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

/** What a checkpoint states. `root` and `record` are standard base64 of a SHA-256. */
export interface Checkpoint {
  /** The ledger's name. */
  readonly origin: string
  /** Lines before the checkpoint. */
  readonly size: number
  /** Hash of the last of them: the head of the chain. */
  readonly root: string
  /** RFC 3339. */
  readonly time: string
  readonly durability: string
  /** Hash of the checkpoint's own line up to the note; null when the note does not say. */
  readonly record: string | null
}

/** Signs notes under a name. */
export interface NoteSigner {
  readonly name: string
  /** `name+hash+base64`, as C2SP writes a verifier key. */
  readonly verifierKey: string
  /** Gives the whole note: text, blank line, signature line. */
  sign(text: string): string
}

/** Verifies notes of one name and key. */
export interface NoteVerifier {
  readonly name: string
  /** Throws an Error that says why the note is not one of this key. `strict` allows no other signature and no loose base64. */
  open(note: string, strict: boolean): string
}

const ed25519 = 0x01

export function noteSigner(name: string, key: KeyObject): NoteSigner {
  checkName(name)
  const raw = rawPublicKey(key)
  const id = keyId(name, raw)
  return {
    name,
    verifierKey: `${name}+${id.toString('hex')}+${Buffer.concat([Buffer.of(ed25519), raw]).toString('base64')}`,
    sign: (text) => `${text}\n— ${name} ${Buffer.concat([id, sign(null, Buffer.from(text), key)]).toString('base64')}\n`,
  }
}

/** Takes a verifier key as text; throws an Error when it is not a well-formed Ed25519 one. */
export function noteVerifier(verifierKey: string): NoteVerifier {
  const [name = '', id = '', encoded = '', ...rest] = splitKey(verifierKey.trim())
  checkName(name)
  const bytes = Buffer.from(encoded, 'base64')
  if (rest.length > 0 || bytes.length !== 33 || bytes[0] !== ed25519) throw new Error('not an Ed25519 verifier key (name+hash+base64)')
  const raw = bytes.subarray(1)
  if (keyId(name, raw).toString('hex') !== id) throw new Error('the hash in the verifier key does not match its name and key')
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: raw.toString('base64url') }, format: 'jwk' })
  const prefix = keyId(name, raw)
  return { name, open: (note, strict) => openNote(note, { name, prefix, key }, strict) }
}

/** The text that is signed. */
export function checkpointText(checkpoint: Checkpoint): string {
  const { origin, size, root, time, durability, record } = checkpoint
  const last = record === null ? '' : `record ${record}\n`
  return `${origin}\n${size}\n${root}\ntime ${time}\ndurability ${durability}\n${last}`
}

/** Reads the text of a note; throws an Error when it is not a checkpoint of this form. */
export function parseCheckpoint(text: string): Checkpoint {
  const [origin = '', size = '', root = '', ...extra] = text.split('\n')
  if (extra.pop() !== '' || origin === '' || !/^(0|[1-9]\d{0,15})$/.test(size) || !isHash(root)) throw new Error('not a checkpoint')
  const value = (word: string) => extra.find((line) => line.startsWith(`${word} `))?.slice(word.length + 1) ?? null
  return { origin, size: Number(size), root, time: value('time') ?? '', durability: value('durability') ?? '', record: value('record') }
}

/** The text of a note without looking at its signatures: for a reader that has no key. */
export function noteText(note: string): string {
  const end = note.lastIndexOf('\n\n')
  if (end < 0) throw new Error('not a signed note')
  return note.slice(0, end + 1)
}

function openNote(note: string, own: { readonly name: string; readonly prefix: Buffer; readonly key: KeyObject }, strict: boolean): string {
  const text = noteText(note)
  const lines = note.slice(text.length + 1).split('\n')
  if (lines.pop() !== '' || (strict && lines.length !== 1)) throw new Error('the signature lines are malformed')
  for (const line of lines) {
    const [dash, name, encoded = '', ...rest] = line.split(' ')
    if (dash !== '—' || rest.length > 0) throw new Error('the signature lines are malformed')
    const bytes = Buffer.from(encoded, 'base64')
    if (name !== own.name || !bytes.subarray(0, 4).equals(own.prefix)) continue
    // base64 with stray low bits decodes to the same bytes: a changed note must not pass for the signed one
    if (bytes.toString('base64') !== encoded) throw new Error('the signature is not canonical base64')
    if (!verify(null, Buffer.from(text), own.key, bytes.subarray(4))) throw new Error('the signature does not verify')
    return text
  }
  throw new Error('no signature by this key')
}

function splitKey(text: string): string[] {
  const first = text.indexOf('+')
  const second = text.indexOf('+', first + 1)
  // base64 may itself hold plus signs
  return first < 0 || second < 0 ? [] : [text.slice(0, first), text.slice(first + 1, second), text.slice(second + 1)]
}

function keyId(name: string, raw: Buffer): Buffer {
  return hash('sha256', Buffer.concat([Buffer.from(`${name}\n`), Buffer.of(ed25519), raw]), 'buffer').subarray(0, 4)
}

function rawPublicKey(key: KeyObject): Buffer {
  if (key.asymmetricKeyType !== 'ed25519') throw new Error('a ledger is signed with an Ed25519 key')
  return createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32)
}

function checkName(name: string): void {
  if (!/^[A-Za-z0-9._:/-]{1,255}$/.test(name)) throw new Error('a ledger name is made of letters, digits and . _ : / -')
}

function isHash(text: string): boolean {
  const bytes = Buffer.from(text, 'base64')
  return bytes.length === 32 && bytes.toString('base64') === text
}
