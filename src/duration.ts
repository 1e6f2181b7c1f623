const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** How a duration is written: `500ms`, `30s`, `10m`, `24h`, `7d`. */
export const durationForm = /^\d{1,9}(ms|s|m|h|d)$/

/** Milliseconds of a duration text, or null when it is none. */
export function parseDuration(text: string): number | null {
  const unit = durationForm.exec(text)?.[1]
  return unit === undefined ? null : Number(text.slice(0, -unit.length)) * (units[unit] ?? Number.NaN)
}
