/** Takes the soft line breaks of quoted-printable out of a text (RFC 2045 §6.7), around which it may hold what the text itself does not. */
import { breakAt } from './escapes.ts'

const lineFeed = 0x0a
const space = 0x20
const none: readonly Unfolded[] = []

/** A part of a text without its breaks. */
export interface Unfolded {
  readonly text: Buffer
  /** Where the part begins in the whole. */
  readonly from: number
  /** Where in `text` each break stood, and the bytes of all breaks up to it. */
  readonly breaks: readonly { readonly at: number; readonly skipped: number }[]
}

/** `reach`: so many bytes on both sides of a break belong to it. Parts that overlap are one. */
export function unfolded(bytes: Buffer, reach: number): readonly Unfolded[] {
  // bytes without any line end are a usual case, and quickly told
  if (bytes.indexOf(lineFeed) === -1) return none
  const parts: Unfolded[] = []
  const next = breaksOf(bytes)
  for (let at = next(0); at !== -1;) {
    const from = Math.max(0, at - reach)
    const pieces: Buffer[] = []
    const breaks: { at: number; skipped: number }[] = []
    let [begun, length, skipped] = [from, 0, 0]
    let last = at
    while (at !== -1 && at <= last + reach) {
      pieces.push(bytes.subarray(begun, at))
      length += at - begun
      const bytesOfBreak = breakAt(bytes, at)
      skipped += bytesOfBreak
      breaks.push({ at: length, skipped })
      begun = last = at + bytesOfBreak
      at = next(begun)
    }
    pieces.push(bytes.subarray(begun, Math.min(bytes.length, last + reach)))
    parts.push({ text: Buffer.concat(pieces), from, breaks })
  }
  return parts
}

/** The bytes without what may be the first half of a break at their end. */
export function withoutHalf(bytes: Buffer): Buffer {
  for (const length of [1, 2]) if (breakAt(bytes, bytes.length - length) < 0) return bytes.subarray(0, -length)
  return bytes
}

/** Where a byte of a part stands in the whole. */
export function placed(index: number, { from, breaks }: Unfolded): number {
  let skipped = 0
  for (const each of breaks) {
    if (each.at > index) break
    skipped = each.skipped
  }
  return from + index + skipped
}

/** Gives the breaks one after the other, each from where the one before ended; -1 at the end. Neither kind is looked for twice. */
function breaksOf(bytes: Buffer): (from: number) => number {
  const places = kindsIn(bytes).map((kind) => ({ kind, at: bytes.indexOf(kind, 0, 'latin1') }))
  return (from) => {
    let nearest = -1
    for (const place of places) {
      if (place.at !== -1 && place.at < from) place.at = bytes.indexOf(place.kind, from, 'latin1')
      while (place.at !== -1 && !partsText(bytes, place.at, place.kind.length)) place.at = bytes.indexOf(place.kind, place.at + 1, 'latin1')
      if (place.at !== -1 && (nearest === -1 || place.at < nearest)) nearest = place.at
    }
    return nearest
  }
}

/** Whether it stands in text: among bytes of no text the same two are found now and then, and mean nothing. */
function partsText(bytes: Buffer, at: number, length: number): boolean {
  const before = at === 0 ? lineFeed : (bytes[at - 1] ?? 0)
  const after = bytes[at + length] ?? space
  return (before === lineFeed || (before >= space && before < 0x7f)) && after >= space && after < 0x7f
}

/** The kinds of break that there may be. */
function kindsIn(bytes: Buffer): readonly string[] {
  return bytes.indexOf(0x0d) === -1 ? ['=\n'] : ['=\n', '=\r\n']
}
