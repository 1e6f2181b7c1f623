/** A listener's certificate and key from files, read again when they change. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { KeyedChain, ServerIdentity } from '../listen/server-identity.ts'
import { stampOf } from './stamp.ts'

export interface FileIdentityOptions {
  readonly cert: string
  readonly key: string
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void }
}

/**
 * Looks at the files whenever it is asked, so there is nothing to close. A pair that cannot be used, say because only one of the two has
 * been replaced so far, is logged once, and the pair before stays until it expires. Throws when the first pair cannot be used.
 */
export function fileIdentity({ cert, key, log }: FileIdentityOptions): ServerIdentity {
  const stamp = (): string => `${stampOf(cert)} ${stampOf(key)}`
  let seen = stamp()
  let current = readPair(cert, key)
  return {
    current: () => {
      const now = stamp()
      if (now === seen) return current
      seen = now
      try {
        current = readPair(cert, key)
        log.info({ cert, expires: new Date(current.expires).toISOString() }, 'a listener has a new certificate')
      } catch (error) {
        log.warn({ cause: error instanceof Error ? error.message : 'unknown' }, 'a new certificate cannot be used; the one before stays')
      }
      return current
    },
    onChange: () => () => undefined,
  }
}

/** Nothing of a key ever stands in a message: what OpenSSL says of one is left out. */
function readPair(certFile: string, keyFile: string): KeyedChain {
  const cert = read(certFile)
  const key = read(keyFile)
  const chain = certificates(certFile, cert.toString('latin1'))
  let fits = false
  try {
    fits = chain[0]?.checkPrivateKey(createPrivateKey(key)) ?? false
  } catch {
    throw new Error(`${keyFile} holds no private key that can be read: write it as PEM, unencrypted`)
  }
  if (!fits) throw new Error(`the key in ${keyFile} is not that of the first certificate in ${certFile}`)
  return { key, cert, expires: Math.min(...chain.map((one) => one.validToDate.getTime())) }
}

function certificates(file: string, text: string): X509Certificate[] {
  try {
    const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []
    if (blocks.length > 0) return blocks.map((block) => new X509Certificate(block))
  } catch {
    // told below
  }
  throw new Error(`${file} holds no certificate chain: write it as PEM, leaf first`)
}

function read(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new Error(`${file} cannot be read: ${error instanceof Error && 'code' in error ? String(error.code) : 'unknown'}`, {
      cause: error,
    })
  }
}
