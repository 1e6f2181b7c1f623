/** What text an engine may be given: agents reach it, and some text would throw inside and cost an instance. */

import { EngineFailure } from './engine.ts'

/** Characters of the longest input: the judged body at its bound, twice over. */
export const mostInputText = 512 * 1024
/** Nesting the engine surely survives; its own end is somewhere beyond 1,000. */
export const mostInputDepth = 256

const quote = 0x22
const backslash = 0x5c
const blank = 0x20
/** Strings longer than this are searched for their end: that is faster than to read them, and slower for the many short ones. */
const longWalk = 64

/** Where text becomes bytes; written by `encodeInput` only. A fresh text is a rope, and reading a unit of it costs what several bytes cost here. */
let room = Buffer.alloc(16 * 1024)
/** The same two by two. */
let pairs = new Uint16Array(room.buffer)

/**
 * Takes text that is one whole JSON object, well-formed and not too deep; throws EngineFailure on anything else.
 * Gives its UTF-8, good until the next call.
 * Half a surrogate pair counts as ill-formed, also when it is spelled as an escape: the engine would abort on it.
 * The grammar of values is not checked: the text is written by Countersign, and the engine takes what it cannot parse as no input.
 */
export function encodeInput(text: string): Uint8Array {
  checkLength(text)
  if (!text.isWellFormed()) throw new EngineFailure('the input is not well-formed')
  if (text.length * 3 > room.length) {
    room = Buffer.alloc(text.length * 6)
    pairs = new Uint16Array(room.buffer)
  }
  const bytes = room
  const last = bytes.write(text) - 1
  if (last < 0 || bytes[0] !== 0x7b) throw new EngineFailure('the input is not an object')
  const straight = last <= longStraight && !text.includes('\\') && isStraight(bytes, last)
  if (!straight) checkText(bytes, last)
  return bytes.subarray(0, last + 1)
}

/** Throws EngineFailure for a text that is longer than the engine is tried with. */
export function checkLength(text: string): void {
  if (text.length > mostInputText) throw new EngineFailure('the input is too long')
}

/** Texts up to this length, bytes, are read without looking for the ends of strings first. */
const longStraight = 8192

/** Of each pair of bytes: what it adds to the nesting, for one that begins outside a string and behind it for one that begins within. */
const nesting = new Int16Array(2 * 65_536)
/** 1 for a pair that ends on the other side of a quote. */
const quoting = new Uint8Array(65_536)
// all others add nothing; to look at each would be a tenth of a start
for (const mark of Buffer.from('"[]{}'))
  for (let other = 0; other < 256; other++) for (const bytes of [Uint8Array.of(mark, other), Uint8Array.of(other, mark)]) note(bytes)

function note(bytes: Uint8Array): void {
  const [pair = 0] = new Uint16Array(bytes.buffer)
  nesting[2 * pair] = nestingOf(bytes, true)
  nesting[2 * pair + 1] = nestingOf(bytes, false)
  quoting[pair] = (bytes[0] === quote) !== (bytes[1] === quote) ? 1 : 0
}

function nestingOf(pair: Uint8Array, begunOutside: boolean): number {
  let outside = begunOutside
  let added = 0
  for (const byte of pair) {
    if (byte === quote) outside = !outside
    else if (outside && (byte | 0x20) === 0x7b) {
      // what opens right behind an end could be a second document, and is none that anybody writes
      if (added < 0) return -mostInputDepth
      added++
    } else if (outside && (byte | 0x20) === 0x7d) added--
  }
  return added
}

/**
 * Whether a text without a backslash is whole and not too deep. A text that is not is read again, for the reason; so is one that comes
 * close to too deep, as no pair is looked into.
 */
function isStraight(bytes: Buffer, last: number): boolean {
  if (bytes[last] !== 0x7d) return false
  // the other half of a pair that the end is in the middle of
  bytes[last] = blank
  const straight = levelBefore((last + 1) >> 1) === 1
  bytes[last] = 0x7d
  return straight
}

/**
 * The nesting at the pair `end`; 0 when that is in a string, or when it was too deep or over before. Read without a branch that depends on
 * what is in the text: an ordinary input is a hundred short strings, and to guess where each ends costs more than to read it.
 */
function levelBefore(end: number): number {
  let depth = 0
  let inside = 0
  for (let at = 0; at < end; at++) {
    const pair = pairs[at] ?? 0
    depth = (depth + (nesting[2 * pair + inside] ?? 0)) | 0
    inside ^= quoting[pair] ?? 0
    // below 1 or near the most, in one comparison
    if ((depth - 1) >>> 0 >= mostInputDepth - 1) return 0
  }
  return inside === 0 ? depth : 0
}

/** Throws for the first thing that is wrong with a text. */
function checkText(bytes: Buffer, last: number): void {
  let depth = 0
  for (let at = 0; at <= last; at++) {
    const byte = bytes[at] ?? 0
    if (byte === quote) {
      at = endOfString(bytes, at, last)
      // One bit apart: `[` and `{`, `]` and `}`.
    } else if ((byte | 0x20) === 0x7b) {
      if (++depth > mostInputDepth) throw new EngineFailure('the input is nested too deeply')
    } else if ((byte | 0x20) === 0x7d) {
      depth--
      if (depth <= 0 && (depth < 0 || at !== last)) throw new EngineFailure('the input is more than one document')
    }
  }
  if (depth !== 0) throw new EngineFailure('the input has no end')
}

/** The place of the closing quote. */
function endOfString(from: Buffer, start: number, last: number): number {
  const soon = Math.min(last, start + longWalk)
  let at = start + 1
  while (at <= soon) {
    const byte = from[at]
    if (byte === quote) return at
    if (byte !== backslash) at++
    else at = endOfEscape(from, at)
  }
  const end = from.indexOf(quote, at)
  // without a backslash it is the end; with one each escape has to be read
  if (at <= end && end <= last && !from.subarray(at, end).includes(backslash)) return end
  return endOfEscaped(from, at, last)
}

/** The same, byte by byte, from a place within a string. */
function endOfEscaped(from: Buffer, start: number, last: number): number {
  let at = start
  while (at <= last) {
    const byte = from[at]
    if (byte === quote) return at
    if (byte !== backslash) at++
    else at = endOfEscape(from, at)
  }
  throw new EngineFailure('the input has no end')
}

/** The place after an escape at `at`; a pair of surrogates is one. What is behind the text in the buffer is never taken for part of it. */
function endOfEscape(from: Buffer, at: number): number {
  if (from[at + 1] !== 0x75) return at + 2
  const unit = codeUnit(from, at)
  if (!(unit >= 0xd800 && unit <= 0xdfff)) return at + 6
  const next = from[at + 6] === backslash && from[at + 7] === 0x75 ? codeUnit(from, at + 6) : 0
  if (unit <= 0xdbff && next >= 0xdc00 && next <= 0xdfff) return at + 12
  throw new EngineFailure('the input is not well-formed')
}

/** What the `\uXXXX` at `at` spells. */
function codeUnit(from: Buffer, at: number): number {
  return Number.parseInt(from.toString('latin1', at + 2, at + 6), 16)
}
