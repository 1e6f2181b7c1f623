/** Approval channels: one file each and one line here. The configuration union follows from the list. */
import { z } from 'zod'
import type { Channel, ChannelKind, ChannelServices } from './channel.ts'
import { page } from './channels/page.ts'
import { webhook } from './channels/webhook.ts'

/** Every kind of channel. */
export const kinds = [page, webhook] as const

type Schemas<Kinds extends readonly unknown[]> = {
  -readonly [At in keyof Kinds]: Kinds[At] extends { readonly config: infer Schema } ? Schema : never
}

/** Settings of one channel, told apart by `type`. */
export const ChannelConfig = z.discriminatedUnion('type', kinds.map((kind) => kind.config) as unknown as Schemas<typeof kinds>)

export type ChannelConfig = z.infer<typeof ChannelConfig>

/** What a channel is called: its name, or what it is. */
export function nameOf(config: ChannelConfig): string {
  return config.name ?? config.type
}

/** Opens a channel from its checked settings. Throws an Error that names it when the settings cannot work. */
export function openChannel(config: ChannelConfig, services: ChannelServices): Channel {
  const name = nameOf(config)
  const kind = kinds.find(({ type }) => type === config.type) as ChannelKind<z.ZodType<ChannelConfig>> | undefined
  if (!kind) throw new Error(`channel "${name}": unknown type`)
  try {
    return kind.open(name, config, services)
  } catch (error) {
    throw new Error(`channel "${name}": ${error instanceof Error ? error.message : 'it cannot be opened'}`, { cause: error })
  }
}
