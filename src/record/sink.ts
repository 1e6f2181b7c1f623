/** What a record sink is: a reader of the ledger that hands lines on to somebody else. */

import { z } from 'zod'
import type { Secret } from '../secret.ts'
import type { LineKind } from './chain.ts'
import type { Log } from './ledger-options.ts'

/** A stored line on its way to a sink. */
export interface SinkLine {
  readonly seq: number
  /** Byte for byte as it is stored, without its newline. */
  readonly line: string
}

/** Lines that a sink passed over: the receiver does not have them, the ledger does. */
export interface LeftOut {
  readonly seq: number
  readonly reason: 'too-large' | 'refused'
  /** How many of the lines from `seq` on, where it is not known which; absent: that one. */
  readonly count?: number
}

/** What came of one attempt. */
export interface Taken {
  /** How many of the lines that were given, from the first on, are done with; at least one. The others are given again. */
  readonly lines: number
  /** Those of them that did not arrive whole; absent: all did. */
  readonly leftOut?: readonly LeftOut[]
}

/** Why a sink took nothing: a closed list, which metrics count by. */
export type SinkReason = 'unreachable' | 'timeout' | 'status' | 'refused' | 'disk' | 'broken'

/** An attempt that came to nothing and is made again. The text names what happened and holds no secret. */
export class SinkFault extends Error {
  readonly reason: SinkReason
  /** Ms that the receiver asked for before the next attempt; null: it did not say. */
  readonly retryAfter: number | null

  constructor(reason: SinkReason, message: string, retryAfter: number | null = null) {
    super(message)
    this.name = 'SinkFault'
    this.reason = reason
    this.retryAfter = retryAfter
  }
}

/** How much a sink is given at once. What waits for it in memory is never more than this and one line. */
export interface BatchSize {
  readonly lines: number
  /** Characters of all lines together. */
  readonly characters: number
  /** Ms that a batch may wait to become full; 0: it goes as soon as it is there. */
  readonly linger: number
}

/** A reader of the ledger that hands lines on. It is fed in order, each line at least once; the ledger is its buffer. */
export interface RecordSink {
  readonly type: string
  readonly batch: BatchSize
  /**
   * Takes lines, in order and without one missing that it is meant to have. Resolves when some are where they belong; rejects, best with a
   * `SinkFault`, when all of them must be given again. Obeys the signal.
   */
  write(lines: readonly SinkLine[], signal: AbortSignal): Promise<Taken>
  /** Lets go of what it holds open. */
  close(): Promise<void>
}

/** A sink as the configuration has it. */
export interface NamedSink {
  /** Its offset is kept under this name. */
  readonly name: string
  readonly sink: RecordSink
  /** Where it begins when no offset is kept for it. */
  readonly from: 'now' | 'start'
  /** The kinds of lines that it is given; null: all. */
  readonly kinds: ReadonlySet<LineKind> | null
}

/** A secret as the configuration names it. */
export const SecretPlace = z
  .union([z.strictObject({ file: z.string().min(1) }), z.strictObject({ env: z.string().min(1) })])
  .describe('A secret: { file: … } or { env: … }, never the value itself.')

export type SecretPlace = z.infer<typeof SecretPlace>

/** Whom a TLS client trusts and what it shows. Files in PEM. */
export interface ClientTls {
  readonly ca?: { readonly file: string } | undefined
  readonly cert?: { readonly file: string } | undefined
  readonly key?: SecretPlace | undefined
}

/** An answer as far as sinks look at one. */
export interface SinkAnswer {
  readonly status: number
  /** By lower-case name; null when it is not there. */
  readonly header: (name: string) => string | null
  /** The beginning of the body, at most 64 KiB. */
  readonly body: Buffer
}

/** One POST; rejects when no answer comes. Redirects are not followed, and no proxy is used. */
export type Post = (
  url: string,
  headers: Readonly<Record<string, string>>,
  body: string | Uint8Array,
  signal: AbortSignal,
) => Promise<SinkAnswer>

/** What sinks are handed from outside. */
export interface SinkServices {
  readonly log: Log
  /** Epoch ms. */
  readonly clock: () => number
  /** Reads a configured secret anew; throws when it is not there. */
  readonly secret: (place: SecretPlace) => Secret
  /** Makes what signs the bodies that go to one receiver: the headers to send along. */
  readonly signer: (secret: Secret) => (id: string, body: string) => Readonly<Record<string, string>>
  /** A client of its own connections; throws when a file of it cannot be read. `close` ends the connections. */
  readonly client: (tls: ClientTls) => { readonly post: Post; readonly close: () => Promise<void> }
  /** Path of a file that a sink writes, relative to the folder of the configuration. */
  readonly path: (path: string) => string
  /** Parses JSON text; a key is never given the text of another. */
  readonly parse: (text: string) => unknown
  /** What Countersign calls itself: `source` of events. */
  readonly source: string
  readonly version: string
}

/** What every sink may be told, whatever its type. */
export const sinkSettings = {
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'must be a short lower-case name')
    .optional()
    .describe('What it is called, and its offset is kept under; default: its type.'),
  from: z
    .enum(['now', 'start'])
    .default('now')
    .describe('Where it begins the first time: with the next line, or with the oldest that is there.'),
  kinds: z
    .array(z.enum(['decision', 'outcome', 'refusal', 'event', 'checkpoint']))
    .min(1)
    .optional()
    .describe('Kinds of lines that it is given; default: all of them.'),
}

/** One kind of sink: its `type` in the configuration, the schema of its settings, and how it is opened. */
export interface SinkKind<Config extends z.ZodType> {
  readonly type: string
  readonly config: Config
  /** Throws an Error (no secret in its text) when the settings cannot work. */
  open(config: z.infer<Config>, services: SinkServices): RecordSink
}

/** Declares a kind of sink. List it in `registry.ts`. */
export function defineSink<Config extends z.ZodType>(kind: SinkKind<Config>): SinkKind<Config> {
  return kind
}
