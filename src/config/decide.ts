import { z } from 'zod'
import { modeConfig, modesConfig } from './modes.ts'

const bundle = z.strictObject({ path: z.string() }).optional().describe('Compiled policy; absent: the default policy.')

/** `decide`: which policy judges, and how much of it is enforced. */
export const decideConfig = z.strictObject({
  bundle,
  mode: modeConfig,
  modes: modesConfig,
  environment: z.string().default('production').describe('Name that policy sees.'),
})
