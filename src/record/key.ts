/** The key that signs checkpoints: loaded, or made at first start; its public half lies beside the ledger. */

import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { noteSigner, noteVerifier } from './checkpoint.ts'
import type { Log } from './ledger.ts'

export interface LedgerKeyOptions {
  /** PEM (PKCS #8), Ed25519; made with mode 0600 when it is not there. */
  readonly path: string
  /** Ledger folder; made when it is not there. */
  readonly dir: string
  readonly log: Log
}

export interface LedgerKey {
  /** The ledger's name: origin of its checkpoints and name of its key. */
  readonly name: string
  readonly key: KeyObject
  /** C2SP verifier key, as in `ledger.pub`. */
  readonly verifierKey: string
}

/**
 * Loads or makes the signing key and the ledger's name, and writes `ledger.pub` into the folder.
 * Throws an Error when the folder belongs to another key: one ledger is signed by one key.
 */
export function openLedgerKey({ path, dir, log }: LedgerKeyOptions): LedgerKey {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const key = loadKey(path, log)
  const publicPath = join(dir, 'ledger.pub')
  const known = existsSync(publicPath) ? readFileSync(publicPath, 'utf8').trim() : null
  const name = known === null ? `countersign/${randomBytes(8).toString('hex')}` : noteVerifier(known).name
  const { verifierKey } = noteSigner(name, key)
  if (known !== null && known !== verifierKey) throw new Error(`${publicPath} belongs to another key than ${path}`)
  if (known === null) {
    const draft = `${publicPath}.new`
    writeFile(draft, `${verifierKey}\n`, 'w', 0o644)
    renameSync(draft, publicPath)
  }
  return { name, key, verifierKey }
}

function loadKey(path: string, log: Log): KeyObject {
  if (!existsSync(path)) makeKey(path)
  else if ((statSync(path).mode & 0o077) !== 0) log.warn({ path }, 'the ledger key can be read by others than its owner')
  const key = createPrivateKey(readFileSync(path))
  if (key.asymmetricKeyType !== 'ed25519') throw new Error(`${path} holds no Ed25519 key`)
  return key
}

/** Written aside and linked into place, so that a crash leaves no half a key and a race leaves one whole key. */
function makeKey(path: string): void {
  mkdirSync(dirname(path), { recursive: true })
  const draft = `${path}.${randomBytes(4).toString('hex')}`
  const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })
  writeFile(draft, pem, 'wx', 0o600)
  try {
    linkSync(draft, path)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  } finally {
    rmSync(draft)
  }
}

function writeFile(path: string, text: string, flags: string, mode: number): void {
  const fd = openSync(path, flags, mode)
  try {
    writeSync(fd, text)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
