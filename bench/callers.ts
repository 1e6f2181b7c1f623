/** Who asks: tokens of one agent, and the tasks that it opens. */

import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT } from 'jose'

export const agent = 'spiffe://acme.example/ns/bench/sa/agent'
export const audience = 'spiffe://acme.example/countersign'
const issuer = 'https://issuer.acme.example'
/** What every task of the bench is for. */
const tools = ['items.read', 'items.write', 'items.open']
/** Longer than any run, s. */
const lifetime = 6 * 3600

export interface Callers {
  /** The keys as a SPIFFE bundle document. */
  readonly bundle: string
  /** The same as a plain JWK Set. */
  readonly jwks: string
  /** As many different tokens as are asked for, the same ones every time. */
  tokens(count: number): Promise<readonly string[]>
}

/** Fresh keys. The tokens are JWT-SVIDs with what other proxies look at besides: an issuer and a scope. */
export async function callers(): Promise<Callers> {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
  const jwk = await exportJWK(publicKey)
  const kid = await calculateJwkThumbprint(jwk)
  const minted: string[] = []
  const mint = (): Promise<string> =>
    new SignJWT({ scope: 'items.read items.write' })
      .setProtectedHeader({ alg: 'ES256', kid, typ: 'JWT' })
      .setIssuer(issuer)
      .setSubject(agent)
      .setAudience(audience)
      .setIssuedAt()
      .setExpirationTime(`${lifetime}s`)
      .setJti(String(minted.length))
      .sign(privateKey)
  return {
    bundle: JSON.stringify({ keys: [{ ...jwk, kid, use: 'jwt-svid' }], spiffe_sequence: 1, spiffe_refresh_hint: 300 }),
    jwks: JSON.stringify({ keys: [{ ...jwk, kid, alg: 'ES256' }] }),
    tokens: async (count) => {
      while (minted.length < count) minted.push(await mint())
      return minted.slice(0, count)
    },
  }
}

/** Opens tasks at a Countersign; throws with its answer when it opens none. */
export async function openTasks(port: number, token: string, count: number): Promise<string[]> {
  const opened: string[] = []
  while (opened.length < count) opened.push(await openTask(port, token))
  return opened
}

async function openTask(port: number, token: string): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${port}/.countersign/v1/tasks`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ purpose: 'measure', tools, resources: ['item:*'], ttl: '10h' }),
  })
  const task: unknown = await answer.json()
  if (answer.status !== 201 || task === null || typeof task !== 'object' || !('id' in task)) {
    throw new Error(`no task was opened: ${answer.status} ${JSON.stringify(task)}`)
  }
  return String(task.id)
}
