import { z } from 'zod'
import { signalName } from '../state/signals.ts'
import { durationBetween } from '../units.ts'
import {
  autonomy,
  denyOr,
  effects,
  egress,
  environments,
  line,
  moment,
  mostRows,
  name,
  pattern,
  patterns,
  risks,
  tools,
} from './setting-words.ts'

const value = z.union([z.string().min(1).max(256), z.number(), z.boolean()])

export const requires = z
  .array(
    z.strictObject({
      id: name.describe('Stands in the record.'),
      signal: z.string().regex(signalName, 'must be a name such as malware-scan').describe('The signal that must be there.'),
      equals: value.optional().describe('What it must say; absent: anything.'),
      otherwise: denyOr.describe('What comes of a signal that says something else.'),
      hold: durationBetween(1, 55_000)
        .optional()
        .describe('How long a call waits for it; absent: `approve.defer.hold`, which is also the most.'),
      tools,
      effects,
      risks,
      egress,
      autonomy,
      environments,
    }),
  )
  .max(mostRows)
  .optional()
  .describe('Rule `signals.required`: calls that wait until a signal from outside is there.')

export const exceptions = z
  .array(
    z.strictObject({
      id: name.describe('Stands in the record.'),
      lifts: patterns
        .min(1)
        .describe('Ids of rules, a trailing * matches the rest. Never lifts what is forbidden, or is about sequences and data.'),
      tools,
      effects,
      environments,
      after: z.array(pattern).max(8).default([]).describe('Each must have been called before in the task.'),
      until: moment,
      by: line.describe('Who answers for it; stands in the record.'),
      reason: line.describe('Why; stands in the record.'),
      priority: z
        .int()
        .min(-100)
        .max(100)
        .default(0)
        .describe('Above that of the rule (0, where it does not say) it lifts the denial; the same is a conflict: the call waits.'),
    }),
  )
  .max(mostRows)
  .optional()
  .describe('What context allows although a rule denies it. Rule `conflict.equal` where neither has priority.')
