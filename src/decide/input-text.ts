/** What text an engine may be given: agents reach it, and some text would throw inside and cost an instance. */

import { EngineFailure } from './engine.ts'

/** Characters of the longest input: the judged body at its bound, twice over. */
export const mostInputText = 512 * 1024
/** Nesting the engine surely survives; its own end is somewhere beyond 1,000. */
export const mostInputDepth = 256

const quote = 0x22
const backslash = 0x5c
/** Strings longer than this are searched for their end: that is faster than to read them, and slower for the many short ones. */
const longWalk = 64

/** Where text becomes bytes; written by `encodeInput` only. A fresh text is a rope, and reading a unit of it costs what several bytes cost here. */
let room = Buffer.alloc(16 * 1024)

/**
 * Takes text that is one whole JSON object, well-formed and not too deep; throws EngineFailure on anything else.
 * Gives its UTF-8, good until the next call.
 * Half a surrogate pair counts as ill-formed, also when it is spelled as an escape: the engine would abort on it.
 * The grammar of values is not checked: the text is written by Countersign, and the engine takes what it cannot parse as no input.
 */
export function encodeInput(text: string): Uint8Array {
  if (text.length > mostInputText) throw new EngineFailure('the input is too long')
  if (!text.isWellFormed()) throw new EngineFailure('the input is not well-formed')
  if (text.length * 3 > room.length) room = Buffer.alloc(text.length * 3)
  const bytes = room
  const last = bytes.write(text) - 1
  if (last < 0 || bytes[0] !== 0x7b) throw new EngineFailure('the input is not an object')
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
  return bytes.subarray(0, last + 1)
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
