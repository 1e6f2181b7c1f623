/** Words that the settings of the default policy are made of. */
import { z } from 'zod'

export const name = z
  .string()
  .max(64)
  .regex(/^[a-z0-9][a-z0-9._-]*$/, 'must be a short name of a-z, 0-9, ".", "_" and "-"')
export const pattern = z.string().min(1).max(256)
export const patterns = z.array(pattern).max(64)
export const line = z
  .string()
  .max(100)
  .regex(/^[^\p{C}\p{Zl}\p{Zp}]+$/u, 'must be one line of text')
export const moment = z.iso
  .datetime({ offset: true })
  .transform((text) => Date.parse(text))
  .describe('Time with its offset, such as 2026-12-18T18:00:00+01:00.')
export const denyOr = z.enum(['deny', 'ask']).default('deny').describe('What comes of it.')
export const askOr = z.enum(['ask', 'deny']).default('ask').describe('What comes of it.')
/** An evaluation cannot be interrupted: with all rows at their caps it stays within the budget of one. */
export const mostRows = 32
export const calls = z.int().min(1).max(1_000_000)

export const tools = patterns.min(1).optional().describe('Tools it is about, a trailing * matches the rest; absent: all.')
export const effects = z
  .array(z.enum(['read', 'write', 'send', 'delete', 'execute', 'unknown']))
  .min(1)
  .optional()
  .describe('Effects it is about; absent: all.')
export const autonomy = z
  .array(z.enum(['supervised', 'bounded', 'autonomous']))
  .min(1)
  .optional()
  .describe('Tiers of agents it is about; absent: all.')
export const environments = z.array(z.string()).min(1).optional().describe('Environments it is about (`decide.environment`); absent: all.')
export const risks = z
  .array(z.enum(['low', 'medium', 'high', 'critical']))
  .min(1)
  .optional()
  .describe('Risks it is about; absent: all.')
export const egress = z
  .array(z.enum(['internal', 'partner', 'public']))
  .min(1)
  .optional()
  .describe('Destinations it is about; absent: all.')
