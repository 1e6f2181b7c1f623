/** What a notifier is: someone whom policy tells something. */

import type { z } from 'zod'
import type { ReadSecret } from '../credential/secret-ref.ts'

/** A notice as CloudEvents 1.0 has it (JSON format). */
export interface NoticeEvent {
  readonly specversion: '1.0'
  /** The same when it is delivered again. */
  readonly id: string
  readonly source: string
  readonly type: string
  /** RFC 3339. */
  readonly time: string
  /** The task. */
  readonly subject: string
  readonly datacontenttype: 'application/json'
  readonly data: Readonly<Record<string, unknown>>
}

export interface Notifier {
  readonly type: string
  /** Resolves when it was taken; rejects, with no secret in the text, when it must be tried again. Obeys the signal. */
  deliver(event: NoticeEvent, signal: AbortSignal): Promise<void>
}

/** What notifiers are handed from outside. */
export interface NotifierServices {
  /** Epoch ms. */
  readonly clock: () => number
  readonly secret: ReadSecret
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>
}

/** One kind of notifier: its `type` in the configuration, the schema of its settings, and how it is opened. */
export interface NotifierKind<Config extends z.ZodType> {
  readonly type: string
  readonly config: Config
  /** Throws an Error (no secret in its text) when the settings cannot work, so that a bad configuration never goes live. */
  open(config: z.infer<Config>, services: NotifierServices): Notifier
}

/** Declares a kind of notifier. List it in `registry.ts`. */
export function defineNotifier<Config extends z.ZodType>(kind: NotifierKind<Config>): NotifierKind<Config> {
  return kind
}
