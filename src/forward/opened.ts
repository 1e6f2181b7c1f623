/** What at the end of some bytes may still become a run of a secret: so much must be held back, and no more. */
import { escapeBefore, isCut, longestEscape } from './escapes.ts'
import { isPair } from './edge.ts'
import { reachBack, type Echoes, type Range, type Searched } from './echoes.ts'
import { placed, unfolded, withoutHalf } from './unfold.ts'
import type { Form } from './spelling.ts'

export interface Opened {
  /** Where the first run begins that what follows may continue; the number of bytes when there is none. */
  readonly context: number
  /** The first byte that must not go yet: behind `context` where such a run is masked already. */
  readonly held: number
}

/** Takes the bytes, what was found in them, and what is looked for. */
export function opened(bytes: Buffer, { runs, broken }: Searched, echoes: Echoes): Opened {
  let context = bytes.length
  let held = bytes.length
  const open = (from: number): void => {
    if (from < context) context = from
    if (from < held) held = Math.min(held, maskedFrom(from, runs))
  }
  openIn(bytes, echoes, open)
  if (!broken) return { context, held }
  const from = Math.max(0, bytes.length - mostBreaks * echoes.reach)
  for (const part of unfolded(bytes.subarray(from), bytes.length))
    openIn(part.text, echoes, (at) => open(at < part.text.length ? from + placed(at, part) : bytes.length))
  return { context, held }
}

/** A run whose bytes are all parted by line breaks is so many times as long. */
const mostBreaks = 4

function openIn(bytes: Buffer, echoes: Echoes, open: (from: number) => void): void {
  openWhole(bytes, echoes, open)
  const rest = withoutHalf(bytes)
  // what follows may make a line break of the end, and go on from there
  if (rest.length < bytes.length) openWhole(rest, echoes, open)
}

function openWhole(bytes: Buffer, echoes: Echoes, open: (from: number) => void): void {
  openAt(bytes, bytes.length, echoes, open)
  // the last whole character may end before every escape or line break that is not whole
  for (let at = bytes.length - 1; at >= 0 && at > bytes.length - longestEscape; at--) {
    if (!isCut(bytes, at)) continue
    // which may itself be the first of a run
    open(at)
    openAt(bytes, at, echoes, open)
  }
}

/** Tells where each run begins that goes up to `end`. */
function openAt(bytes: Buffer, end: number, { forms, edge }: Echoes, open: (from: number) => void): void {
  if (end === 0) return
  const last = bytes[end - 1] ?? 0
  const escape = escapeBefore(bytes, end)
  const plain = escape <= 0 && escapeBefore(bytes, end - 1) <= 0
  if (plain && !isPair(edge, bytes[end - 2] ?? 0, last)) {
    if (edge.begins[last] === 1) open(end - 1)
    return
  }
  for (const form of forms) {
    openRuns(bytes, end, form, last, plain, open)
    if (escape > 0 && (escape & 255) !== last) openRuns(bytes, end, form, escape & 255, false, open)
  }
}

/** The first byte from there on that is not masked. */
function maskedFrom(from: number, runs: readonly Range[]): number {
  let at = from
  for (let moved = true; moved;) {
    moved = false
    for (const [start, end] of runs) {
      if (start > at || end <= at) continue
      at = end
      moved = true
    }
  }
  return at
}

/** Tells where each run begins that ends with this character and can still grow long enough. `plain`: the last two bytes end no escape. */
function openRuns(bytes: Uint8Array, end: number, form: Form, char: number, plain: boolean, open: (from: number) => void): void {
  const { units, least, unitsOf } = form
  const before = end > 1 ? (bytes[end - 2] ?? 0) : 0
  for (const unit of unitsOf[char] ?? []) {
    if (unit + 1 === units.length) continue
    // mostly it is this character alone
    if (plain && (unit === 0 || units[unit - 1]?.[before] === 0)) {
      if (unit + least <= units.length) open(end - 1)
      continue
    }
    const begun = reachBack(bytes, end, form, unit + 1)
    if (begun.unit <= unit && begun.unit + least <= units.length) open(begun.at)
  }
}
