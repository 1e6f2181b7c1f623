import { z } from 'zod'

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** A configured span of time: text such as `60s`, or a number of ms. Its value is ms, at most `longest`. */
export function lifetime(longest: number, least = 1000) {
  const ms = z.int().min(least).max(longest)
  const text = z
    .string()
    .regex(/^\d{1,9}(ms|s|m|h|d)$/, 'must be a duration such as 500ms, 30s or 10m')
    .transform(parse)
    .pipe(ms)
  return z.union([text, ms])
}

function parse(text: string): number {
  const digits = /^\d+/.exec(text)?.[0] ?? ''
  return Number(digits) * (units[text.slice(digits.length)] ?? Number.NaN)
}
