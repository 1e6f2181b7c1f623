const units = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1000, 's'],
] as const

/** A length of time for people, in its two largest units: `4 min 12 s`. Takes ms; what is less than a second is `less than 1 s`. */
export function spanText(ms: number): string {
  let rest = Math.floor(Math.abs(ms) / 1000) * 1000
  const parts: string[] = []
  for (const [unit, name] of units) {
    const whole = Math.floor(rest / unit)
    rest -= whole * unit
    if (whole > 0) parts.push(`${whole} ${name}`)
    // what follows a gap says nothing worth reading
    else if (parts.length > 0) break
    if (parts.length === 2) break
  }
  return parts.length === 0 ? 'less than 1 s' : parts.join(' ')
}
