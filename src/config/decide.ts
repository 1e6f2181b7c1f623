import { z } from 'zod'
import { NotifierConfig } from '../notify/registry.ts'
import { bundleConfig } from './bundle.ts'
import { durationBetween } from '../units.ts'
import { modeConfig, modesConfig } from './modes.ts'
import { policySettings } from './policy-settings.ts'

const bundle = bundleConfig.optional().describe('Compiled policy; absent: the default policy.')

const unlabelled = z
  .enum(['none', 'worst'])
  .default('none')
  .describe('worst: an answer that neither the `data` of its tool nor policy labels counts as class `unclassified`, which may go nowhere.')

const notifiers = z
  .record(z.string().regex(/^(?!ledger$)[a-z0-9][a-z0-9_-]{0,63}$/, 'must be a lower-case name other than ledger'), NotifierConfig)
  .default({})
  .describe('Whom the obligation `notify` of policy may name; `ledger` is always there.')

const evaluation = z
  .strictObject({
    budget: durationBetween(1, 1000)
      .prefault('50ms')
      .describe(
        'What the largest input must stay below when a bundle is activated. On the path a longer evaluation is logged and counted.',
      ),
    stall: durationBetween(100, 60_000)
      .prefault('1s')
      .describe('An evaluation that lasts longer ends the process: nothing else can interrupt it. The next start writes policy.stalled.'),
  })
  .refine(({ budget, stall }) => budget < stall, 'stall must be longer than budget')
  .prefault({})
  .describe('How long one evaluation of policy may take.')

/** `decide`: which policy judges, and how much of it is enforced. */
export const decideConfig = z.strictObject({
  bundle,
  mode: modeConfig,
  modes: modesConfig,
  unlabelled,
  notifiers,
  evaluation,
  environment: z.string().default('production').describe('Name that policy sees.'),
  settings: policySettings,
})
