/** Checkpoints: signed notes (C2SP signed-note, tlog-checkpoint) over the tree and the head of the chain, as they are signed. */

import { createPublicKey, hash, sign, type KeyObject } from 'node:crypto'
import type { Statement } from './checkpoint-line.ts'

/** Signs notes under a name. */
export interface NoteSigner {
  readonly name: string
  /** `name+hash+base64`, as C2SP writes a verifier key. */
  readonly verifierKey: string
  /** Gives the signature line of a text, with its LF. */
  sign(text: string): string
}

const ed25519 = 0x01

export function noteSigner(name: string, key: KeyObject): NoteSigner {
  checkName(name)
  const raw = rawPublicKey(key)
  const id = keyId(name, raw)
  return {
    name,
    verifierKey: `${name}+${id.toString('hex')}+${Buffer.concat([Buffer.of(ed25519), raw]).toString('base64')}`,
    sign: (text) => `— ${name} ${Buffer.concat([id, sign(null, Buffer.from(text), key)]).toString('base64')}\n`,
  }
}

/** The whole note: the text, an empty line, and a signature line of each. */
export function signedNote(text: string, signers: readonly NoteSigner[]): string {
  return `${text}\n${signers.map((signer) => signer.sign(text)).join('')}`
}

/** The text that is signed. */
export function checkpointText({ origin, size, root, chain, time, durability, record }: Statement): string {
  return `${origin}\n${size}\n${root}\nchain ${chain}\ntime ${time}\ndurability ${durability}\nrecord ${record}\n`
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
