import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createRemoteJWKSet, jwtVerify } from 'jose'

/** A small API that checks the credential of every call: its signature, its audience, and, where it may, its life at the issuer. */
export interface Upstream {
  readonly name: string
  readonly url: string
  /** The credential it was last called with: what a thief would have. */
  lastCredential(): string | null
  close(): Promise<void>
}

/** How an upstream checks what it is called with. */
export interface Guard {
  readonly audience: string
  /** Countersign's public keys. */
  readonly jwks: URL
  /** RFC 7662, when the upstream is one that may ask. */
  readonly introspection: { readonly url: URL; readonly client: string; readonly secret: string } | null
}

type Reply = readonly [status: number, body: unknown] | Events
/** An answer that never ends by itself. */
interface Events {
  readonly event: (number: number) => unknown
}
type Work = (method: string, path: string, body: unknown) => Reply

/** The customers and orders of a small company. */
export const crm: Work = (method, path) => {
  const [, , kind, id, part] = path.split('/')
  if (method === 'GET' && kind === 'orders' && part === 'events') return { event: (number) => ({ order: id, state: 'delivered', number }) }
  if (method !== 'GET' || id === undefined) return [404, { error: 'no such thing' }]
  if (kind === 'orders') return [200, { id, item: 'desk lamp', total_eur: 180, state: 'delivered' }]
  if (kind === 'customers') return [200, { id, name: 'Customer 42', email: 'customer-42@acme.example', city: 'Bruges' }]
  return [404, { error: 'no such thing' }]
}

/** A partner's mail API. */
export const mail: Work = (method, path) =>
  method === 'POST' && path === '/messages' ? [202, { queued: true }] : [404, { error: 'no such thing' }]

/** Refunds. */
export const payments: Work = (method, path, body) =>
  method === 'POST' && path === '/refunds' ? [201, { refunded: body }] : [404, { error: 'no such thing' }]

/** Starts an upstream on a free loopback port; `guard` may come later, for its issuer starts after it. */
export async function startUpstream(name: string, work: Work, guard: () => Guard): Promise<Upstream> {
  let last: string | null = null
  const keys = new Map<string, ReturnType<typeof createRemoteJWKSet>>()
  const server = createServer((request, response) => {
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? null
    last = token ?? last
    handle(request, response, token, work, guard(), keys).catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    name,
    url: `http://127.0.0.1:${port}`,
    lastCredential: () => last,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function handle(
  request: IncomingMessage,
  response: ServerResponse,
  token: string | null,
  work: Work,
  guard: Guard,
  keys: Map<string, ReturnType<typeof createRemoteJWKSet>>,
): Promise<void> {
  let text = ''
  for await (const part of request) text += String(part)
  const why = await refused(token, guard, keys)
  const reply: Reply =
    why === null
      ? work(request.method ?? '', request.url?.split('?')[0] ?? '', text === '' ? null : JSON.parse(text))
      : [401, { error: why }]
  if ('event' in reply) return stream(response, reply)
  const [status, body] = reply
  response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`)
}

/** Ten events a second, until whoever reads them is gone. */
function stream(response: ServerResponse, { event }: Events): void {
  let number = 0
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const next = (): boolean => response.write(`data: ${JSON.stringify(event(++number))}\n\n`)
  next()
  const timer = setInterval(next, 100)
  response.once('close', () => clearInterval(timer))
}

async function refused(
  token: string | null,
  guard: Guard,
  keys: Map<string, ReturnType<typeof createRemoteJWKSet>>,
): Promise<string | null> {
  if (token === null) return 'no credential'
  let set = keys.get(guard.jwks.href)
  if (!set) keys.set(guard.jwks.href, (set = createRemoteJWKSet(guard.jwks)))
  try {
    await jwtVerify(token, set, { audience: guard.audience, typ: 'at+jwt', algorithms: ['ES256'], requiredClaims: ['exp', 'sub', 'task'] })
  } catch {
    return 'the credential does not verify'
  }
  if (guard.introspection === null) return null
  const { url, client, secret } = guard.introspection
  const answer = await fetch(url, {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`${client}:${secret}`).toString('base64')}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
    body: new URLSearchParams({ token }).toString(),
  })
  const said: unknown = answer.ok ? await answer.json() : null
  const active = said !== null && typeof said === 'object' && 'active' in said && said.active === true
  return active ? null : 'the credential was revoked'
}
