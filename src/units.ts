import { z } from 'zod'
import { durationForm, parseDuration } from './duration.ts'

const sizeUnits: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, TiB: 1024 ** 4 }

/** A configured duration such as `30s` or `10m`; its value is milliseconds. */
export const duration = z
  .string()
  .regex(durationForm, 'must be a duration such as 500ms, 30s, 10m, 24h or 7d')
  .transform((text) => parseDuration(text) ?? Number.NaN)

/** A configured duration of at least `least` and at most `most` ms. */
export function durationBetween(least: number, most: number) {
  return duration.pipe(z.int().min(least).max(most))
}

/** A configured size such as `64KiB`; its value is bytes. */
export const size = z
  .string()
  .regex(/^\d{1,12}(B|KiB|MiB|GiB|TiB)$/, 'must be a size such as 8KiB, 10MiB or 10GiB')
  .transform((text) => scale(text, sizeUnits))

const day = z.iso.date()
const time = z.iso.datetime({ offset: true })

/** A configured time: a day, which begins at midnight UTC, or a time with its offset; its value is epoch ms. */
export const moment = z
  .string()
  .refine(
    (text) => day.safeParse(text).success || time.safeParse(text).success,
    'must be a date such as 2027-03-31, or a time with its offset',
  )
  .transform((text) => Date.parse(text))

function scale(text: string, units: Readonly<Record<string, number>>): number {
  const digits = /^\d+/.exec(text)?.[0] ?? ''
  return Number(digits) * (units[text.slice(digits.length)] ?? Number.NaN)
}
