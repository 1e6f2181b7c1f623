/** An upstream that takes DPoP-bound tokens by the letter of RFC 9449 §7: proof, binding, nonce, and no proof twice. */
import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { calculateJwkThumbprint, EmbeddedJWK, jwtVerify, type JWK } from 'jose'
import { Loopback } from './loopback.ts'

export class DpopUpstream extends Loopback {
  /** Requests that were let in: method, URL and body. */
  readonly served: { readonly method: string; readonly url: string; readonly body: string }[] = []
  /** Why requests were not. */
  readonly refused: string[] = []
  readonly #used = new Set<string>()
  readonly #introspect: (token: string) => Promise<Readonly<Record<string, unknown>>>
  #nonce = 1

  constructor(introspect: (token: string) => Promise<Readonly<Record<string, unknown>>>) {
    super((request, response) => void this.#answer(request, response))
    this.#introspect = introspect
  }

  /** From now on another nonce is wanted. */
  rotate(): void {
    this.#nonce++
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const why = await this.#judge(request).catch(() => 'invalid_dpop_proof')
    response.setHeader('dpop-nonce', `nonce-${this.#nonce}`)
    if (why === null) {
      this.served.push({ method: request.method ?? '', url: request.url ?? '', body: Buffer.concat(parts).toString('utf8') })
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"done":true}')
    } else {
      this.refused.push(why)
      response.writeHead(401, { 'www-authenticate': `DPoP error="${why}", algs="ES256"` }).end('{"error":"no"}')
    }
  }

  async #judge({ method, url = '', headers }: IncomingMessage): Promise<string | null> {
    const token = /^DPoP (.+)$/.exec(headers.authorization ?? '')?.[1] ?? ''
    const proof = headers['dpop']
    if (typeof proof !== 'string') return 'invalid_dpop_proof'
    const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, { typ: 'dpop+jwt', algorithms: ['ES256'], maxTokenAge: '60s' })
    const { active, cnf } = (await this.#introspect(token)) as { active: boolean; cnf?: { jkt?: string } }
    if (!active || cnf?.jkt !== (await calculateJwkThumbprint(protectedHeader.jwk as JWK))) return 'invalid_token'
    if (payload['ath'] !== createHash('sha256').update(token).digest('base64url')) return 'invalid_dpop_proof'
    if (payload['htm'] !== method || payload['htu'] !== this.url + url.split('?')[0]) return 'invalid_dpop_proof'
    if (this.#used.has(String(payload.jti))) return 'invalid_dpop_proof'
    this.#used.add(String(payload.jti))
    return payload['nonce'] === `nonce-${this.#nonce}` ? null : 'use_dpop_nonce'
  }
}
