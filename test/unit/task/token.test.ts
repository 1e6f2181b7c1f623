import { createHash, generateKeyPairSync } from 'node:crypto'
import * as fc from 'fast-check'
import { SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { generateSigningKey } from '../../../src/credential/keys.ts'
import { Refusal } from '../../../src/refusal.ts'
import { TaskTokens, tokenType } from '../../../src/task/token.ts'
import { agentId, noon, otherId, sketchRow } from '../../support/task-rig.ts'

const issuer = 'https://countersign.acme.example'
const key = await generateSigningKey()
const tokens = new TaskTokens(key, issuer)
const row = sketchRow()
const token = await tokens.issue(row, noon)
const claims = { iss: issuer, aud: issuer, sub: row.id, cnf: { spiffe_id: agentId }, exp: row.limit / 1000 }

function read(text: string, { by = tokens, caller = agentId, at = noon } = {}): string {
  try {
    return by.taskOf(text, caller, at)
  } catch (error) {
    return error instanceof Refusal ? error.code : String(error)
  }
}

function coded(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url')
}

describe('a task token', () => {
  it('names its task to its caller until the task has run out', () => {
    expect(read(token)).toBe(row.id)
    expect(read(token)).toBe(row.id)
    expect(read(token, { at: row.limit - 1 })).toBe(row.id)
    expect(read(token, { at: row.limit })).toBe('task.ended')
  })

  it('holds what it is, who may use it and until when, and nothing of the intent', () => {
    const [head, payload] = token.split('.').map((part) => Buffer.from(part, 'base64url').toString())
    expect(JSON.parse(head ?? '')).toEqual({ alg: 'ES256', typ: tokenType, kid: key.kid })
    expect(JSON.parse(payload ?? '')).toEqual({ ...claims, iat: noon / 1000 })
  })

  it('is worth nothing to another caller, also when it was just read for its own', () => {
    expect(read(token)).toBe(row.id)
    expect(read(token, { caller: otherId })).toBe('task.unknown')
  })

  it('of another key, another issuer or another type is unknown', async () => {
    const other = await generateSigningKey()
    expect(read(await new TaskTokens(other, issuer).issue(row, noon))).toBe('task.unknown')
    expect(read(await new TaskTokens(key, 'https://elsewhere.example').issue(row, noon))).toBe('task.unknown')
    for (const typ of ['JWT', 'at+jwt', 'txntoken+jwt']) expect(read(await key.sign(typ, claims)), typ).toBe('task.unknown')
    expect(read(token, { by: new TaskTokens(other, issuer) })).toBe('task.unknown')
  })

  it('that chooses how it is verified is unknown', async () => {
    const [head = '', payload = '', signature = ''] = token.split('.')
    const secret = createHash('sha256').update(JSON.stringify(key.publicKeys())).digest()
    const mac = await new SignJWT(claims).setProtectedHeader({ alg: 'HS256', typ: tokenType, kid: key.kid }).sign(secret)
    const own = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const jwk = own.publicKey.export({ format: 'jwk' })
    const brought = await new SignJWT(claims).setProtectedHeader({ alg: 'ES256', typ: tokenType, kid: key.kid, jwk }).sign(own.privateKey)
    for (const forged of [
      `${coded({ alg: 'none', typ: tokenType })}.${payload}.`,
      `${coded({ alg: 'none', typ: tokenType, kid: key.kid })}.${payload}.${signature}`,
      `${head}.${payload}.`,
      `${head}..${signature}`,
      `${head}.${payload}.${Buffer.alloc(64).toString('base64url')}`,
      `${head}.${coded({ ...claims, cnf: { spiffe_id: otherId } })}.${signature}`,
      `${head}.${payload}.${payload}.${signature}`,
      mac,
      brought,
    ])
      for (const caller of [agentId, otherId]) expect(read(forged, { caller }), forged).toBe('task.unknown')
  })

  it('that lacks a claim is unknown, although our key signed it', async () => {
    for (const name of ['iss', 'aud', 'sub', 'cnf', 'exp']) {
      const less = await key.sign(tokenType, { ...claims, [name]: undefined })
      expect(read(less), name).toBe('task.unknown')
    }
  })

  it('changed in any place is unknown', () => {
    const [head = '', payload = ''] = token.split('.')
    fc.assert(
      fc.property(fc.nat({ max: head.length + payload.length }), fc.constantFrom(...'AQgw09-_'), (at, char) => {
        fc.pre(token[at] !== char)
        expect(read(`${token.slice(0, at)}${char}${token.slice(at + 1)}`)).toBe('task.unknown')
      }),
    )
  })

  it('of any other text is unknown, and never an error of ours', () => {
    const head = `${token.split('.')[0]}.`
    fc.assert(fc.property(fc.constantFrom('', head), fc.string(), (start, text) => read(start + text) === 'task.unknown'))
  })
})
