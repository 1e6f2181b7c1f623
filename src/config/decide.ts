import { z } from 'zod'
import { modeConfig, modesConfig } from './modes.ts'
import { policySettings } from './policy-settings.ts'

const bundle = z.strictObject({ path: z.string() }).optional().describe('Compiled policy; absent: the default policy.')

const unlabelled = z
  .enum(['none', 'worst'])
  .default('none')
  .describe('worst: an answer that neither the `data` of its tool nor policy labels counts as class `unclassified`, which may go nowhere.')

/** `decide`: which policy judges, and how much of it is enforced. */
export const decideConfig = z.strictObject({
  bundle,
  mode: modeConfig,
  modes: modesConfig,
  unlabelled,
  environment: z.string().default('production').describe('Name that policy sees.'),
  settings: policySettings,
})
