/** The key pair of a person: a file that nobody else may read, away from where agents run. */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { closeSync, fchmodSync, mkdirSync, openSync, readFileSync, statSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { spki } from '../admin/signed-request.ts'
import { UsageFault } from './command.ts'

export const keyKinds = ['ed25519', 'es256'] as const
export type KeyKind = (typeof keyKinds)[number]

/** Makes a key file (PKCS #8, 0600). Throws `UsageFault` when it is there already: a key is never overwritten. */
export function makeKeyPair(file: string, kind: KeyKind): KeyObject {
  const { privateKey } = kind === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' })
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    const handle = openSync(file, 'wx', 0o600)
    try {
      fchmodSync(handle, 0o600)
      writeSync(handle, privateKey.export({ format: 'pem', type: 'pkcs8' }))
    } finally {
      closeSync(handle)
    }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST')
      throw new UsageFault(`${file} is there already: give another file, or remove it yourself`)
    throw new UsageFault(`cannot write the key: ${error instanceof Error ? error.message : String(error)}`)
  }
  return privateKey
}

/** Reads a key file. Throws `UsageFault` for a file that others can read, and for anything but an Ed25519 or P-256 key. */
export function readKeyPair(file: string): KeyObject {
  let text: string
  try {
    if ((statSync(file).mode & 0o077) !== 0) throw new UsageFault(`${file} can be read by others: chmod 600 ${file}`)
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof UsageFault) throw error
    throw new UsageFault(`cannot read the key pair: ${error instanceof Error ? error.message : String(error)}`)
  }
  const key = parse(text)
  if (key === null) throw new UsageFault(`${file} holds no Ed25519 or P-256 private key: countersign approver init makes one`)
  return key
}

/** What stands under `key` of `admin.approvers`. */
export function publicText(key: KeyObject): string {
  return spki(key).toString('base64')
}

function parse(text: string): KeyObject | null {
  try {
    const key = createPrivateKey(text)
    const fits = key.asymmetricKeyType === 'ed25519' || key.asymmetricKeyDetails?.namedCurve === 'prime256v1'
    return fits ? key : null
  } catch {
    return null
  }
}
