import { z } from 'zod'
import { answering } from './approval.ts'
import { azure } from './azure.ts'
import type { CredentialProvider } from './credential.ts'
import { aws } from './aws.ts'
import { exec } from './exec.ts'
import { gcp } from './gcp.ts'
import { github } from './github.ts'
import { jwt } from './jwt.ts'
import { kubernetes } from './kubernetes.ts'
import { oauth } from './oauth.ts'
import type { ProviderKind, ProviderServices, StandingSecret } from './provider.ts'
import { fixed } from './static.ts'
import { vault } from './vault.ts'

/** Every kind of provider: one file and one line here. */
export const kinds = [jwt, oauth, vault, github, kubernetes, aws, gcp, azure, exec, fixed] as const

type Answered<Schema> = Schema extends z.ZodObject<infer Shape, infer Config> ? z.ZodObject<Shape & typeof answering, Config> : never
type Schemas<Kinds extends readonly unknown[]> = {
  -readonly [At in keyof Kinds]: Kinds[At] extends { readonly config: infer Schema } ? Answered<Schema> : never
}

/** Settings of one provider, told apart by `type`; whatever that is, somebody may answer for it. */
export const ProviderConfig = z.discriminatedUnion(
  'type',
  kinds.map(({ config }) => config.extend(answering).describe(config.description ?? '')) as unknown as Schemas<typeof kinds>,
)

export type ProviderConfig = z.infer<typeof ProviderConfig>

/** The standing secrets of a provider's settings. */
export function standingOf(config: ProviderConfig): readonly StandingSecret[] {
  const kind = kinds.find(({ type }) => type === config.type) as ProviderKind<z.ZodType<ProviderConfig>> | undefined
  return kind?.standing?.(config) ?? []
}

/** Opens a provider from its checked settings. Throws an Error that names it when the settings cannot work. */
export function openProvider(name: string, config: ProviderConfig, services: ProviderServices): CredentialProvider {
  const kind = kinds.find(({ type }) => type === config.type) as ProviderKind<z.ZodType<ProviderConfig>> | undefined
  if (!kind) throw new Error(`credential provider "${name}": unknown type`)
  try {
    return kind.open(config, services)
  } catch (error) {
    const why = error instanceof Error ? error.message : 'it cannot be opened'
    throw new Error(`credential provider "${name}": ${why}`, { cause: error })
  }
}
