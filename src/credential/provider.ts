import type { z } from 'zod'
import { Refusal } from '../refusal.ts'
import type { Secret } from '../secret.ts'
import type { CredentialProvider } from './credential.ts'
import type { SigningKey } from './keys.ts'
import type { ReadSecret } from './secret-ref.ts'

/** What providers are handed from outside. */
export interface ProviderServices {
  /** Epoch ms. */
  readonly clock: () => number
  /** Reads a configured secret anew. */
  readonly secret: ReadSecret
  /** Countersign's own key: signs what it mints, its actor tokens and its client assertions. */
  readonly signingKey: SigningKey
  /** What Countersign calls itself in `iss`: the URL its public keys are found under. */
  readonly issuer: string
  /**
   * A JWT-SVID of Countersign's own for this audience, asked anew or from the cache of the identity source. Rejects with `credential.unavailable`
   * when no identity source gives an SVID of our own, or none can be had now.
   */
  readonly svid: (audience: string, signal: AbortSignal) => Promise<Secret>
  /** HTTP client for issuers; redirects are never followed. */
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>
  /** The same client, which trusts the authorities of this PEM file besides the system's. Throws when the file cannot be read. */
  readonly trusting: (file: string) => ProviderServices['fetch']
}

/** A secret of the configuration that outlives every task: where it stands, what it is, and what would replace it. */
export interface StandingSecret {
  /** Path below the settings it belongs to. */
  readonly at: readonly string[]
  readonly what: string
  /** A sentence that says what to use in its place. */
  readonly instead: string
}

/** One kind of provider: its `type` in the configuration, the schema of its settings, and how it is opened. */
export interface ProviderKind<Config extends z.ZodType> {
  readonly type: string
  readonly config: Config
  /** Throws an Error (no secret in its text) when the settings cannot work, so that a bad configuration never goes live. */
  open(config: z.infer<Config>, services: ProviderServices): CredentialProvider
  /** The standing secrets that these settings lend or authenticate with. Absent: this kind has none, whatever its settings. */
  standing?(config: z.infer<Config>): readonly StandingSecret[]
}

/** Declares a kind of provider. List it in `registry.ts`; schema, documentation and contract tests follow from that line. */
export function defineProvider<Config extends z.ZodType>(kind: ProviderKind<Config>): ProviderKind<Config> {
  return kind
}

/** The cause of a refusal after which nobody knows what the issuer did: a credential may exist that only its expiry ends. */
export class Unanswered extends Error {
  constructor() {
    super('the issuer was asked and its answer was not seen')
    this.name = 'Unanswered'
  }
}

/** The refusal of such a request. `detail`: what is wrong with what came, without any of its text. */
export function unanswered(detail: string): Refusal {
  return new Refusal('credential.unavailable', { detail, retry: 'later', cause: new Unanswered() })
}

/** Reads a secret as text to use at once; surrounding line ends of a file are not part of it. */
export function textOf(secret: Secret): string {
  return secret.reveal().replace(/^[\r\n]+|[\r\n]+$/g, '')
}
