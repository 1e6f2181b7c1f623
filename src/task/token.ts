/** The task token: a signed proof that an agent may carry in place of the bare id of a task. It is worth nothing to anybody but its caller. */
import { createPublicKey, verify, type KeyObject } from 'node:crypto'
import { Refusal } from '../refusal.ts'
import type { TaskRow } from '../state/state.ts'

/** As much of the signing key as this needs. */
export interface TokenKey {
  readonly kid: string
  sign(typ: string, claims: Readonly<Record<string, unknown>>): Promise<string>
  publicKeys(): { readonly keys: readonly { readonly kty: 'EC'; readonly crv: 'P-256'; readonly x: string; readonly y: string }[] }
}

/** What a token of ours says. */
export interface TaskToken {
  readonly task: string
  /** SPIFFE ID of the only caller that may use it. */
  readonly caller: string
  /** Epoch ms. */
  readonly expires: number
}

/** A `typ` of our own: no other token that Countersign signs passes for one of these (RFC 8725 §3.11). */
export const tokenType = 'countersign-task+jwt'

const mostKnown = 4096

/** Issues task tokens, and reads them again: the signature of each is verified once, then it is known by its text. */
export class TaskTokens {
  readonly #key: TokenKey
  readonly #issuer: string
  /** The only header of ours, as it is written: no header is ever parsed, so none can choose how it is verified (RFC 8725 §3.1). */
  readonly #head: string
  readonly #public: KeyObject
  /** Written by `#read`; the oldest goes first. */
  readonly #known = new Map<string, TaskToken>()

  constructor(key: TokenKey, issuer: string) {
    const [jwk] = key.publicKeys().keys
    if (jwk === undefined) throw new Error('the signing key has no public half')
    this.#key = key
    this.#issuer = issuer
    this.#head = `${Buffer.from(JSON.stringify({ alg: 'ES256', typ: tokenType, kid: key.kid })).toString('base64url')}.`
    this.#public = createPublicKey({ key: { kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y }, format: 'jwk' })
  }

  /** A token for the caller of a task, good until the task's time has passed at the latest. `now`: epoch ms. */
  issue(row: Pick<TaskRow, 'id' | 'caller' | 'limit'>, now: number): Promise<string> {
    return this.#key.sign(tokenType, {
      iss: this.#issuer,
      aud: this.#issuer,
      sub: row.id,
      cnf: { spiffe_id: row.caller },
      iat: Math.floor(now / 1000),
      exp: Math.ceil(row.limit / 1000),
    })
  }

  /**
   * The task that a token names. Throws task.unknown for what is no token of ours (another key, another type, `alg` none, changed) and
   * for one of another caller, with one answer for all of them; task.ended when its time has passed.
   */
  taskOf(token: string, caller: string, now: number): string {
    const known = this.#known.get(token) ?? this.#read(token)
    if (known === null || known.caller !== caller) throw new Refusal('task.unknown')
    if (known.expires <= now) throw new Refusal('task.ended', { reasons: ['the task token has expired'] })
    return known.task
  }

  #read(token: string): TaskToken | null {
    if (!token.startsWith(this.#head)) return null
    const dot = token.lastIndexOf('.')
    const signed = Buffer.from(token.slice(0, dot), 'latin1')
    const signature = Buffer.from(token.slice(dot + 1), 'base64url')
    // RFC 7518 §3.4: R and S, 32 octets each
    if (signature.length !== 64 || !verify('sha256', signed, { key: this.#public, dsaEncoding: 'ieee-p1363' }, signature)) return null
    const claims = claimsOf(token.slice(this.#head.length, dot))
    if (claims === null || claims.iss !== this.#issuer || claims.aud !== this.#issuer) return null
    const read = { task: claims.sub, caller: claims.cnf.spiffe_id, expires: claims.exp * 1000 }
    this.#known.set(token, read)
    if (this.#known.size > mostKnown) for (const oldest of this.#known.keys()) return (this.#known.delete(oldest), read)
    return read
  }
}

interface Claims {
  readonly iss: string
  readonly aud: string
  readonly sub: string
  readonly exp: number
  readonly cnf: { readonly spiffe_id: string }
}

/** The bytes are ours: they were signed by our key as a token of this type. */
function claimsOf(payload: string): Claims | null {
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as Partial<Claims>
  const { iss, aud, sub, exp, cnf } = claims
  if (typeof iss !== 'string' || typeof aud !== 'string' || typeof sub !== 'string' || typeof exp !== 'number') return null
  return typeof cnf?.spiffe_id === 'string' ? { iss, aud, sub, exp, cnf } : null
}
