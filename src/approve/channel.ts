/** What an approval channel is: a way to tell people that something is asked of them. */
import { z } from 'zod'
import type { Secret } from '../secret.ts'
import type { ApprovalRow } from '../state/approvals.ts'

/** Something that people are told about an approval. */
export interface ApprovalNotice {
  /** The same when it is delivered again. */
  readonly id: string
  /** `escalated`: nobody has answered for so long that the incident owner is told. `closed`: nothing more can be answered. */
  readonly kind: 'asked' | 'answered' | 'closed' | 'escalated' | 'break-glass'
  readonly row: ApprovalRow
  /** Where it is answered, with nothing in it but the approval's id; null without a `public_url`. */
  readonly link: string | null
  /** Whom it is for, where it is for somebody: the incident owner. */
  readonly owner: string | null
  /** Epoch ms. */
  readonly at: number
}

/** Somebody who pressed a button in a chat. */
export interface ChatPerson {
  readonly name: string
  readonly groups: readonly string[]
}

/** What came of a request that says it is from a chat. */
export type ChatAnswer =
  | { readonly ok: false; readonly why: string }
  | {
      readonly ok: true
      readonly approval: string
      readonly verdict: 'approve' | 'decline'
      readonly reason: string
      readonly person: ChatPerson
    }

/** Answers given in a chat itself: only for risks that the operator has named. */
export interface Chat {
  readonly risks: readonly string[]
  /** Verifies that the chat sent this, now and once, and reads it. Never throws. */
  read(headers: Readonly<Record<string, string | readonly string[] | undefined>>, body: string): ChatAnswer
}

export interface Channel {
  readonly type: string
  readonly name: string
  /** Null: nobody answers through it, it only tells. */
  readonly chat: Chat | null
  /** Null: people look there by themselves. Resolves when it was taken; rejects, with no secret in the text, when it must be tried again. */
  readonly deliver: ((notice: ApprovalNotice, signal: AbortSignal) => Promise<void>) | null
}

/** Signs a body for its receiver: the headers to send with it. */
export type Sign = (id: string, body: string) => Readonly<Record<string, string>>

/** A secret as the configuration names it. */
export const SecretPlace = z
  .union([z.strictObject({ file: z.string().min(1) }), z.strictObject({ env: z.string().min(1) })])
  .describe('A secret: { file: … } or { env: … }, never the value itself.')

export type SecretPlace = z.infer<typeof SecretPlace>

/** What channels are handed from outside. */
export interface ChannelServices {
  /** Epoch ms. */
  readonly clock: () => number
  /** Reads a configured secret; throws when it is not there. */
  readonly secret: (place: SecretPlace) => Secret
  /** Makes what signs the bodies that go to one receiver. Throws for a secret that cannot sign. */
  readonly signer: (secret: Secret) => Sign
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>
  /** Reads JSON strictly; throws for anything else. */
  readonly parseJson: (text: string) => unknown
  /** What Countersign calls itself: `source` of the events. */
  readonly source: string
}

/** Name of a channel in the configuration. */
export const channelName = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'must be a short lower-case name')

/** One kind of channel: its `type` in the configuration, the schema of its settings, and how it is opened. */
export interface ChannelKind<Config extends z.ZodType> {
  readonly type: string
  readonly config: Config
  /** Throws an Error (no secret in its text) when the settings cannot work, so that a bad configuration never goes live. */
  open(name: string, config: z.infer<Config>, services: ChannelServices): Channel
}

/** Declares a kind of channel. List it in `registry.ts`. */
export function defineChannel<Config extends z.ZodType>(kind: ChannelKind<Config>): ChannelKind<Config> {
  return kind
}
