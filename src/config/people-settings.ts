/** Settings of rules that people answer. */
import { z } from 'zod'
import { durationBetween } from '../units.ts'
import { askOr, autonomy, effects, egress, environments, mostRows, risks, tools } from './setting-words.ts'

const who = z
  .string()
  .max(256)
  .regex(/^(group|person):[^\p{C}\p{Z}]+$/u, 'must be group:<name> or person:<name>')

export const approvals = z
  .strictObject({
    who: z
      .array(
        z.strictObject({
          approvers: z.array(who).min(1).max(32).describe('Who may answer.'),
          quorum: z.int().min(1).max(16).default(1).describe('How many different people of them must say yes.'),
          ttl: durationBetween(10_000, 604_800_000).optional().describe('How long they may answer; absent: `approve.ttl`.'),
          autonomy,
          tasks: z
            .array(z.enum(['open', 'resume']))
            .min(1)
            .optional()
            .describe('It says who lets a task be opened, or go on, and is about no call.'),
          risks,
          effects,
          egress,
          tools,
          environments,
        }),
      )
      .max(mostRows)
      .default([])
      .describe(
        'Who answers which calls, and with `tasks` which tasks: the first row that fits counts. Absent, or none fits: one approver, whoever that is.',
      ),
    single: z
      .array(z.string().max(128))
      .max(64)
      .default([])
      .describe('Ids of rules whose question is answered for the one call, never by an objective. A critical risk always is.'),
  })
  .optional()
  .describe('Who answers what rules ask, and what needs an answer of its own.')

export const reauthorise = z
  .array(
    z.strictObject({
      causes: z
        .array(z.enum(['session', 'idle', 'policy']))
        .min(1)
        .describe('Another session of its caller, a silence (`task.reauthorise.idle`), another policy revision.'),
      autonomy,
      environments,
      effect: askOr,
    }),
  )
  .max(mostRows)
  .optional()
  .describe('Rule `task.reauthorised`: active tasks that go on only after a person has said so.')

export const opening = z
  .array(
    z.strictObject({
      openers: z
        .array(z.enum(['self', 'implicit', 'orchestrator', 'person', 'hand-off']))
        .min(1)
        .optional()
        .describe(
          'Who opens it: its caller, a call without a task, an orchestrator, a person, or another task that hands it on; absent: all.',
        ),
      autonomy,
      environments,
      effect: askOr,
    }),
  )
  .max(mostRows)
  .optional()
  .describe('Rule `task.opened`: tasks that are opened only after a person has said so.')
