/** An OAuth issuer on loopback that keeps what it gave, to whom, and what lives: the witness of who shares what. */
import { randomBytes } from 'node:crypto'
import { IssuerServer, type IssuerReply, type IssuerRequest } from './issuer-server.ts'
import type { Settings } from './running.ts'

export class LendingIssuer implements AsyncDisposable {
  /** Token → scopes, of all that it ever gave, in order. */
  readonly given = new Map<string, readonly string[]>()
  readonly live = new Set<string>()
  /** The text of the next tokens; a fresh one each by default. */
  token: () => string = () => `lent-${randomBytes(18).toString('hex')}`
  readonly server = new IssuerServer((request) => this.#answer(request))

  static async start(): Promise<LendingIssuer> {
    const issuer = new LendingIssuer()
    await issuer.server.listen()
    return issuer
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]()
  }

  /** Settings of a provider that asks it; the client secret is in the variable CLIENT_SECRET. */
  provider(more: Settings = {}): Settings {
    const { url } = this.server
    return {
      type: 'oauth',
      issuer: url,
      endpoints: { token: `${url}/token`, revocation: `${url}/revoke` },
      client: { id: 'countersign', authenticate: 'client_secret_basic', secret: { env: 'CLIENT_SECRET' } },
      scope: ['read', 'write'],
      ...more,
    }
  }

  /** Holds the answers to token requests, which are done by then. `asked` resolves when so many wait; `release` lets them go. */
  holding(count = 1): { readonly asked: Promise<void>; release(): void } {
    const asked = Promise.withResolvers<void>()
    const released = Promise.withResolvers<void>()
    let waiting = 0
    this.server.hold = ({ path }) => {
      if (path !== '/token') return null
      if (++waiting === count) asked.resolve()
      return released.promise
    }
    return { asked: asked.promise, release: () => ((this.server.hold = () => null), released.resolve()) }
  }

  #answer({ path, body }: IssuerRequest): IssuerReply {
    const form = new URLSearchParams(body)
    if (path === '/revoke') {
      this.live.delete(form.get('token') ?? '')
      return { status: 200 }
    }
    const scope = form.get('scope') ?? ''
    const token = this.token()
    this.given.set(token, scope.split(' '))
    this.live.add(token)
    return { status: 200, json: { access_token: token, token_type: 'Bearer', expires_in: 600, scope } }
  }
}
