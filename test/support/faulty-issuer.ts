import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { askIssuer } from '../../src/credential/ask-issuer.ts'
import type { CredentialProvider, Issued, Wanted } from '../../src/credential/credential.ts'
import { Secret } from '../../src/secret.ts'
import type { Random } from './random.ts'

/** What goes wrong with one request: before it is done, after it was done, or both unknown to whoever asked. */
const faults = ['down', 'refuses', 'fails', 'done, then fails', 'done, then down', 'half an answer', 'late'] as const
export type Fault = (typeof faults)[number]

/** Longest that a question to it may take, ms; what is late is later. */
export const patience = 500

/** An issuer over HTTP on loopback that does what it is asked, or fails in a way that its seed says. It knows what lives. */
export class FaultyIssuer {
  /** Share of requests that go wrong, by verb: PUT issues, POST renews, DELETE revokes. */
  readonly share: Record<string, number> = { PUT: 0, POST: 0, DELETE: 0 }
  /** Lease → epoch ms at which its credential ends by itself. What was revoked is not in it. */
  readonly lives = new Map<string, number>()
  readonly counted = new Map<string, number>()
  /** What was revoked cannot come into being any more. */
  readonly #gone = new Set<string>()
  readonly #random: Random
  readonly #clock: () => number
  readonly #life: number
  readonly #server = createServer((request, answer) => void this.#answer(request.method ?? '', request.url?.slice(1) ?? '', answer))

  constructor(random: Random, clock: () => number, life: number) {
    this.#random = random
    this.#clock = clock
    this.#life = life
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  /** A provider that asks it. `prepares`: it names beforehand what takes back what comes. */
  provider(prepares: boolean): CredentialProvider {
    const revocable = { type: 'faulty', standing: false, placement: { in: 'header', name: 'authorization', prefix: 'Bearer ' } } as const
    const ask = (method: string, lease: string, signal: AbortSignal, accept: readonly number[] = []) => {
      const { port } = this.#server.address() as AddressInfo
      const question = { url: `http://127.0.0.1:${port}/${lease}`, method, timeout: patience, what: method }
      return askIssuer({ fetch }, question, signal, accept)
    }
    return {
      ...revocable,
      offer: { scopes: [], audiences: [], ttl: 60_000, subject: false },
      ...(prepares ? { prepare: async ({ lease }: Wanted) => new Secret(lease) } : {}),
      issue: async ({ lease }, signal): Promise<Issued> => {
        const { json } = await ask('PUT', lease, signal)
        return {
          secret: new Secret(`secret-of-${lease}`),
          ...expiry(json),
          scopes: [],
          handle: new Secret(lease),
          revocation: 'issuer',
          excess: null,
        }
      },
      renew: async (handle, _ttl, signal) => expiry((await ask('POST', handle.reveal(), signal)).json),
      revoke: async (handle, signal) => void (await ask('DELETE', handle.reveal(), signal, [404])),
    }
  }

  async #answer(method: string, lease: string, answer: ServerResponse): Promise<void> {
    const wrong = this.#random.next() < (this.share[method] ?? 0)
    const fault = wrong ? (faults[this.#random.below(faults.length)] ?? 'down') : null
    const what = `${method} ${fault ?? 'well'}`
    this.counted.set(what, (this.counted.get(what) ?? 0) + 1)
    if (fault === 'down') return void answer.destroy()
    if (fault === 'refuses') return void answer.writeHead(method === 'DELETE' ? 429 : 403).end()
    if (fault === 'fails') return void answer.writeHead(500).end()
    if (fault === 'late') await delay(patience * 2)
    const expires = this.#do(method, lease)
    if (fault === 'done, then down') return void answer.destroy()
    if (fault === 'done, then fails') return void answer.writeHead(500).end()
    const text = JSON.stringify({ expires })
    answer.writeHead(expires === null ? 404 : 200, { 'content-length': text.length })
    if (fault !== 'half an answer') return void answer.end(text)
    answer.write(text.slice(0, 5))
    setImmediate(() => answer.destroy())
  }

  #do(method: string, lease: string): number | null {
    if (method === 'DELETE') {
      this.#gone.add(lease)
      this.lives.delete(lease)
    } else if (!this.#gone.has(lease) && (method === 'PUT' || this.lives.has(lease))) this.lives.set(lease, this.#clock() + this.#life)
    return this.lives.get(lease) ?? null
  }
}

function expiry(json: unknown): { readonly expires: number } {
  return { expires: (json as { expires: number }).expires }
}
