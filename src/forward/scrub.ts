/** Masks a lent secret in a body that streams by. An upstream can always invent another spelling: spelling.ts has the ones that are found. */
import { searched, type Echoes, type Range, type Searched } from './echoes.ts'
import type { Finds } from './finds.ts'
import { opened } from './opened.ts'
import { shortest } from './spelling.ts'

const empty = Buffer.alloc(0)
const star = 0x2a
const lineFeed = 0x0a
/** Up to this size what was held and what comes are put together; beyond it copying costs more than a second piece. */
const oneCopy = 8 * 1024
/** Bytes behind what is held that are looked at first. */
const borderBytes = 64

/** One byte less than a run has at least. */
const fewest = shortest - 1
const few = Buffer.alloc(fewest)
const none: Searched = { runs: [], broken: false }

/** The end of what came, as far as it may yet turn out to be a secret. */
interface Tail {
  readonly raw: Buffer
  /** The same, masked as far as is known. */
  readonly masked: Buffer
  /** So many of its bytes have gone; they are kept since a run began in them. */
  readonly gone: number
}

const noTail: Tail = { raw: empty, masked: empty, gone: 0 }

/** Stars in place of every run of a secret: lengths stay what they were announced to be. What comes out does not depend on how the body was cut. */
export class Scrub {
  readonly #echoes: Echoes
  readonly #finds: Pick<Finds, 'at'> | null
  #tail = noTail

  /** `finds` is told of what is masked, again and again. */
  constructor(echoes: Echoes, finds: Pick<Finds, 'at'> | null = null) {
    this.#echoes = echoes
    this.#finds = finds
  }

  /** Takes the next bytes and whether they are the last; gives those that can go, in order. What it takes is not changed. */
  pass(chunk: Buffer, last: boolean): readonly Buffer[] {
    if (this.#echoes.anchors === null) return [chunk]
    const { raw } = this.#tail
    if (raw.length === 0) return [this.#through({ raw: chunk, masked: chunk, gone: 0 }, searched(chunk, this.#echoes, last), last)]
    if (raw.length + chunk.length <= oneCopy) return [this.#joined(chunk, last)]
    return this.#parted(chunk, last)
  }

  /** What was held when nothing more came. */
  rest(): Buffer {
    return this.#tail.raw.length === 0 ? empty : this.#joined(empty, true)
  }

  #joined(chunk: Buffer, last: boolean): Buffer {
    const { raw, masked, gone } = this.#tail
    const whole = Buffer.concat([raw, chunk])
    const before = masked === raw ? whole : Buffer.concat([masked, chunk])
    return this.#through({ raw: whole, masked: before, gone }, searched(whole, this.#echoes, last), last)
  }

  /** The same without a copy of all: what was held is decided by the first bytes of the chunk. */
  #parted(chunk: Buffer, last: boolean): readonly Buffer[] {
    const { raw, masked, gone } = this.#tail
    if (this.#closes(chunk)) {
      const through = this.#through({ raw: chunk, masked: chunk, gone: 0 }, searched(chunk, this.#echoes, last), last)
      return gone === raw.length ? [through] : [gone === 0 ? masked : masked.subarray(gone), through]
    }
    for (let length = borderBytes; length < chunk.length; length *= 4) {
      const border = Buffer.concat([raw, chunk.subarray(0, length)])
      const found = searched(border, this.#echoes, false)
      // a run that began in what was held goes on beyond the border
      if (opened(border, found, this.#echoes).context < raw.length) continue
      const decided = this.#starred(masked, found.runs).subarray(gone)
      const known = found.runs.flatMap(([start, end]): Range[] =>
        end > raw.length ? [[Math.max(0, start - raw.length), end - raw.length]] : [],
      )
      const { runs, broken } = searched(chunk, this.#echoes, last)
      const through = this.#through({ raw: chunk, masked: chunk, gone: 0 }, { runs: [...known, ...runs], broken }, last)
      return decided.length === 0 ? [through] : [decided, through]
    }
    return [this.#joined(chunk, last)]
  }

  /** Whether nothing of what is held goes on: told, in the usual case, by fewer bytes than a run has. */
  #closes(chunk: Buffer): boolean {
    const { raw } = this.#tail
    if (raw.length >= fewest) return false
    const length = Math.min(fewest, raw.length + chunk.length)
    for (let at = 0; at < length; at++) few[at] = (at < raw.length ? raw[at] : chunk[at - raw.length]) ?? 0
    // a line end may be a soft break, which takes a closer look
    const first = length === fewest ? few : few.subarray(0, length)
    return !first.includes(lineFeed) && opened(first, none, this.#echoes).context >= raw.length
  }

  /** Masks, holds back, gives the rest. */
  #through({ raw, masked: before, gone }: Tail, found: Searched, last: boolean): Buffer {
    const masked = this.#starred(before, found.runs)
    if (last) {
      this.#tail = noTail
      return masked.subarray(gone)
    }
    const { context, held } = opened(raw, found, this.#echoes)
    const goes = Math.max(held, gone)
    this.#tail = tailOf(raw, masked, context, goes)
    return gone === 0 && goes === masked.length ? masked : masked.subarray(gone, goes)
  }

  #starred(bytes: Buffer, runs: readonly Range[]): Buffer {
    if (runs.length === 0) return bytes
    const within = runs.filter(([start]) => start < bytes.length)
    if (within.length === 0) return bytes
    this.#finds?.at('body')
    const masked = Buffer.from(bytes)
    for (const [start, end] of within) masked.fill(star, start, Math.min(end, masked.length))
    return masked
  }
}

/** Copies, so that a few bytes do not keep a whole chunk. */
function tailOf(bytes: Buffer, masked: Buffer, context: number, goes: number): Tail {
  if (context >= bytes.length) return noTail
  const raw = copyOf(bytes, context)
  return { raw, masked: masked === bytes ? raw : copyOf(masked, context), gone: goes - context }
}

function copyOf(bytes: Buffer, from: number): Buffer {
  const copy = Buffer.allocUnsafe(bytes.length - from)
  bytes.copy(copy, 0, from)
  return copy
}
