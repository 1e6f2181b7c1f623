import { z } from 'zod'
import { duration, size } from '../units.ts'
import { exceptions, requires } from './defer-settings.ts'
import { approvals, opening, reauthorise } from './people-settings.ts'
import {
  askOr,
  autonomy,
  calls,
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
import { isZone } from './zone.ts'

const freeze = z
  .array(
    z
      .strictObject({
        from: moment,
        until: moment,
        effects: effects.default(['write', 'send', 'delete', 'execute', 'unknown']),
        tools,
        environments,
        reason: line.default('change freeze').describe('For the record.'),
        effect: denyOr,
      })
      .refine(({ from, until }) => from < until, 'until must come after from'),
  )
  .max(mostRows)
  .optional()
  .describe('Rule `change.freeze`: spans of time in which nothing is changed.')

const clock = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$|^24:00$/, 'must be a time of day such as 08:30')
const hours = z
  .array(
    z.strictObject({
      tools,
      effects,
      autonomy,
      environments,
      days: z
        .array(z.enum(['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']))
        .min(1)
        .default(['mon', 'tue', 'wed', 'thu', 'fri'])
        .describe('Days on which the hours begin.'),
      from: clock.describe('When they begin, such as 08:00.'),
      until: clock.describe('When they end. At or before `from`: on the next day.'),
      zone: z
        .string()
        .refine(isZone, 'must be a zone such as Europe/Berlin, or an offset such as +01:00')
        .default('UTC')
        .describe('Zone, whose summer time is kept, or a fixed offset, which has none.'),
      effect: denyOr,
    }),
  )
  .max(mostRows)
  .optional()
  .describe('Rule `hours.closed`: calls that are made in their hours only.')

const chains = z
  .array(
    z.strictObject({
      id: name.describe('Stands in the record.'),
      steps: patterns.min(2).max(5).describe('Tools in the order that is unsafe; the last is the call that is refused.'),
      within: calls.optional().describe('Calls that all of it lies within, the last included; absent: the task.'),
      effect: denyOr,
    }),
  )
  .max(mostRows)
  .optional()
  .describe('Rule `sequence.chain`: calls that are unsafe in this order.')

const after = z
  .array(
    z
      .strictObject({
        id: name.describe('Stands in the record.'),
        tool: pattern.describe('The call that is judged.'),
        needs: patterns.max(8).default([]).describe('Each must have been called before in the task.'),
        within: calls.optional().describe('Calls within which what it needs must have come; absent: the task.'),
        forbids: patterns.max(8).default([]).describe('None may have been called before in the task.'),
        effect: denyOr,
      })
      .refine(({ needs, forbids }) => needs.length + forbids.length > 0, 'say needs or forbids'),
  )
  .max(mostRows)
  .optional()
  .describe('Rules `sequence.needs` and `sequence.forbids`: what must, and must not, come before a call.')

const firstSeen = z
  .strictObject({
    after: calls.describe('Calls that a task makes before a tool it has not used is new.'),
    tools,
    effects: effects.default(['write', 'send', 'delete', 'execute', 'unknown']),
    autonomy,
  })
  .optional()
  .describe('Rule `sequence.first-seen`: a person looks at a kind of call that comes late in a task for the first time.')

const divergence = z
  .strictObject({
    score: z.int().min(1).max(100).optional().describe('Divergence score (docs/sequence.md) from which on it holds.'),
    denials: calls
      .optional()
      .describe('Refusals by rules of the intent (`intent.…`) from which on it holds; 3 where no score is set, else none.'),
    tools,
    effects,
    autonomy,
    effect: askOr,
  })
  .transform(({ score, denials, ...rest }) => ({
    ...rest,
    ...(score === undefined ? { denials: denials ?? 3 } : { score, ...(denials !== undefined && { denials }) }),
  }))
  .optional()
  .describe('Rule `divergence.escalates`: a task that keeps leaving its intent is taken to a person.')

const customerFacing = z
  .strictObject({
    tools: patterns.min(1).describe('Tools whose effect a customer sees.'),
    autonomy: autonomy.default(['autonomous']),
  })
  .optional()
  .describe('Rule `customer.needs-person`: a person sees it before a customer does.')

