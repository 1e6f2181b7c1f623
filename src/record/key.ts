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
import { noteSigner } from './checkpoint.ts'
import type { Log } from './ledger-options.ts'
import { readVerifierKey } from './note.ts'

export interface LedgerKeyOptions {
  /** PEM (PKCS #8), Ed25519; made with mode 0600 when it is not there. */
  readonly path: string
  /** Ledger folder; made when it is not there. */
  readonly dir: string
  readonly log: Log
}

export interface LedgerKey {
  /** The ledger's name: origin of its checkpoints and name of its keys. */
  readonly name: string
  readonly key: KeyObject
  /** C2SP verifier key, the last in `ledger.pub`, or about to be. */
  readonly verifierKey: string
  /** The key that hands over to it; `done` publishes the new one and erases the old. Null where nothing is handed over. */
  readonly previous: { readonly key: KeyObject; readonly done: () => void } | null
}

/** Where the key before the present one waits until it has handed over. */
export function previousPath(path: string): string {
  return `${path}.previous`
}

/**
 * Loads or makes the signing key and the ledger's name, and writes `ledger.pub` into the folder.
 * Throws an Error when the folder belongs to another key and none hands over from that to this.
 */
export function openLedgerKey({ path, dir, log }: LedgerKeyOptions): LedgerKey {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const key = loadKey(path, log)
  const publicPath = join(dir, 'ledger.pub')
  const known = existsSync(publicPath) ? readFileSync(publicPath, 'utf8').trim().split('\n') : []
  const last = known.at(-1)
  const name = last === undefined ? `countersign/${randomBytes(8).toString('hex')}` : readVerifierKey(last).name
  const { verifierKey } = noteSigner(name, key)
  const old = previousPath(path)
  if (last === verifierKey || last === undefined) {
    if (last === undefined) publish(publicPath, [verifierKey])
    // a crash between the two steps of the end of a rotation
    else if (existsSync(old)) rmSync(old)
    return { name, key, verifierKey, previous: null }
  }
  const before = existsSync(old) ? loadKey(old, log) : null
  if (before === null || noteSigner(name, before).verifierKey !== last)
    throw new Error(`${publicPath} belongs to another key than ${path}: use that key, and rotate it with countersign evidence rotate-key`)
  const done = (): void => {
    publish(publicPath, [...known, verifierKey])
    rmSync(old, { force: true })
    log.info({ key: verifierKey }, 'the ledger is signed with its new key; the one before is erased')
  }
  return { name, key, verifierKey, previous: { key: before, done } }
}

/**
 * Makes the next key of a ledger; the present one waits beside it until the next start hands over. Throws an Error when there is no key, or one waits already.
 */
export function rotateLedgerKey(path: string): void {
  const old = previousPath(path)
  if (existsSync(old)) throw new Error(`${old} is there: start Countersign, so that it hands over, before the key is rotated again`)
  if (!existsSync(path)) throw new Error(`${path} is not there: give the key file of the ledger (record.ledger.key)`)
  if (createPrivateKey(readFileSync(path)).asymmetricKeyType !== 'ed25519') throw new Error(`${path} holds no Ed25519 key`)
  // should this end here, the next start makes a new key itself, and goes on
  renameSync(path, old)
  makeKey(path)
}

function publish(path: string, keys: readonly string[]): void {
  const draft = `${path}.new`
  writeFile(draft, `${keys.join('\n')}\n`, 'w', 0o644)
  renameSync(draft, path)
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
