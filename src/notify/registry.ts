/** Notifiers: one file each and one line here. The configuration union follows from the list. */

import { z } from 'zod'
import type { Notifier, NotifierKind, NotifierServices } from './notifier.ts'
import { webhook } from './webhook.ts'

/** Every kind of notifier. */
export const kinds = [webhook] as const

type Schemas<Kinds extends readonly unknown[]> = {
  -readonly [At in keyof Kinds]: Kinds[At] extends { readonly config: infer Schema } ? Schema : never
}

/** Settings of one notifier, told apart by `type`. */
export const NotifierConfig = z.discriminatedUnion('type', kinds.map((kind) => kind.config) as unknown as Schemas<typeof kinds>)

export type NotifierConfig = z.infer<typeof NotifierConfig>

/** The name under which a notice goes to the ledger and nowhere else; no notifier is called that. */
export const ledgerOnly = 'ledger'

/** Opens a notifier from its checked settings. Throws an Error that names it when the settings cannot work. */
export function openNotifier(name: string, config: NotifierConfig, services: NotifierServices): Notifier {
  const kind = kinds.find(({ type }) => type === config.type) as NotifierKind<z.ZodType<NotifierConfig>> | undefined
  if (!kind) throw new Error(`notifier "${name}": unknown type`)
  try {
    return kind.open(config, services)
  } catch (error) {
    throw new Error(`notifier "${name}": ${error instanceof Error ? error.message : 'it cannot be opened'}`, { cause: error })
  }
}