const tiers = z
  .array(
    z.strictObject({
      autonomy,
      risks,
      effects,
      egress,
      tools,
      environments,
      effect: askOr,
    }),
  )
  .max(mostRows)
  .optional()
  .describe('Rule `autonomy.tier`: asks or denies beyond the table of autonomy and risk; it loosens nothing.')

const secrets = z
  .strictObject({
    tools: patterns.default([]).describe('Tools that read secrets.'),
    routes: z.array(z.string()).max(64).default([]).describe('Routes that lead to secrets.'),
    paths: patterns.default([]).describe('Paths where secrets are, on any route.'),
    classes: z.array(z.string()).max(64).default(['secret']).describe('Data classes that are secrets.'),
    bound: z.boolean().default(true).describe('Secrets are read by callers that prove a key, by mTLS or DPoP.'),
  })
  .optional()
  .describe('Rules `secrets.unlabelled`, `secrets.bound` and `secrets.egress`.')

const taint = z
  .strictObject({
    decay: z
      .record(z.string(), duration)
      .default({})
      .describe('Data class and how long after its last read it counts no more for where calls may go.'),
    overrides: z
      .array(
        z.strictObject({
          class: z.string().max(64).describe('Data class that is healed.'),
          tool: pattern.default('*').describe('Calls it is healed for: tools.'),
          source: pattern.optional().describe('Heals only what tools of this pattern alone have read in the task.'),
          until: moment,
          by: line.describe('Who answers for it; stands in the record.'),
          reason: line.describe('Why; stands in the record.'),
        }),
      )
      .max(64)
      .default([])
      .describe('Taint that was false, or is accepted for a time.'),
  })
  .optional()
  .describe('Heals what `data.beyond-destination` counts as read. It stands in the labels of the decision.')

const delegation = z
  .strictObject({ depth: z.int().min(0).max(64).describe('How often a task may be handed on.') })
  .optional()
  .describe('Rule `delegation.too-deep`.')

const split = z
  .array(
    z
      .strictObject({
        meter: z.string().min(1).optional().describe('Meter whose amounts are added up, such as refunds_eur.'),
        class: z.string().min(1).max(64).optional().describe('Data class: the bytes that leave while it is known are added up.'),
        above: z
          .union([z.number().min(0), size])
          .describe('Most that may come together: of a meter in its unit, of a class in bytes, such as 10MiB.'),
        within: z.enum(['hour', 'day']).default('hour').describe('Span of time.'),
        per: z.enum(['caller', 'resource']).default('caller').describe('resource: what each resource comes to counts by itself.'),
        effect: denyOr,
      })
      .refine((row) => (row.meter === undefined) !== (row.class === undefined), 'say meter or class'),
  )
  .max(mostRows)
  .optional()
  .describe('Rule `sequence.split`: one act cut into many small ones. Counts from the moment it is set, over all tasks of a caller.')

const budgets = z
  .array(
    z
      .strictObject({
        meter: z.string().min(1).describe('Meter of the task, such as refunds_eur.'),
        above: z.number().min(0).optional().describe('A person is asked about a call that spends more than this at once.'),
        share: z.number().min(0).max(1).optional().describe('A person is asked from when more than this share of the limit is spent.'),
      })
      .refine(({ above, share }) => above !== undefined || share !== undefined, 'say above or share'),
  )
  .max(mostRows)
  .optional()
  .describe('Rules `budget.large` and `budget.nearly-spent`.')

/** `decide.settings`: what the rules of the default policy read as data. A rule whose setting is absent is off. */
export const policySettings = z
  .strictObject({
    freeze,
    hours,
    chains,
    after,
    first_seen: firstSeen,
    divergence,
    customer_facing: customerFacing,
    tiers,
    approvals,
    secrets,
    taint,
    delegation,
    split,
    budgets,
    reauthorise,
    opening,
    requires,
    exceptions,
  })
  .optional()
  .describe('What rules of the default policy are set to. A rule whose setting is absent is off.')

export type PolicySettings = NonNullable<z.infer<typeof policySettings>>
