import { z } from 'zod'

const bundle = z.strictObject({ path: z.string() }).optional().describe('Compiled policy; absent: the default policy.')

const mode = z.enum(['enforce', 'observe']).default('enforce').describe('observe: rules marked observable are recorded, not enforced.')

/** `decide`: which policy judges, and how much of it is enforced. */
export const decideConfig = z.strictObject({
  bundle,
  mode,
  environment: z.string().default('production').describe('Name that policy sees.'),
})
