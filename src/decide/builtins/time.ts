/** Clock and calendar. The time of an evaluation is one moment for all of it. */

import type { Term } from '../term.ts'
import { int64, withText, withTexts } from './argument.ts'
import type { Builtin } from './builtin.ts'
import { parseDuration } from './duration.ts'
import { civilOf, daysIn, momentAt, momentOf, type Moment } from './instant.ts'
import { weekdays } from './layout.ts'
import { formatTime } from './time-format.ts'
import { parseTime } from './time-parse.ts'

export const timeBuiltins: Readonly<Record<string, Builtin>> = {
  'time.add_date': (_, moment, ...counts) => ofMoment(moment, (given) => addDate(given, counts.map(int64))),
  'time.clock': (_, moment) =>
    ofMoment(moment, ({ ns, zone }) => {
      const { hour, minute, second } = civilOf(ns, zone)
      return `[${hour},${minute},${second}]`
    }),
  'time.date': (_, moment) =>
    ofMoment(moment, ({ ns, zone }) => {
      const { year, month, day } = civilOf(ns, zone)
      return `[${year},${month},${day}]`
    }),
  'time.diff': (_, one, other) => ofMoment(one, (a) => ofMoment(other, (b) => difference(a, b))),
  'time.format': (_, moment) =>
    ofMoment(moment, ({ ns, zone, layout }) => JSON.stringify(formatTime(ns, zone, layout === '' ? 'RFC3339Nano' : layout))),
  // Nanoseconds do not fit a double; as text the engine keeps every digit.
  'time.now_ns': (evaluation) => `${evaluation.now()}000000`,
  'time.parse_duration_ns': withText((value) => parseDuration(value)?.toString()),
  'time.parse_ns': withTexts((layout, value) => parseTime(layout, value)?.toString()),
  'time.parse_rfc3339_ns': withText((value) => parseTime('RFC3339', value)?.toString()),
  'time.weekday': (_, moment) => ofMoment(moment, ({ ns, zone }) => JSON.stringify(weekdays[civilOf(ns, zone).weekday])),
}

function ofMoment(term: Term | undefined, of: (moment: Moment) => string | undefined): string | undefined {
  const moment = momentOf(term)
  return moment === undefined ? undefined : of(moment)
}

function addDate({ ns, zone }: Moment, [years, months, days]: readonly (bigint | undefined)[]): string | undefined {
  if (years === undefined || months === undefined || days === undefined) return undefined
  const civil = civilOf(ns, zone)
  const [year, month, day] = [civil.year + Number(years), civil.month + Number(months), civil.day + Number(days)]
  return momentAt({ ...civil, year, month, day }, zone)?.toString()
}

/** Years, months, days, hours, minutes and seconds between two moments, on the wall of the first one's zone. */
function difference(a: Moment, b: Moment): string {
  const [early, late] = a.ns > b.ns ? [b.ns, a.ns] : [a.ns, b.ns]
  const from = civilOf(early, a.zone)
  const to = civilOf(late, a.zone)
  let [years, months, days] = [to.year - from.year, to.month - from.month, to.day - from.day]
  let [hours, minutes, seconds] = [to.hour - from.hour, to.minute - from.minute, to.second - from.second]
  if (seconds < 0) [seconds, minutes] = [seconds + 60, minutes - 1]
  if (minutes < 0) [minutes, hours] = [minutes + 60, hours - 1]
  if (hours < 0) [hours, days] = [hours + 24, days - 1]
  if (days < 0) [days, months] = [days + daysIn(from.year, from.month), months - 1]
  if (months < 0) [months, years] = [months + 12, years - 1]
  return `[${[years, months, days, hours, minutes, seconds].join(',')}]`
}
