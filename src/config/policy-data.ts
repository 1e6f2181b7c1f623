/** The settings of the rules as policy reads them: `data.countersign.settings`. */
import type { PolicySettings } from './policy-settings.ts'
import { offsetsOf } from './zone.ts'

const days = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']

/**
 * Gives what `rego/schemas/settings.json` describes: times in epoch ms, times of day in minutes, days from 1 (Monday), zones as
 * offsets, and null where a rule looks for a member that was left out. `now` in epoch ms: its year is where zones begin.
 */
export function policyData(settings: PolicySettings, now: number): Readonly<Record<string, unknown>> {
  const { hours, chains, after, taint, requires, exceptions } = settings
  return withoutUndefined({
    ...settings,
    hours: hours?.map((row) => ({
      ...withoutUndefined(row),
      days: row.days.map((name) => days.indexOf(name) + 1),
      from: minuteOf(row.from),
      until: minuteOf(row.until),
      zone: offsetsOf(row.zone, now),
    })),
    chains: chains?.map((row) => ({ ...row, within: row.within ?? null })),
    after: after?.map((row) => ({ ...row, within: row.within ?? null })),
    requires: requires?.map(withoutUndefined),
    exceptions: exceptions?.map(withoutUndefined),
    taint: taint && { ...taint, overrides: taint.overrides.map((one) => ({ ...one, source: one.source ?? null })) },
  })
}

function minuteOf(clock: string): number {
  return Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3))
}

function withoutUndefined(record: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined))
}
