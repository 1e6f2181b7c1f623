import { z } from 'zod'

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** A configured span of time: text such as `30s`, or a number of ms. Its value is ms between `least` and `most`. */
export function duration(least: number, most: number) {
  const ms = z.int().min(least).max(most)
  const text = z
    .string()
    .regex(/^\d{1,9}(ms|s|m|h)$/, 'must be a duration such as 500ms, 30s, 10m or 24h')
    .transform((written) => Number.parseInt(written, 10) * (units[written.replace(/^\d+/, '')] ?? Number.NaN))
    .pipe(ms)
  return z.union([text, ms])
}
