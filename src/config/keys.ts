import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { ReadSecret } from '../credential/secret-ref.ts'
import { Secret } from '../secret.ts'
import type { Env } from './yaml-text.ts'

/** Reads configured secrets: files relative to the configuration's folder, variables from the environment. Throws when one is not there. */
export function secretReader(folder: string, env: Env): ReadSecret {
  return (ref) => {
    if ('file' in ref) return new Secret(readFileSync(resolve(folder, ref.file), 'utf8'))
    const value = env[ref.env]
    if (value === undefined) throw new Error(`environment variable ${ref.env} is not set`)
    return new Secret(value)
  }
}

/** The 32 bytes of a key of ours, read from a file that is made (0600) when it is not there. Throws for anything else in it. */
export function secretBytes(file: string): Uint8Array {
  const text = readOrMake(file, () => `${randomBytes(32).toString('base64')}\n`)
  const key = Buffer.from(text.trim(), 'base64')
  if (key.length !== 32) throw new Error(`${file} holds no key of 32 bytes in base64`)
  return key
}

/** The PEM of the ES256 key that signs minted tokens, made (0600) when it is not there. */
export function tokenKey(file: string): Secret {
  const make = (): string => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'pem', type: 'pkcs8' })
  return new Secret(readOrMake(file, make))
}

function readOrMake(file: string, make: () => string): string {
  mkdirSync(dirname(file), { recursive: true })
  try {
    const handle = openSync(file, 'wx', 0o600)
    try {
      writeSync(handle, make())
    } finally {
      closeSync(handle)
    }
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
  return readFileSync(file, 'utf8')
}
