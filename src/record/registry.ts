/** Record sinks: one file each and one line here. The configuration union follows from the list. */

import { z } from 'zod'
import type { RecordSink, SinkKind, SinkServices } from './sink.ts'
import { stdout } from './stdout.ts'

/** Every kind of sink. */
export const kinds = [stdout] as const

type Schemas<Kinds extends readonly unknown[]> = {
  -readonly [At in keyof Kinds]: Kinds[At] extends { readonly config: infer Schema } ? Schema : never
}

/** Settings of one sink, told apart by `type`. */
export const SinkConfig = z.discriminatedUnion('type', kinds.map((kind) => kind.config) as unknown as Schemas<typeof kinds>)

export type SinkConfig = z.infer<typeof SinkConfig>

/** Opens a sink from its checked settings; throws an Error when it cannot work. */
export function openSink(config: SinkConfig, services: SinkServices): RecordSink {
  const kind = kinds.find(({ type }) => type === config.type) as SinkKind<z.ZodType<SinkConfig>> | undefined
  if (!kind) throw new Error('unknown type of record sink')
  return kind.open(config, services)
}
