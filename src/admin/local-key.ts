import { hash, randomBytes, timingSafeEqual } from 'node:crypto'
import { closeSync, fchmodSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { Secret } from '../secret.ts'

/** Reads the local key of the admin port, making the file (0600, 256 bits) when it is not there. Throws when it cannot. */
export function localKey(file: string): Secret {
  try {
    mkdirSync(dirname(file), { recursive: true })
    const handle = openSync(file, 'wx', 0o600)
    try {
      fchmodSync(handle, 0o600)
      writeSync(handle, `${randomBytes(32).toString('base64url')}\n`)
    } finally {
      closeSync(handle)
    }
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
  const value = readFileSync(file, 'utf8').trim()
  if (value.length < 43) throw new Error(`${file} holds no local key: delete it and start again`)
  return new Secret(value)
}

/** True when an Authorization header carries the key; compares digests, so neither length nor content shows in time. */
export function opens(key: Secret, authorization: string | undefined): boolean {
  const presented = authorization?.startsWith('Bearer ') ? authorization.slice(7) : ''
  return timingSafeEqual(hash('sha256', presented, 'buffer'), hash('sha256', key.reveal(), 'buffer'))
}
