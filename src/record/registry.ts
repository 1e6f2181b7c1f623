/** Record sinks: one file each and one line here. The configuration union follows from the list. */

import { z } from 'zod'
import type { NamedSink, SinkKind, SinkServices } from './sink.ts'
import { file } from './sinks/file.ts'
import { opa } from './sinks/opa.ts'
import { otlp } from './sinks/otlp.ts'
import { stdout } from './sinks/stdout.ts'
import { webhook } from './sinks/webhook.ts'

/** Every kind of sink. */
export const kinds = [stdout, file, opa, otlp, webhook] as const

type Schemas<Kinds extends readonly unknown[]> = {
  -readonly [At in keyof Kinds]: Kinds[At] extends { readonly config: infer Schema } ? Schema : never
}

/** Settings of one sink, told apart by `type`. */
export const SinkConfig = z.discriminatedUnion('type', kinds.map((kind) => kind.config) as unknown as Schemas<typeof kinds>)

export type SinkConfig = z.infer<typeof SinkConfig>

/** Sinks of one configuration: no two share a name, for each has an offset of its own. */
export const SinkConfigs = z.array(SinkConfig).superRefine((sinks, context) => {
  const names = sinks.map(sinkName)
  for (const [at, name] of names.entries())
    if (names.indexOf(name) < at)
      context.addIssue({ code: 'custom', path: [at, 'name'], message: `another sink is called "${name}": give each a name of its own` })
})

/** What a sink is called: its offset is kept under that. */
export function sinkName({ name, type }: Pick<SinkConfig, 'name' | 'type'>): string {
  return name ?? type
}

/** Opens a sink from its checked settings. Throws an Error that names it when it cannot work. */
export function openSink(config: SinkConfig, services: SinkServices): NamedSink {
  const name = sinkName(config)
  const kind = kinds.find(({ type }) => type === config.type) as SinkKind<z.ZodType<SinkConfig>> | undefined
  if (!kind) throw new Error(`record sink "${name}": unknown type`)
  try {
    const { from, kinds: wanted } = config
    return { name, from, kinds: wanted === undefined ? null : new Set(wanted), sink: kind.open(config, services) }
  } catch (error) {
    throw new Error(`record sink "${name}": ${error instanceof Error ? error.message : 'it cannot be opened'}`, { cause: error })
  }
}
