/** The members of one JSON object as text, unparsed: most of a stored line is its input, which is judged as it stands. */

const quote = 0x22
const backslash = 0x5c
const comma = 0x2c
const colon = 0x3a
const openBrace = 0x7b
const closeBrace = 0x7d

/** Name → text of its value. */
export type RawMembers = ReadonlyMap<string, string>

/** A member of an object whose own members are wanted, and those, null where it is no object. */
interface Inner {
  readonly name: string
  members: RawMembers | null
}

/**
 * Of a name that is there twice the last counts, as `JSON.parse` has it. Null when brackets and quotes do not fit. Whether a value is JSON
 * is for whoever parses it.
 */
export function rawMembers(text: string): RawMembers | null {
  return membersOf(text, null)
}

/** The members of an object, and those of one that is in it, read in one go; `inner` is null where it is no object. */
export function rawMembersWith(text: string, name: string): { readonly members: RawMembers; readonly inner: RawMembers | null } | null {
  const inner: Inner = { name, members: null }
  const members = membersOf(text, inner)
  return members === null ? null : { members, inner: inner.members }
}

function membersOf(text: string, inner: Inner | null): RawMembers | null {
  const members = new Map<string, string>()
  const end = readObject(text, afterBlanks(text, 0), members, inner)
  return end >= 0 && text.slice(end).trim() === '' ? members : null
}

/** Where the object that begins at `start` is over, behind its bracket; -1 when none is there. */
function readObject(text: string, start: number, members: Map<string, string>, inner: Inner | null): number {
  if (text.charCodeAt(start) !== openBrace) return -1
  for (let at = start + 1; ; at++) {
    at = afterBlanks(text, at)
    if (text.charCodeAt(at) !== quote) return text.charCodeAt(at) === closeBrace && members.size === 0 ? at + 1 : -1
    const nameEnd = closing(text, at)
    if (nameEnd < 0) return -1
    const name = text.slice(at + 1, nameEnd)
    const colonAt = afterBlanks(text, nameEnd + 1)
    if (text.charCodeAt(colonAt) !== colon) return -1
    at = name === inner?.name ? readInner(text, colonAt + 1, inner) : valueEnd(text, colonAt + 1)
    if (at < 0) return -1
    members.set(name, text.slice(colonAt + 1, at))
    const unit = text.charCodeAt(at)
    if (unit === closeBrace) return at + 1
    if (unit !== comma) return -1
  }
}

/** Where the value is over that is to be read too, as `valueEnd` says it. */
function readInner(text: string, start: number, inner: Inner): number {
  const members = new Map<string, string>()
  const end = readObject(text, afterBlanks(text, start), members, null)
  inner.members = end < 0 ? null : members
  return end < 0 ? valueEnd(text, start) : afterBlanks(text, end)
}

/** Where the value that begins at `start` is over: its comma, or the bracket that ends the object. -1 when neither comes. */
function valueEnd(text: string, start: number): number {
  let depth = 0
  for (let at = start; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit === quote) {
      at = closing(text, at)
      if (at < 0) return -1
    } else if (unit === comma) {
      if (depth === 0) return at
      // one bit apart: `[` and `{`, `]` and `}`
    } else if ((unit | 0x20) === 0x7b) depth++
    else if ((unit | 0x20) === 0x7d) {
      if (depth === 0) return unit === 0x7d ? at : -1
      depth--
    }
  }
  return -1
}

/** The quote that closes the one at `open`; -1 when none does. */
function closing(text: string, open: number): number {
  for (let at = text.indexOf('"', open + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let escapes = 0
    while (text.charCodeAt(at - 1 - escapes) === backslash) escapes++
    if (escapes % 2 === 0) return at
  }
  return -1
}

/** The first place from `at` on where no white space is. */
function afterBlanks(text: string, at: number): number {
  for (; ; at++) {
    const unit = text.charCodeAt(at)
    if (unit !== 0x20 && unit !== 0x09 && unit !== 0x0d && unit !== 0x0a) return at
  }
}
