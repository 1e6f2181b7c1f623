/** Moments: nanoseconds since 1970 in 64 bits, the calendar, and time zones. */

import type { Term } from '../term.ts'
import { integer, least64, most64 } from './argument.ts'

/** A moment as policy gives it: nanoseconds, or `[nanoseconds, zone, layout]`. */
export interface Moment {
  readonly ns: bigint
  /** A name of the IANA database, as it is written there. */
  readonly zone: string
  readonly layout: string
}

export function momentOf(term: Term | undefined): Moment | undefined {
  const [number, zone, layout] = term?.kind === 'array' ? term.items : [term]
  const ns = integer(number)
  if (ns === undefined || !fits(ns)) return undefined
  if ((zone !== undefined && zone.kind !== 'string') || (layout !== undefined && layout.kind !== 'string')) return undefined
  const name = zone === undefined || zone.value === '' ? 'UTC' : zone.value
  return isZone(name) ? { ns, zone: name, layout: layout?.value ?? '' } : undefined
}

/** From 1677-09-21 to 2262-04-11. */
export function fits(ns: bigint): boolean {
  return ns >= least64 && ns <= most64
}

/** Names as the database writes them. `Local` is none: what it means is not in the input. */
function isZone(name: string): boolean {
  if (name === 'UTC') return true
  if (!/^[A-Za-z]/.test(name)) return false
  try {
    return new Temporal.ZonedDateTime(0n, name).timeZoneId === name
  } catch {
    return false
  }
}

/** Seconds east of Greenwich, at a moment in epoch seconds. */
export function offsetAt(seconds: number, zone: string): number {
  return zone === 'UTC' ? 0 : new Temporal.ZonedDateTime(BigInt(seconds) * 1_000_000_000n, zone).offsetNanoseconds / 1e9
}

/** What a calendar and a clock on the wall show. */
export interface Civil {
  readonly year: number
  /** From 1. */
  readonly month: number
  readonly day: number
  readonly hour: number
  readonly minute: number
  readonly second: number
  readonly nanosecond: number
  /** 0 is Sunday. */
  readonly weekday: number
  /** From 1. */
  readonly yearDay: number
  readonly offset: number
}

export function civilOf(ns: bigint, zone: string): Civil {
  const nanosecond = Number(((ns % billion) + billion) % billion)
  const seconds = Number((ns - BigInt(nanosecond)) / billion)
  const offset = offsetAt(seconds, zone)
  const shown = new Date((seconds + offset) * 1000)
  const year = shown.getUTCFullYear()
  return {
    year,
    month: shown.getUTCMonth() + 1,
    day: shown.getUTCDate(),
    hour: shown.getUTCHours(),
    minute: shown.getUTCMinutes(),
    second: shown.getUTCSeconds(),
    nanosecond,
    weekday: shown.getUTCDay(),
    yearDay: Math.floor((shown.getTime() - Date.UTC(year, 0)) / 86_400_000) + 1,
    offset,
  }
}

const billion = 1_000_000_000n

/**
 * Nanoseconds of what a calendar shows in a zone; days and months beyond their end count on. A moment that a change of the clock skips or
 * repeats gets the offset from before it. Undefined when 64 bits do not hold it.
 */
export function momentAt(civil: Omit<Civil, 'weekday' | 'yearDay' | 'offset'>, zone: string): bigint | undefined {
  const date = new Date(0)
  date.setUTCFullYear(civil.year, civil.month - 1, civil.day)
  date.setUTCHours(civil.hour, civil.minute, civil.second, 0)
  const shown = date.getTime() / 1000
  // Beyond these years there is no zone to ask for, and no room in 64 bits.
  if (!(Math.abs(shown) < 1e10)) return undefined
  const guess = offsetAt(shown, zone)
  const seconds = guess === 0 ? shown : shown - offsetAt(shown - guess, zone)
  const ns = BigInt(seconds) * billion + BigInt(civil.nanosecond)
  return fits(ns) ? ns : undefined
}

/** Days in a month, from 1. */
export function daysIn(year: number, month: number): number {
  const date = new Date(0)
  date.setUTCFullYear(year, month, 0)
  return date.getUTCDate()
}
