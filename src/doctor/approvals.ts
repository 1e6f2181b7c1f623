/** Holds every approval that ends against the clock. */
import { agentsOf } from '../config/catalogue.ts'
import type { Config } from '../config/schema.ts'
import { aboutLapse, lapsesOf } from '../lapses.ts'
import { error, ok, warning, type Check } from './findings.ts'

const subject = 'approvals'
const fix = 'Have it looked at again by whoever approved it, and write the new end down (`until`, or `valid_until` of an agent).'

/** What files declare; what came through the admin API, a running Countersign says. `now`: epoch ms. */
export function approvalChecks(config: Config, now: number): Check[] {
  const lapses = lapsesOf(config, agentsOf(config))
  const checks = lapses.flatMap((lapse) => {
    const seen = aboutLapse(lapse, now)?.message
    if (seen === undefined) return []
    return [lapse.until <= now ? error('CS2701', { subject, seen, fix }) : warning('CS2702', { subject, seen, fix })]
  })
  if (checks.length > 0 || lapses.length === 0) return checks
  return [ok(subject, `none of ${lapses.length} that end does so soon`)]
}
