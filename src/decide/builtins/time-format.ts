/** A moment as text, by a layout. */

import { BuiltinLimit } from './builtin.ts'
import { civilOf, type Civil } from './instant.ts'
import { months, readLayout, weekdays } from './layout.ts'

/** Throws BuiltinLimit where the short name of a zone is asked for: the runtime does not know those. */
export function formatTime(ns: bigint, zone: string, layout: string): string {
  const civil = civilOf(ns, zone)
  return readLayout(layout)
    .map(({ element, literal }) => (element === null ? literal : write(element, civil, zone)))
    .join('')
}

const simple: Readonly<Record<string, (civil: Civil) => string>> = {
  '2006': ({ year }) => pad(year, 4),
  '06': ({ year }) => pad(year % 100, 2),
  January: ({ month }) => months[month - 1] ?? '',
  Jan: ({ month }) => (months[month - 1] ?? '').slice(0, 3),
  '01': ({ month }) => pad(month, 2),
  '1': ({ month }) => String(month),
  Monday: ({ weekday }) => weekdays[weekday] ?? '',
  Mon: ({ weekday }) => (weekdays[weekday] ?? '').slice(0, 3),
  '02': ({ day }) => pad(day, 2),
  _2: ({ day }) => String(day).padStart(2),
  '2': ({ day }) => String(day),
  '002': ({ yearDay }) => pad(yearDay, 3),
  __2: ({ yearDay }) => String(yearDay).padStart(3),
  '15': ({ hour }) => pad(hour, 2),
  '03': ({ hour }) => pad(hour % 12 || 12, 2),
  '3': ({ hour }) => String(hour % 12 || 12),
  '04': ({ minute }) => pad(minute, 2),
  '4': ({ minute }) => String(minute),
  '05': ({ second }) => pad(second, 2),
  '5': ({ second }) => String(second),
  PM: ({ hour }) => (hour >= 12 ? 'PM' : 'AM'),
  pm: ({ hour }) => (hour >= 12 ? 'pm' : 'am'),
}

function write(element: string, civil: Civil, zone: string): string {
  const known = simple[element]
  if (known !== undefined) return known(civil)
  if (element === 'MST') {
    if (zone !== 'UTC') throw new BuiltinLimit('time.format knows the short name of UTC alone: write -0700 in the layout')
    return 'UTC'
  }
  return element.startsWith('.') || element.startsWith(',') ? fraction(element, civil.nanosecond) : offset(element, civil.offset)
}

function fraction(element: string, nanosecond: number): string {
  const digits = pad(nanosecond, 9).slice(0, element.length - 1)
  const kept = element.charAt(1) === '9' ? digits.replace(/0+$/, '') : digits
  return kept === '' ? '' : element.charAt(0) + kept
}

function offset(element: string, seconds: number): string {
  if (element.startsWith('Z') && seconds === 0) return 'Z'
  const magnitude = Math.abs(seconds)
  const colon = element.includes(':') ? ':' : ''
  const parts = [pad(Math.floor(magnitude / 3600), 2), pad(Math.floor(magnitude / 60) % 60, 2), pad(magnitude % 60, 2)]
  // A west offset of less than a minute counts no minutes, and no sign.
  const sign = Math.trunc(seconds / 60) < 0 ? '-' : '+'
  return sign + parts.slice(0, element.replaceAll(':', '').length === 3 ? 1 : element.replaceAll(':', '').length === 5 ? 2 : 3).join(colon)
}

function pad(value: number, length: number): string {
  return String(value).padStart(length, '0')
}
