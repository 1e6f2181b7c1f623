import { z } from 'zod'
import { ProviderConfig } from '../credential/registry.ts'
import { SourceConfig } from '../identify/registry.ts'
import { approveConfig } from './approve.ts'
import { decideConfig } from './decide.ts'
import { forwardConfig } from './forward.ts'
import { adminConfig, listenConfig } from './listen.ts'
import { recordConfig } from './record.ts'
import { taskConfig } from './task.ts'
import { durationBetween } from '../units.ts'

// code made for a schema pays when it is used often; a configuration is read once
z.config({ jitless: true })

const identifyConfig = z.strictObject({
  audience: z.string().min(1).describe('What a token must be meant for: the SPIFFE ID of this Countersign.'),
  sources: z.array(SourceConfig).min(1).describe('Ways to verify who is calling.'),
  dpop: z
    .strictObject({
      window: durationBetween(5000, 300_000).prefault('60s').describe('How long after it was made a proof is good.'),
      nonce: z
        .enum(['as-needed', 'required'])
        .default('as-needed')
        .describe(
          'required: every proof holds a nonce of ours. as-needed: only one from before a start, or from a time that our clock has shown before.',
        ),
    })
    .prefault({})
    .describe('Proofs that the sender of a DPoP-bound token holds its key. Each is good once, in one process.'),
})

const revocationConfig = z
  .strictObject({
    within: durationBetween(1000, 86_400_000)
      .prefault('60s')
      .describe('How long taking a credential back may last before it is overdue. It is tried again until the credential expires.'),
    notify: z
      .array(z.string())
      .max(8)
      .optional()
      .describe('Notifiers (`decide.notifiers`) that hear of a credential that cannot be taken back; default: all of them.'),
  })
  .describe('When leases end at their issuers.')

const credentialConfig = z.strictObject({
  issuer: z.url().optional().describe('`iss` of the tokens that Countersign mints; default: the health URL.'),
  key: z.strictObject({ file: z.string() }).optional().describe('ES256 key for minted tokens and actor tokens; made at first start.'),
  providers: z
    .record(z.string().regex(/^[a-z0-9][a-z0-9_-]*$/), ProviderConfig)
    .default({})
    .describe('Credential providers by name.'),
  revocation: revocationConfig.prefault({}),
})

/** The whole configuration: top-level keys are the stage names, plus `version` and `admin`. */
export const configSchema = z.strictObject({
  version: z.literal(1),
  include: z
    .array(z.string().min(1))
    .max(64)
    .default([])
    .describe('Files, and folders of files, that hold more of the configuration: maps are joined, lists put one behind the other.'),
  listen: listenConfig.prefault({}),
  admin: adminConfig.prefault({}),
  identify: identifyConfig,
  task: taskConfig,
  decide: decideConfig.prefault({}),
  approve: approveConfig.prefault({}),
  credential: credentialConfig.prefault({}),
  forward: forwardConfig,
  record: recordConfig,
})

/** A configuration as the stages use it: durations in ms, sizes in bytes, defaults filled in. */
export type Config = z.infer<typeof configSchema>

/** JSON Schema (2020-12) of what a person writes: defaults optional, durations and sizes as text. */
export function jsonSchema(): object {
  const schema = z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' })
  return { title: 'Countersign configuration', ...schema }
}
