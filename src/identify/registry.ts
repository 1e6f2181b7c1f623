import { z } from 'zod'
import { bundle } from './bundle/bundle-source.ts'
import type { IdentitySource } from './identify.ts'
import { jwtSvid } from './jwt-svid/jwt-svid-source.ts'
import { oidc } from './oidc/source.ts'
import type { IdentifyServices, SourceKind } from './source.ts'
import { spiffe } from './spiffe/spiffe-source.ts'

/** Every kind of identity source: one file and one line here. */
export const kinds = [spiffe, bundle, jwtSvid, oidc] as const

type Schemas<Kinds extends readonly unknown[]> = {
  -readonly [At in keyof Kinds]: Kinds[At] extends { readonly config: infer Schema } ? Schema : never
}

/** Settings of one source, told apart by `type`. */
export const SourceConfig = z.discriminatedUnion('type', kinds.map((kind) => kind.config) as unknown as Schemas<typeof kinds>)

export type SourceConfig = z.infer<typeof SourceConfig>

/** The trust domains that settings give to a source by name; none for a kind that learns of trust domains by itself, or has no keys of one. */
export function claimedBy(config: SourceConfig): readonly string[] {
  return 'trust_domain' in config ? [config.trust_domain] : []
}

/**
 * Opens a source from its checked settings: its keys start loading, `ready()` tells when they are there.
 * Throws an Error for settings that can never work.
 */
export function openSource(config: SourceConfig, services: IdentifyServices): IdentitySource {
  const kind = kinds.find(({ type }) => type === config.type) as SourceKind<z.ZodType<SourceConfig>> | undefined
  if (!kind) throw new Error('identify.sources: unknown type')
  return kind.open(config, services)
}
