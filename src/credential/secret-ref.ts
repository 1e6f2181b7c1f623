import { z } from 'zod'
import type { Secret } from '../secret.ts'

/** Where a secret is found. A literal secret in a configuration is a schema error. */
export const SecretRef = z
  .union([z.strictObject({ file: z.string().min(1) }), z.strictObject({ env: z.string().min(1) })])
  .describe('A secret: { file: … } or { env: … }, never the value itself.')

export type SecretRef = z.infer<typeof SecretRef>

/** Reads a secret anew; throws when it is not there. */
export type ReadSecret = (ref: SecretRef) => Secret
