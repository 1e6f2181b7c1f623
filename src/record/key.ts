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
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { noteSigner } from './checkpoint.ts'
import type { Log } from './ledger-options.ts'
import { readVerifierKey } from './note.ts'
import { listSegments } from './segment.ts'

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
  /** The key that hands over to it, or has; `done` publishes the new one and erases the old. Null where nothing is handed over. */
  readonly previous: { readonly key: KeyObject; readonly done: () => void } | null
}

/** Where the key before the present one waits until it has handed over. */
export function previousPath(path: string): string {
  return `${path}.previous`
}

/**
 * Loads or makes the signing key and the ledger's name, and writes `ledger.pub` into the folder. It erases no key: `previous.done` does, once
 * the ledger shows that the key is not needed any more. Throws an Error that says what to do when the folder belongs to another key and none
 * hands over from that to this, and when the key or the `ledger.pub` of a ledger is lost.
 */
export function openLedgerKey({ path, dir, log }: LedgerKeyOptions): LedgerKey {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const publicPath = join(dir, 'ledger.pub')
  const known = publishedKeys(publicPath)
  const last = known.at(-1)
  if (last === undefined && listSegments(dir).length > 0) throw lostPublic(publicPath)
  const old = previousPath(path)
  const name = last === undefined ? `countersign/${randomBytes(8).toString('hex')}` : readVerifierKey(last).name
  const waiting = existsSync(old) ? loadKey(old, log) : null
  const waits = waiting === null ? null : noteSigner(name, waiting).verifierKey
  // a new key in its place would only hide that the ledger's own is gone
  if (!existsSync(path) && last !== undefined && waits !== last)
    throw new Error(
      `${publicPath} belongs to another key than ${path}, which is not there: put that key back, or give record.ledger.path a new folder`,
    )
  const key = loadKey(path, log)
  const { verifierKey } = noteSigner(name, key)
  const opened = { name, key, verifierKey }
  if (last === undefined) publish(publicPath, [verifierKey])
  else if (last !== verifierKey && waits !== last)
    throw new Error(
      `${publicPath} belongs to another key than ${path}: put that key back, and change it with countersign evidence rotate-key`,
    )
  if (waiting === null || waits === null || last === undefined) return { ...opened, previous: null }
  if (waits !== verifierKey && (waits === last || known.includes(waits)))
    return { ...opened, previous: { key: waiting, done: () => ended(publicPath, old, [...known, verifierKey], log) } }
  if (waits === verifierKey) dropCopy(path, old, log)
  else log.warn({ path: old }, 'this key has never signed the ledger: it is left where it is, and may be moved away')
  return { ...opened, previous: null }
}

/** The end of a rotation: the new key is published before the old one goes, so that a crash in between leaves both. */
function ended(publicPath: string, old: string, keys: readonly string[], log: Log): void {
  publish(publicPath, [...new Set(keys)])
  rmSync(old, { force: true })
  syncFolder(dirname(old))
  log.info({ key: keys.at(-1) }, 'the ledger is signed with its new key; the one before is erased')
}

/** A rotation ended before its new key was in place: the same key lies there twice, and the ledger goes on with it. */
function dropCopy(path: string, old: string, log: Log): void {
  // a name that only leads to the other would be the only copy of it
  if (realpathSync(old) === realpathSync(path)) return
  rmSync(old)
  log.warn({ path }, 'countersign evidence rotate-key did not end: the ledger key is the one before, rotate it again')
}

function lostPublic(publicPath: string): Error {
  return new Error(
    `${publicPath} is lost, and the ledger has lines: put it back from where it is kept, one verifier key a line ` +
      '(the last checkpoint of the ledger states the newest as its "key"), or give record.ledger.path a new folder',
  )
}

/** The verifier keys of `ledger.pub`, the oldest first; none when it is not there or holds nothing. */
function publishedKeys(path: string): readonly string[] {
  if (!existsSync(path)) return []
  const keys = readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '')
  try {
    return keys.map((line) => readVerifierKey(line).text)
  } catch (error) {
    throw new Error(`${path} does not hold verifier keys: put it back from where it is kept`, { cause: error })
  }
}

/**
 * Makes the next key of a ledger; the present one waits beside it until the next start has handed over. Whenever this ends early, the present
 * key is still in its place, and it may be called again. Throws an Error when there is no key, or another one waits already.
 */
export function rotateLedgerKey(path: string): void {
  const old = previousPath(path)
  if (!existsSync(path) && !existsSync(old)) throw new Error(`${path} is not there: give the key file of the ledger (record.ledger.key)`)
  const half = existsSync(path) && existsSync(old) && readFileSync(path).equals(readFileSync(old))
  if (half && realpathSync(path) === realpathSync(old)) throw new Error(`${old} leads to the same file as ${path}: remove it`)
  if (existsSync(old) && !half)
    throw new Error(`${old} is there: start Countersign, so that it hands over, before the key is rotated again`)
  readKey(path)
  const draft = draftKey(path)
  try {
    // a second name first, then the new key over the first: at no moment is the present key without one
    if (!half) linkSync(path, old)
    syncFolder(dirname(path))
    renameSync(draft, path)
    syncFolder(dirname(path))
  } catch (error) {
    rmSync(draft, { force: true })
    throw error
  }
}

function publish(path: string, keys: readonly string[]): void {
  const draft = `${path}.new`
  writeFile(draft, `${keys.join('\n')}\n`, 'w', 0o644)
  renameSync(draft, path)
  syncFolder(dirname(path))
}

function loadKey(path: string, log: Log): KeyObject {
  if (!existsSync(path)) makeKey(path)
  else if ((statSync(path).mode & 0o077) !== 0) log.warn({ path }, 'the ledger key can be read by others than its owner')
  return readKey(path)
}

function readKey(path: string): KeyObject {
  let key: KeyObject
  try {
    key = createPrivateKey(readFileSync(path))
  } catch (error) {
    throw new Error(`${path} cannot be read as a private key (PEM): put the key of the ledger back`, { cause: error })
  }
  if (key.asymmetricKeyType !== 'ed25519') throw new Error(`${path} holds no Ed25519 key`)
  return key
}

/** Written aside and linked into place, so that a crash leaves no half a key and a race leaves one whole key. */
function makeKey(path: string): void {
  mkdirSync(dirname(path), { recursive: true })
  const draft = draftKey(path)
  try {
    linkSync(draft, path)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  } finally {
    rmSync(draft)
  }
  syncFolder(dirname(path))
}

/** A new key in a file of its own beside `path`; gives where. */
function draftKey(path: string): string {
  const draft = `${path}.${randomBytes(4).toString('hex')}`
  writeFile(draft, generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }), 'wx', 0o600)
  return draft
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

function syncFolder(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
