import { z } from 'zod'
import { durationBetween } from '../units.ts'
import type { Finding } from './findings.ts'
import type { Place } from './yaml-text.ts'
import type { Config } from './schema.ts'

const most = z.int().min(1).max(1000)
const span = durationBetween(1000, 86_400_000)

const denials = z.strictObject({
  denials: most.describe('Refusals by policy from which on it stops.'),
  in: span.prefault('1m').describe('Time that they lie within.'),
})

const divergence = z.strictObject({
  divergence: z.int().min(1).max(100).describe('Score of how far a task has left its intent, from which on it stops.'),
})

const misuse = z.strictObject({
  credential_misuse: most.describe(
    'Uses of a lent credential outside of its call from which on it stops: an agent presented one as its own, or had an upstream send one back.',
  ),
  in: span.prefault('1h').describe('Time that they lie within.'),
})

/** `task.stops`: what stops a task or an agent without a person. */
export const stopsConfig = z
  .array(
    z.strictObject({
      id: z
        .string()
        .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'must be a short name of a-z, 0-9, ".", "_" and "-"')
        .describe('Stands in the record as `rule:<id>`.'),
      when: z.union([denials, divergence, misuse]).describe('What is counted, and how much of it is too much.'),
      scope: z
        .enum(['task', 'agent'])
        .default('task')
        .describe('What is counted and stopped: one task, or all that is registered as the same agent.'),
      notify: z
        .array(z.string())
        .max(8)
        .default(['ledger'])
        .describe('Notifiers (`decide.notifiers`) that hear of it, with the owners of the agent.'),
    }),
  )
  .max(16)
  .default([])
  .describe('Kills by rule. Only a person lifts them.')

/** Rules of one name, and notifiers that are none. */
export function stopFindings({ task, decide }: Config, place: Place): Finding[] {
  const ids = task.stops.map(({ id }) => id)
  return task.stops.flatMap(({ id, notify }, index) => {
    const path = ['task', 'stops', index]
    const found: Finding[] = []
    if (ids.indexOf(id) !== index) found.push(place('CS1402', 'error', [...path, 'id'], `a stop is called "${id}" already`))
    for (const [at, to] of notify.entries())
      if (to !== 'ledger' && !Object.hasOwn(decide.notifiers, to))
        found.push(place('CS1401', 'error', [...path, 'notify', at], `no notifier is called "${to}"`))
    return found
  })
}
