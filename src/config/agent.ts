/** One registration of an agent, as the configuration, a reviewed file and the admin API all say it. */
import { z } from 'zod'
import { duration, moment } from '../units.ts'

const owner = z.string().min(1).max(256).describe('An address or a team that answers.')
const pattern = z
  .string()
  .max(2048)
  .regex(/^spiffe:\/\/[a-z0-9._-]+(\/[A-Za-z0-9._-]+)*\/(\*|[A-Za-z0-9._-]+)$/, 'must be a SPIFFE ID; its last segment may be *')

const intent = z.strictObject({
  tools: z.array(z.string()).describe('Tools it may use; a trailing * matches the rest of a name.'),
  resources: z.array(z.string()).default([]).describe('Resources it may touch, such as "customer:*".'),
  data: z.array(z.string()).default(['public']).describe('Data classes it may read.'),
  egress: z
    .array(z.enum(['internal', 'partner', 'public']))
    .default(['internal'])
    .describe('Where its calls may go.'),
  budget: z.record(z.string(), z.number().min(0)).default({}).describe('Meter and the most that may be spent; `calls` counts calls.'),
  ttl: duration.prefault('30m').describe('Longest life of a task.'),
})

const bounded = z.array(z.string().min(1).max(256)).max(64)
const reviewer = z.strictObject({
  name: owner.describe('Who looked at it: an address or a team.'),
  out_of_bounds: z
    .strictObject({
      data: bounded.default([]).describe('Data classes that it may not touch.'),
      tools: bounded.default([]).describe('Tools that it may not use; a trailing * matches the rest of a name.'),
      effects: z
        .array(z.enum(['read', 'write', 'send', 'delete', 'execute']))
        .max(5)
        .default([])
        .describe('Kinds of actions that it may not do.'),
    })
    .prefault({})
    .describe('What is refused whatever the intent says: rule `agent.out-of-bounds`.'),
})

/** An entry of `task.agents`, the whole of a file below `task.agents_from`, and what `countersign agents propose` takes. */
export const agentConfig = z.strictObject({
  id: pattern.describe('SPIFFE ID of the workload; its last segment may be *.'),
  purpose: z.string().min(1).max(1024).describe('What it is for.'),
  owners: z
    .strictObject({ business: owner.optional(), security: owner.optional(), incident: owner.optional() })
    .optional()
    .describe('Business owner, security owner and fallback incident owner: all three, or the agent is not live.'),
  reviewers: z
    .strictObject({
      legal: reviewer.optional().describe('What legal puts out of bounds.'),
      compliance: reviewer.optional().describe('What compliance puts out of bounds.'),
    })
    .prefault({})
    .describe('Who says which data and actions are out of bounds for it.'),
  autonomy: z.enum(['supervised', 'bounded', 'autonomous']).describe('How far it goes without a person.'),
  lifecycle: z.enum(['proposed', 'approved', 'live', 'suspended', 'retired']).default('live').describe('Only a live agent may call.'),
  hosting: z
    .enum(['own', 'vendor', 'delegated-admin'])
    .default('own')
    .describe('vendor, delegated-admin: others run it. It is let in by TLS listeners alone, by a certificate or an OIDC token.'),
  environment: z
    .string()
    .min(1)
    .max(256)
    .optional()
    .describe('Where it is registered for, such as production: elsewhere (`decide.environment`) it is not live. Absent: anywhere.'),
  valid_until: moment.optional().describe('When the registration ends: from then on the agent is not live.'),
  approved: z
    .strictObject({
      model: z.string().optional().describe('The model it was approved with.'),
      toolchain: z.string().optional().describe('What it is built with, such as a commit.'),
      until: moment.optional().describe('When the approval lapses: from then on the agent is not live.'),
    })
    .prefault({})
    .describe('What it was approved with, and until when.'),
  intent: intent.describe('The widest a task of this agent may be.'),
  implicit: z
    .union([z.boolean(), z.strictObject({ max: duration.describe('Hard maximum life.') })])
    .default(false)
    .describe('Calls without a task get one of this intent.'),
  opens_for: z
    .array(pattern)
    .default([])
    .describe(
      'Callers it may open tasks for, as their orchestrator; a last segment * matches any. Each such task is bound to that caller.',
    ),
  labels: z.record(z.string(), z.string()).default({}).describe('Whatever else policy should know of it.'),
})

export type AgentConfig = z.infer<typeof agentConfig>
