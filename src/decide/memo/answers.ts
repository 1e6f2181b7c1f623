/** Answers of evaluations, each with what they rest on: an input that is alike in all of that is answered without another evaluation. */

import type { Framed } from '../frame.ts'
import { encodeInput } from '../input-text.ts'
import { holds, valueAt, type Leaf } from './leaf.ts'
import type { Seen } from './trace.ts'

/** An answer, and what of the pieces of an input it rests on. */
export interface Remembered {
  readonly document: unknown
  /** Pieces that have to be the same text. */
  readonly whole: readonly { readonly piece: number; readonly text: string }[]
  /** Pieces of which some leaves have to hold. `numbers` are those that are one number themselves. */
  readonly numbers: readonly { readonly piece: number; readonly leaf: Leaf }[]
  readonly parts: readonly Part[]
}

interface Part {
  readonly piece: number
  readonly leaves: readonly Leaf[]
  /** What stood there: the same again needs no reading. Empty when that was long. */
  readonly text: string
}

/** A longer text is not kept to be compared: what rests on it is answered by an evaluation. */
const longestText = 4096
const longestPart = 256

/** Takes what an evaluation of `framed` saw and what it answered; null where that rests on too much text. */
export function rememberedOf({ own }: Framed, { whole, leaves }: Seen, document: unknown): Remembered | null {
  const texts = [...whole].map((piece) => ({ piece, text: own[piece] ?? '' }))
  if (texts.some(({ text }) => text.length > longestText)) return null
  const numbers: Remembered['numbers'][number][] = []
  const parts: Remembered['parts'][number][] = []
  for (const [piece, all] of leaves) {
    const [only] = all
    if (whole.has(piece)) continue
    if (only !== undefined && only.path.length === 0 && only.type === 'number') numbers.push({ piece, leaf: only })
    else parts.push({ piece, leaves: all, text: (own[piece] ?? '').length > longestPart ? '' : (own[piece] ?? '') })
  }
  return { document, whole: texts, numbers, parts }
}

/**
 * Whether an input, whose frame is that of the evaluation, is alike in all that the answer rests on. A document of the agent's is held to
 * what the engine takes, looked at or not: throws EngineFailure, as an evaluation would.
 */
export function answers({ whole, numbers, parts }: Remembered, framed: Framed): boolean {
  const { own, document } = framed
  const left = document?.left === true ? document.piece : -1
  for (const { piece, text } of whole) if (piece === left || own[piece] !== text) return false
  for (const { piece, leaf } of numbers) if (piece === left || !isNumber(own[piece] ?? '', leaf)) return false
  for (const part of parts) if ((part.piece === left || own[part.piece] !== part.text) && !areThere(framed, part)) return false
  if (document?.left === false && !whole.some(({ piece }) => piece === document.piece)) encodeInput(`{"":[${own[document.piece] ?? ''}]}`)
  return true
}

/** `Number` makes of the text of a number what `JSON.parse` does, and nothing whole of anything else that a piece may be. */
function isNumber(text: string, leaf: Leaf): boolean {
  return text !== '' && holds(leaf, Number(text))
}

function areThere({ own, document }: Framed, { piece, leaves }: Part): boolean {
  let text = own[piece] ?? 'null'
  if (document?.piece === piece) {
    if (leaves.every(({ path }) => path[0] !== document.member)) text = document.without
    else if (document.left) return false
  }
  const value = valueOf(text)
  for (const leaf of leaves) if (!holds(leaf, valueAt(value, leaf.path))) return false
  return true
}

/** As `JSON.parse` gives it. */
function valueOf(text: string): unknown {
  return text.startsWith('"') && !text.includes('\\') ? text.slice(1, -1) : JSON.parse(text)
}
