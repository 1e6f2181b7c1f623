import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { BundleFault } from '../../../src/decide/bundle/fault.ts'
import { algorithms, readKey, type Algorithm } from '../../../src/decide/bundle/key.ts'
import { makeSigner } from '../../support/bundle-signer.ts'

const read = (text: string, algorithm: string | null = null): Algorithm => readKey({ id: 'k', text, algorithm, scope: null }).algorithm

describe('a key of bundles', () => {
  it('[Countersign: bundle keys] is for the algorithm that its type and curve say, or for another that goes with it', () => {
    const derived: readonly Algorithm[] = ['RS256', 'ES256', 'ES384', 'ES512', 'EdDSA']
    for (const algorithm of derived) expect(read(makeSigner(algorithm).text)).toBe(algorithm)
    const rsa = makeSigner('RS256').text
    for (const algorithm of ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']) expect(read(rsa, algorithm)).toBe(algorithm)
    expect(() => read(rsa, 'ES256')).toThrow(/does not go with ES256/)
    expect(() => read(makeSigner('ES256').text, 'ES384')).toThrow(/does not go with ES384/)
    expect(() => read(makeSigner('EdDSA').text, 'RS256')).toThrow(/it is for EdDSA/)
    expect(algorithms).toHaveLength(13)
  })

  it('[Countersign: bundle keys] is refused when it is private, and the message holds nothing of it', () => {
    for (const algorithm of ['RS256', 'ES256', 'EdDSA'] as const) {
      const { own } = makeSigner(algorithm)
      let fault: unknown = null
      try {
        read(own)
      } catch (error) {
        fault = error
      }
      expect(fault).toBeInstanceOf(BundleFault)
      const { message, cause } = fault as BundleFault
      expect(message).toMatch(/is a private key/)
      expect(cause).toBeUndefined()
      expect(message).not.toContain(own.split('\n')[1])
    }
    const encrypted = generateKeyPairSync('ed25519').privateKey.export({
      type: 'pkcs8',
      format: 'pem',
      cipher: 'aes-256-cbc',
      passphrase: 'p',
    })
    expect(() => read(encrypted)).toThrow(/is a private key/)
  })

  it('[Countersign: bundle keys] of RSA has 2048 bits at least, and other types and curves are refused', () => {
    const pem = (key: ReturnType<typeof generateKeyPairSync>['publicKey']): string => Object(key).export({ type: 'spki', format: 'pem' })
    expect(() => read(pem(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey))).toThrow(/under 2048 bits/)
    expect(() => read(pem(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey))).toThrow(/no algorithm goes with/)
    expect(() => read(pem(generateKeyPairSync('ed448').publicKey))).toThrow(/no algorithm goes with/)
    expect(() => read(pem(generateKeyPairSync('x25519').publicKey))).toThrow(/no algorithm goes with/)
    expect(() => read(pem(generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).publicKey))).toThrow(/no algorithm goes with/)
  })

  it('[Countersign: bundle keys] of an HMAC is named as such, as long as its hash, and no PEM', () => {
    expect(read('s'.repeat(32), 'HS256')).toBe('HS256')
    expect(read('s'.repeat(64), 'HS512')).toBe('HS512')
    expect(() => read('s'.repeat(31), 'HS256')).toThrow(/shorter than the hash/)
    expect(() => read('s'.repeat(63), 'HS512')).toThrow(/shorter than the hash/)
    expect(() => read('s'.repeat(32))).toThrow(/a secret needs an `algorithm`/)
    expect(() => read(makeSigner('RS256').text, 'HS256')).toThrow(/is PEM/)
  })

  it('[Countersign: bundle keys] is one block of PEM with an id and a known algorithm', () => {
    const { text } = makeSigner('ES256')
    expect(() => read(text + text)).toThrow(/more than one/)
    expect(() => read(text.replace('MF', 'MG'))).toThrow(/not a PEM public key/)
    expect(() => read('-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n')).toThrow(/not a PEM public key/)
    for (const algorithm of ['none', 'es256', 'constructor', '']) expect(() => read(text, algorithm)).toThrow(/unknown algorithm/)
    expect(() => readKey({ id: '', text, algorithm: null, scope: null })).toThrow(/no id/)
  })
})
