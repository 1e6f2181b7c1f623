/** The package brings no types: what the tests use of it. */
declare module 'oidc-provider' {
  import type { IncomingMessage, ServerResponse } from 'node:http'

  export interface GrantCall {
    body: unknown
    readonly oidc: {
      readonly params: Readonly<Record<string, string | undefined>>
      readonly client: { readonly clientId: string }
      entity(kind: string, token: object): void
    }
  }

  export interface IssuedToken {
    save(): Promise<string>
    destroy(): Promise<void>
    resourceServer?: object
    readonly expiration: number
    readonly tokenType: string
    readonly scope?: string
  }

  export class Provider {
    constructor(issuer: string, configuration: object)
    readonly issuer: string
    readonly ClientCredentials: { new (properties: object): IssuedToken; find(token: string): Promise<IssuedToken | undefined> }
    readonly Grant: { new (properties: object): { addOIDCScope(scope: string): void; save(): Promise<string> } }
    interactionFinished(request: IncomingMessage, response: ServerResponse, result: object, options?: object): Promise<void>
    callback(): (request: IncomingMessage, response: ServerResponse) => void
    registerGrantType(
      name: string,
      handler: (...args: never[]) => Promise<void>,
      parameters: readonly string[],
      duplicates?: readonly string[],
    ): void
    on(event: string, listen: (...args: unknown[]) => void): void
  }

  export const errors: Readonly<Record<'InvalidGrant' | 'InvalidTarget', new (detail: string) => Error>>
}
