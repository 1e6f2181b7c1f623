import { generateKeyPairSync, sign } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { canonicalText, readCanonical } from '../../../src/evidence/canonical.ts'
import { isSignedBy, preAuthentication, readEnvelope, seal } from '../../../src/evidence/envelope.ts'
import { readVerifierKey } from '../../../src/record/note.ts'
import { writerKey } from '../../support/ledger-writer.ts'

const own = writerKey('ledger.acme.example/one')
const key = readVerifierKey(own.text)
const sealed = seal({ b: 1, a: 'x' }, key.id, { verifierKey: own.text, sign: (bytes) => sign(null, bytes, own.key) })

describe('an envelope', () => {
  test('signs the bytes that DSSE says', () => {
    const bytes = preAuthentication('http://example.com/HelloWorld', Buffer.from('hello world'))
    expect(bytes.toString()).toBe('DSSEv1 29 http://example.com/HelloWorld 11 hello world')
  })

  test('counts the bytes of what it signs, not its characters', () => {
    expect(preAuthentication('té', Buffer.from('ü')).toString()).toBe('DSSEv1 3 té 2 ü')
  })

  test('verifies under the key that made it and under no other', () => {
    const envelope = readEnvelope(Buffer.from(sealed))
    expect(envelope?.payload.toString()).toBe('{"a":"x","b":1}')
    expect(envelope !== null && isSignedBy(envelope, key)).toBe(true)
    const other = readVerifierKey(writerKey('ledger.acme.example/one', generateKeyPairSync('ed25519').privateKey).text)
    expect(envelope !== null && isSignedBy(envelope, other)).toBe(false)
  })

  test.each([
    ['with a member more', sealed.replace('{"payload"', '{"more":1,"payload"')],
    ['with two signatures', sealed.replace(/"signatures":\[(.*)\]/, '"signatures":[$1,$1]')],
    ['of another type', sealed.replace('vnd.countersign.evidence', 'vnd.in-toto')],
    ['with white space', `${sealed}\n`],
    ['with base64 of another form', sealed.replace(/"sig":"([^"]*)=="/, '"sig":"$1"')],
  ])('%s is none of ours', (_name, text) => {
    expect(readEnvelope(Buffer.from(text))).toBeNull()
  })
})

describe('canonical JSON', () => {
  test('is read back only when it is exactly that', () => {
    expect(readCanonical(Buffer.from('{"a":1,"b":[true,null,"é"]}'))).toEqual({ a: 1, b: [true, null, 'é'] })
    for (const text of ['{"b":1,"a":1}', '{"a":1.0}', '{ "a":1}', '{"a":1,"a":1}', '{"a":"\\u0041"}', '\ufeff{}', '{"a":1e400}', ''])
      expect(readCanonical(Buffer.from(text)), text).toBeUndefined()
    expect(readCanonical(Buffer.from([0x22, 0xff, 0x22]))).toBeUndefined()
  })

  test('there is none of half a surrogate pair', () => {
    expect(() => canonicalText({ a: '\ud800' })).toThrow(RangeError)
  })
})
