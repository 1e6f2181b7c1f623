/** Time zones written out as offsets, for policy that has no calendar. */

const minute = 60_000
const day = 86_400_000
/** Whole years after the one at hand for which changes of clocks are written out; the last offset holds after them. */
const yearsAhead = 6

/** True for `+01:00` and the like, and for a zone that this machine knows. */
export function isZone(zone: string): boolean {
  if (fixed(zone) !== null) return true
  try {
    clockOf(zone)
    return true
  } catch {
    return false
  }
}

/**
 * Offsets of a zone as policy reads them: `[from, minutes]`, ascending, `from` in epoch ms. Begins with the year before that of `now`
 * and is the same all through a year, so that settings keep their digest over restarts. A fixed offset is one entry.
 */
export function offsetsOf(zone: string, now: number): readonly (readonly [from: number, minutes: number])[] {
  const known = fixed(zone)
  if (known !== null) return [[0, known]]
  const clock = clockOf(zone)
  const year = new Date(now).getUTCFullYear()
  const end = Date.UTC(year + 1 + yearsAhead, 0)
  let from = Date.UTC(year - 1, 0)
  let minutes = ahead(clock, from)
  const found: [number, number][] = [[from, minutes]]
  for (let at = from + day; at <= end; at += day) {
    const then = ahead(clock, at)
    if (then !== minutes) found.push([change(clock, from, at), (minutes = then)])
    from = at
  }
  return found
}

/** The minute between two times at which the clocks of a zone change. */
function change(clock: Intl.DateTimeFormat, before: number, after: number): number {
  const old = ahead(clock, before)
  let [low, high] = [before, after]
  while (high - low > minute) {
    const middle = low + Math.floor((high - low) / 2 / minute) * minute
    if (ahead(clock, middle) === old) low = middle
    else high = middle
  }
  return high
}

function fixed(zone: string): number | null {
  if (zone === 'UTC' || zone === 'Z') return 0
  const [, sign, hours, minutes] = /^([+-])(0\d|1[0-4]):([0-5]\d)$/.exec(zone) ?? []
  return sign === undefined ? null : (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes))
}

function clockOf(zone: string): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat('en', { timeZone: zone, timeZoneName: 'longOffset', hour: 'numeric' })
}

/** Minutes that the clocks of a zone are ahead of UTC at `at`. */
function ahead(clock: Intl.DateTimeFormat, at: number): number {
  const named = clock.formatToParts(at).find(({ type }) => type === 'timeZoneName')?.value ?? ''
  return fixed(named.replace('GMT', '')) ?? 0
}
