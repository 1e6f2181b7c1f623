import { hash } from 'node:crypto'
import { exportJWK, generateKeyPair, SignJWT, type JWTPayload } from 'jose'
import { describe, expect, it } from 'vitest'
import type { Transaction } from '../../../src/state/state.ts'
import { makeReadTransaction, type TransactionOptions } from '../../../src/task/transaction.ts'
import { noon } from '../../support/task-rig.ts'

const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
const other = await generateKeyPair('ES256')
const keys = { keys: [{ ...(await exportJWK(publicKey)), kid: 'tts', alg: 'ES256', use: 'sig' }] }
const issuer = 'https://tts.acme.example'
const claims = {
  txn: 'txn-17',
  sub: 'person-17',
  aud: 'acme.example',
  scope: 'refund',
  req_wl: 'gateway',
  iat: noon / 1000,
  exp: noon / 1000 + 60,
}

function reader(change: Partial<TransactionOptions> = {}): (token: string) => Promise<Transaction> {
  const read = makeReadTransaction({
    issuers: [{ issuer, audience: 'acme.example', keys }],
    unverified: 'record',
    clock: () => noon,
    ...change,
  })
  return async (token) => read(token)
}

function signed(change: JWTPayload = {}, typ = 'txntoken+jwt', key = privateKey): Promise<string> {
  return new SignJWT({ ...claims, ...change }).setProtectedHeader({ alg: 'ES256', typ, kid: 'tts' }).sign(key)
}

describe('a Txn-Token', () => {
  it('is known by its txn, and what may name a person by a digest alone', async () => {
    const token = await signed({ rctx: { req_ip: '192.0.2.1' } })
    const read = await reader()(token)
    expect(read).toEqual({
      verified: true,
      id: 'txn-17',
      issuer,
      subSha256: hash('sha256', 'person-17'),
      rctxSha256: hash('sha256', '{"req_ip":"192.0.2.1"}'),
      tokenSha256: hash('sha256', token),
    })
    expect((await reader()(await signed({ iss: issuer }))).verified).toBe(true)
  })

  it('is verified once, and again when it has expired', async () => {
    let now = noon
    const read = makeReadTransaction({ issuers: [{ issuer, audience: 'acme.example', keys }], unverified: 'record', clock: () => now })
    const token = await signed()
    const first = await read(token)
    expect(read(token)).toBe(first)
    now = noon + 60_000
    expect(await read(token)).toMatchObject({ verified: false, id: null })
  })

  it.each([
    ['of another type', () => signed({}, 'JWT')],
    ['of another key', () => signed({}, 'txntoken+jwt', other.privateKey)],
    ['of another trust domain', () => signed({ aud: 'partner.example' })],
    ['of an issuer that is not configured', () => signed({ iss: 'https://elsewhere.example' })],
    ['that has expired', () => signed({ exp: noon / 1000 })],
    ['without txn', () => signed({ txn: undefined })],
    ['without sub', () => signed({ sub: undefined as never })],
    ['without scope', () => signed({ scope: undefined })],
    ['without req_wl', () => signed({ req_wl: undefined })],
    ['without iat', () => signed({ iat: undefined as never })],
    ['with a txn that draws on terminals', () => signed({ txn: '\u001b[2J' })],
    ['with a txn that is too long', () => signed({ txn: 'x'.repeat(257) })],
    ['that is too long', () => signed({ rctx: 'x'.repeat(9000) })],
    ['that is none', async () => 'nothing'],
  ])('%s is not verified, and refused where that is said', async (_, make) => {
    const token = await make()
    expect(await reader()(token)).toEqual({
      verified: false,
      id: null,
      issuer: null,
      subSha256: null,
      rctxSha256: null,
      tokenSha256: hash('sha256', token),
    })
    await expect(reader({ unverified: 'refuse' })(token)).rejects.toMatchObject({ code: 'identify.rejected' })
  })
})
