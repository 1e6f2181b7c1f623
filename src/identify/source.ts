import type { z } from 'zod'
import type { IdentitySource } from './identify.ts'

/** Takes one line for the operator: members first, then the sentence. */
export interface SourceLog {
  info(o: object, m: string): void
  warn(o: object, m: string): void
  error(o: object, m: string): void
}

/** What sources are handed from outside. */
export interface IdentifyServices {
  /** Epoch ms. */
  readonly clock: () => number
  readonly log: SourceLog
  readonly fetch: typeof fetch
  /** What tokens must be meant for: the SPIFFE ID of this Countersign. Never empty. */
  readonly audience: string
  /** Makes a path of the configuration absolute: relative ones start at the configuration's folder. */
  readonly path: (file: string) => string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Trust domains that the configuration gives to a source by name: a source that learns of trust domains by itself leaves these alone. */
  readonly claimed: ReadonlySet<string>
  /** The X.509 authorities of a trust domain from whichever source has them (`IdentitySource.authorities`); null when none has. */
  readonly authorities: (trustDomain: string) => readonly Uint8Array[] | null
  /** Set by whoever only examines the sources (`countersign doctor`): nothing is written for the next start. */
  readonly examination?: Examination
}

/** What sources tell whoever examines them, beside the log. */
export interface Examination {
  /** A server at this URL answered, and its `Date` header says so. */
  answered(url: string, date: string | null): void
}

/** One kind of source: its `type` in the configuration, the schema of its settings, and how it is opened. */
export interface SourceKind<Config extends z.ZodType> {
  readonly type: string
  readonly config: Config
  /** Starts loading keys; throws an Error only for settings that can never work. `ready()` tells when the first keys are there. */
  open(config: z.infer<Config>, services: IdentifyServices): IdentitySource
}

/** Declares a kind of source. List it in `registry.ts`; schema, documentation and contract tests follow from that line. */
export function defineSource<Config extends z.ZodType>(kind: SourceKind<Config>): SourceKind<Config> {
  return kind
}
