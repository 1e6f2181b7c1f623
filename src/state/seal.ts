/** Seals small secrets for the state file: AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce, the purpose as additional data. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { Seal } from './state.ts'

const algorithm = 'aes-256-gcm'
const prefix = 's1.'
const nonceBytes = 12
const tagBytes = 16

/** Makes a seal from 32 bytes of key; throws when they are not 32. The key is copied: wipe yours. */
export function makeSeal(key: Uint8Array): Seal {
  if (key.length !== 32) throw new Error('a state key has 32 bytes')
  const own = Buffer.from(key)
  return {
    seal(text, purpose) {
      const nonce = randomBytes(nonceBytes)
      const cipher = createCipheriv(algorithm, own, nonce, { authTagLength: tagBytes })
      cipher.setAAD(Buffer.from(purpose, 'utf8'))
      const sealed = Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
      return prefix + sealed.toString('base64url')
    },
    open(sealed, purpose) {
      const bytes = sealed.startsWith(prefix) ? Buffer.from(sealed.slice(prefix.length), 'base64url') : null
      if (bytes === null || bytes.length < nonceBytes + tagBytes) throw new Error('a sealed value is malformed')
      const decipher = createDecipheriv(algorithm, own, bytes.subarray(0, nonceBytes), { authTagLength: tagBytes })
      decipher.setAAD(Buffer.from(purpose, 'utf8'))
      decipher.setAuthTag(bytes.subarray(-tagBytes))
      try {
        return decipher.update(bytes.subarray(nonceBytes, -tagBytes), undefined, 'utf8') + decipher.final('utf8')
      } catch {
        throw new Error('a sealed value was not sealed with this key for this purpose')
      }
    },
  }
}
