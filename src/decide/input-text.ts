/** What text an engine may be given: agents reach it, and some text would throw inside and cost an instance. */

import { EngineFailure } from './engine.ts'

/** Characters of the longest input: the judged body at its bound, twice over. */
export const mostInputText = 512 * 1024
/** Nesting the engine surely survives; its own end is somewhere beyond 1,000. */
export const mostInputDepth = 256

const quote = 0x22
const backslash = 0x5c

/**
 * Passes text that is one whole JSON object, well-formed and not too deep; throws EngineFailure on anything else.
 * Half a surrogate pair counts as ill-formed, also when it is spelled as an escape: the engine would abort on it.
 * The grammar of values is not checked: the text is written by Countersign, and the engine takes what it cannot parse as no input.
 */
export function checkInputText(text: string): void {
  if (text.length > mostInputText) throw new EngineFailure('the input is too long')
  if (!text.isWellFormed()) throw new EngineFailure('the input is not well-formed')
  if (text.charCodeAt(0) !== 0x7b) throw new EngineFailure('the input is not an object')
  let depth = 0
  const last = text.length - 1
  // One bit apart: `[` and `{`, `]` and `}`.
  for (let at = 0; at <= last; at++) {
    const unit = text.charCodeAt(at)
    if (unit === quote) {
      at = endOfString(text, at)
    } else if ((unit | 0x20) === 0x7b) {
      if (++depth > mostInputDepth) throw new EngineFailure('the input is nested too deeply')
    } else if ((unit | 0x20) === 0x7d) {
      depth--
      if (depth <= 0 && (depth < 0 || at !== last)) throw new EngineFailure('the input is more than one document')
    }
  }
  if (depth !== 0) throw new EngineFailure('the input has no end')
}

/** The place of the closing quote. */
function endOfString(text: string, start: number): number {
  let at = start + 1
  while (at < text.length) {
    const unit = text.charCodeAt(at)
    if (unit === quote) return at
    if (unit !== backslash) at++
    else at = endOfEscape(text, at)
  }
  throw new EngineFailure('the input has no end')
}

/** The place after an escape at `at`; a pair of surrogates is one. */
function endOfEscape(text: string, at: number): number {
  if (text.charCodeAt(at + 1) !== 0x75) return at + 2
  const unit = Number.parseInt(text.slice(at + 2, at + 6), 16)
  if (!(unit >= 0xd800 && unit <= 0xdfff)) return at + 6
  const next = text.startsWith('\\u', at + 6) ? Number.parseInt(text.slice(at + 8, at + 12), 16) : 0
  if (unit <= 0xdbff && next >= 0xdc00 && next <= 0xdfff) return at + 12
  throw new EngineFailure('the input is not well-formed')
}
