/** What has been read: data classes per task, and per caller until they decay. `public` never counts. */
import type { CallerFacts, Facts } from '../state/state.ts'

const second = 1000

/** Nothing read yet. */
export const nothingRead: CallerFacts = { version: 0, sensitivity: Object.freeze(Object.create(null)), sums: null }

/**
 * Whether a call that reads `data` makes its caller know more than its task and the caller's other tasks had read. Where policy forgets
 * what was read long ago, so does what is read anew: `now` in epoch ms, and true at most once a second and class; null where it does not.
 */
export function isMore({ task, caller }: Facts, data: readonly string[], now: number | null): boolean {
  for (const name of data) {
    if (name === 'public') continue
    const before = Object.hasOwn(caller.sensitivity, name) ? (caller.sensitivity[name] ?? 0) : -1
    if (before === -1 && !task.sensitivity.includes(name)) return true
    if (now !== null && before < inSeconds(now)) return true
  }
  return false
}

/** Classes that answers may make a caller know by name. Policy sees 64 of one call, and those that tools name must have room. */
const mostNamed = 32

/**
 * Those of `classes` that a caller with these facts can be told by name, and `rest` where there are others: an upstream that labels its
 * answers anew each time must not fill what policy sees of its caller, or no call of that caller could be judged.
 */
export function named({ task, caller }: Facts, classes: readonly string[], rest: string): readonly string[] {
  const known = new Set([...task.sensitivity, ...Object.keys(caller.sensitivity)])
  const kept: string[] = []
  for (const name of classes) {
    if (name === 'public' || known.has(name) || known.size < mostNamed) {
      known.add(name)
      kept.push(name)
    } else if (!kept.includes(rest)) kept.push(rest)
  }
  return kept
}

/** The classes read so far with those of one more call: sorted, the same list when nothing is new. */
export function withRead(read: readonly string[], data: readonly string[]): readonly string[] {
  let after: string[] | null = null
  for (const name of data) {
    if (name === 'public' || (after ?? read).includes(name)) continue
    after ??= [...read]
    after.push(name)
  }
  return after === null ? read : after.sort()
}

/**
 * What stays with a caller after one more call at `now` (epoch ms); the same object when nothing changes.
 * Times are rounded up to the second: never forgotten early, and a busy reader changes its facts once a second.
 */
export function remember(facts: CallerFacts, data: readonly string[], now: number, window: number): CallerFacts {
  const at = inSeconds(now)
  const later = data.filter((name) => name !== 'public' && !((facts.sensitivity[name] ?? -1) >= at))
  if (later.length === 0) return facts
  const after: Record<string, number> = Object.assign(Object.create(null), decay(facts, now, window).sensitivity)
  for (const name of later) after[name] = at
  return { version: facts.version + 1, sensitivity: after, sums: facts.sums }
}

/**
 * What stays with a caller that was told what others read (class → epoch ms); the same object when it is nothing new. A time that was told
 * is kept: handing on and back makes nothing younger.
 */
export function learned(facts: CallerFacts, told: Readonly<Record<string, number>>, now: number, window: number): CallerFacts {
  let after: Record<string, number> | null = null
  for (const name in told) {
    const at = told[name] ?? now
    if (name === 'public' || now - at >= window || (facts.sensitivity[name] ?? -1) >= at) continue
    after ??= Object.assign(Object.create(null) as Record<string, number>, decay(facts, now, window).sensitivity)
    after[name] = at
  }
  return after === null ? facts : { ...facts, version: facts.version + 1, sensitivity: after }
}

/** Class → `now`, as it is kept with a caller; `public` is not in it. */
export function readNow(data: readonly string[], now: number): Readonly<Record<string, number>> {
  const told: Record<string, number> = Object.create(null)
  for (const name of data) if (name !== 'public') told[name] = inSeconds(now)
  return told
}

/** Rounded up. */
function inSeconds(now: number): number {
  return Math.ceil(now / second) * second
}

/** The facts without the classes last read `window` ms ago or longer; the same object when none is. Its version stays: less was never held back. */
export function decay(facts: CallerFacts, now: number, window: number): CallerFacts {
  let old = false
  for (const name in facts.sensitivity) old ||= faded(facts, name, now, window)
  if (!old) return facts
  const kept: Record<string, number> = Object.create(null)
  for (const name in facts.sensitivity) {
    if (!faded(facts, name, now, window)) kept[name] = facts.sensitivity[name] ?? now
  }
  return { version: facts.version, sensitivity: kept, sums: facts.sums }
}

function faded(facts: CallerFacts, name: string, now: number, window: number): boolean {
  return now - (facts.sensitivity[name] ?? now) >= window
}
