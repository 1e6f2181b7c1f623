/** Signs a request with AWS Signature Version 4, after everything else about it is settled. */
import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto'
import { SignatureV4 } from '@smithy/signature-v4'
import type { Lease, Placement } from '../credential/credential.ts'
import { readable, unavailable } from './apply-text.ts'
import type { Applied, Outgoing } from './outgoing.ts'
import { Upload } from './upload.ts'

/**
 * Takes a lease whose secret is the secret access key, whose `user` is the access key id and whose `parts.session_token` is the session token.
 * Gives the request with its signature over method, path, query, all headers and the payload: its digest where it is whole in memory,
 * `UNSIGNED-PAYLOAD` for a stream, and that only over TLS. `now`: epoch ms.
 */
export async function signV4(lease: Lease, placement: Placement & { readonly in: 'sigv4' }, out: Outgoing, now: number): Promise<Applied> {
  const { user: accessKeyId, parts } = lease
  if (accessKeyId === undefined) throw unavailable('no access key id came with the credential')
  const session = parts?.['session_token']
  const { protocol, authority } = originOf(out)
  if (out.body instanceof Upload && protocol !== 'https:') throw unavailable('a body that streams is signed only over TLS')
  const signer = new SignatureV4({
    service: placement.service,
    region: placement.region,
    credentials: {
      accessKeyId,
      secretAccessKey: readable(lease.secret),
      ...(session === undefined ? {} : { sessionToken: readable(session) }),
    },
    sha256: Sha256,
    uriEscapePath: placement.service !== 's3',
  })
  const { path, query } = targetOf(out.path)
  const signed = await signer.sign(
    {
      protocol,
      hostname: authority,
      method: out.method,
      path,
      query,
      headers: { ...headersOf(out.headers), host: authority },
      ...(out.body instanceof Buffer ? { body: out.body } : out.body === null ? {} : { body: out.body }),
    },
    { signingDate: new Date(now), unsignableHeaders: new Set(['content-length', 'accept-encoding']) },
  )
  return { headers: listOf(out.headers, signed.headers), path: out.path }
}

function originOf({ upstream }: Outgoing): { readonly protocol: 'http:' | 'https:'; readonly authority: string } {
  const { scheme, authority } = upstream.route.to
  return { protocol: `${scheme}:`, authority }
}

/** As the upstream will decode it, since it decodes before it verifies. */
function targetOf(target: string): { readonly path: string; readonly query: Record<string, string[]> } {
  const mark = target.indexOf('?')
  const query: Record<string, string[]> = Object.create(null) as Record<string, string[]>
  if (mark === -1) return { path: target, query }
  for (const pair of target.slice(mark + 1).split('&')) {
    if (pair === '') continue
    const equals = pair.indexOf('=')
    const name = decodeURIComponent(equals === -1 ? pair : pair.slice(0, equals))
    ;(query[name] ??= []).push(equals === -1 ? '' : decodeURIComponent(pair.slice(equals + 1)))
  }
  return { path: target.slice(0, mark), query }
}

/** Several of one name are one, joined as the upstream joins them. */
function headersOf(list: readonly string[]): Record<string, string> {
  const bag: Record<string, string> = {}
  for (let at = 0; at + 1 < list.length; at += 2) {
    const name = list[at] ?? ''
    const value = list[at + 1] ?? ''
    bag[name] = bag[name] === undefined ? value : `${bag[name]},${value}`
  }
  return bag
}

/** What was signed as it was sent, and what signing added. */
function listOf(sent: readonly string[], signed: Readonly<Record<string, string>>): string[] {
  const list = [...sent]
  const names = new Set(sent.filter((_, at) => at % 2 === 0))
  for (const [name, value] of Object.entries(signed)) {
    if (name === 'host' || names.has(name)) continue
    list.push(name.toLowerCase(), value)
  }
  return list
}

/** The digest that the signer asks for, of the platform. */
class Sha256 {
  readonly #hash: Hash | Hmac

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', bytesOf(secret))
  }

  update(data: Uint8Array): void {
    this.#hash.update(data)
  }

  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.#hash.digest())
  }

  reset(): void {}
}

function bytesOf(secret: string | ArrayBuffer | ArrayBufferView): string | Uint8Array {
  if (typeof secret === 'string') return secret
  return ArrayBuffer.isView(secret) ? new Uint8Array(secret.buffer, secret.byteOffset, secret.byteLength) : new Uint8Array(secret)
}
