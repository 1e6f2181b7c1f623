/** Frames of inputs that stay in an instance's memory as values, so that of most inputs only what is their own is read. */

import { framedText, type Frame, type Framed } from './frame.ts'

/** What of an instance it takes to keep values. */
export interface Keeping {
  /** Parses JSON text at an address and gives the value; all it needs is above the address. Throws when it is not JSON. */
  readonly parse: (text: string, at: number) => number
  /** Where the memory in use ends. */
  readonly end: () => number
  /** The value as text, in the order in which the engine has it. */
  readonly dump: (value: number) => string
  /** The memory as it is now. */
  readonly view: () => DataView
}

/** A few agents with a few tasks each and the tools they mostly call; past this all are forgotten, and those in use come back. */
const mostKept = 32
/** A longer piece is read anew even if it is the same again. */
const longestPiece = 256
/** To keep a frame costs as much as some inputs read whole: that is earned by inputs whose frame was kept, and slowly by those it was not. */
const price = 16
const missed = 1 / 8
/** Frames seen lately and not kept: one that never comes back is not worth it. */
const mostSeen = 8

/** Owned by one instance. An evaluation never writes a value: what is kept is only read, and forgotten all at once. */
export class KeptFrames {
  /** Where inputs are written: above all that is kept. Written by `keep`. */
  floor: number
  readonly #lowest: number
  readonly #keeping: Keeping
  readonly #all = new Map<Frame, KeptFrame>()
  readonly #seen: Frame[] = []
  #credit = mostKept * price
  /** False once values were not laid out as this file has them: then nothing is kept. */
  #sound = true

  constructor(floor: number, keeping: Keeping) {
    this.floor = floor
    this.#lowest = floor
    this.#keeping = keeping
  }

  find(frame: Frame): KeptFrame | null {
    const kept = this.#all.get(frame)
    if (kept === undefined) return null
    if (this.#credit < mostKept * price) this.#credit++
    return kept
  }

  /** Whether a frame that was not found is one to keep. */
  due(frame: Frame): boolean {
    this.#credit += missed
    if (!this.#sound) return false
    if (this.#seen.includes(frame)) return this.#credit >= price
    if (this.#seen.length >= mostSeen) this.#seen.shift()
    this.#seen.push(frame)
    return false
  }

  /** Keeps the frame of an input, with what is its own as what most inputs have there. Writes memory above the floor. */
  keep({ frame, own }: Framed): void {
    this.#credit -= price
    if (this.#all.size >= mostKept) {
      this.#all.clear()
      this.floor = this.#lowest
    }
    const pieces = own.map((piece) => (piece.length > longestPiece ? 'null' : piece))
    const { parse, end, view } = this.#keeping
    const text = framedText({ frame, own: pieces })
    const root = parse(text, this.floor)
    const floor = end()
    const slots = frame.places.map((place) => slotOf(view(), root, place))
    this.#sound = slots.every((slot) => slot !== 0) && this.#holds(new KeptFrame(root, slots, pieces, view()), pieces, text, floor)
    if (!this.#sound) return
    this.#all.set(frame, new KeptFrame(root, slots, pieces, view()))
    this.floor = floor
  }

  /** Whether the frame with every piece put in its place is what the engine reads from the whole text. Leaves the frame as it was. */
  #holds(kept: KeptFrame, pieces: readonly string[], text: string, at: number): boolean {
    const { parse, end, dump, view } = this.#keeping
    const list = parse(`[${pieces.join(',')}]`, at)
    const put = kept.putAll(view(), list)
    const whole = put && dump(kept.root) === dump(parse(text, end()))
    kept.restore(view())
    return whole
  }
}

/** One frame as the engine has it. */
export class KeptFrame {
  /** Address of the input. */
  readonly root: number
  /** Addresses of where the engine has the address of the value at each place. */
  readonly #slots: readonly number[]
  /** What stood there when it was kept, as text and as addresses. */
  readonly #pieces: readonly string[]
  readonly #values: readonly number[]
  /** Places whose piece is another, in the input at hand. Written by `others`. */
  readonly #other: number[] = []

  constructor(root: number, slots: readonly number[], pieces: readonly string[], view: DataView) {
    this.root = root
    this.#slots = slots
    this.#pieces = pieces
    this.#values = slots.map((slot) => view.getUint32(slot, true))
  }

  /** The pieces that are not as they were when the frame was kept, as the one list in an object. `put` puts them in their places. */
  others(own: readonly string[]): string {
    const other = this.#other
    other.length = 0
    let list = ''
    for (let at = 0; at < own.length; at++) {
      const piece = own[at] ?? ''
      if (piece === this.#pieces[at]) continue
      list += other.length === 0 ? piece : `,${piece}`
      other.push(at)
    }
    return `{"":[${list}]}`
  }

  /** Puts every value in its place, the other ones from the list that was read. False when that has not as many. */
  put(view: DataView, list: number): boolean {
    const other = this.#other
    if (!isList(view, list, other.length)) return false
    this.restore(view)
    for (let at = 0; at < other.length; at++) view.setUint32(this.#slots[other[at] ?? 0] ?? 0, itemOf(view, list, at), true)
    return true
  }

  /** The same with a list of all. */
  putAll(view: DataView, list: number): boolean {
    this.#other.length = 0
    for (let at = 0; at < this.#slots.length; at++) this.#other.push(at)
    return this.put(view, list)
  }

  /** What stood there when it was kept. */
  restore(view: DataView): void {
    for (let at = 0; at < this.#slots.length; at++) view.setUint32(this.#slots[at] ?? 0, this.#values[at] ?? 0, true)
  }
}

// How the engine lays values out, little-endian words of 32 bits (OPA's wasm/src/value.h): an object has its type, its buckets and how many
// there are; a bucket begins a chain of key, value and next; a string has its type, its length at 4 and its bytes at 8; a list has its
// type, its items at 4 and their number at 8, and an item a number and a value.

const objectType = 6
const arrayType = 5
const stringTypes = [4, 8]

/** Where the engine has the address of the value at a place; 0 when it is not found. */
function slotOf(view: DataView, root: number, place: readonly string[]): number {
  let slot = 0
  let value = root
  for (const name of place) {
    slot = memberOf(view, value, name)
    if (slot === 0) return 0
    value = view.getUint32(slot, true)
  }
  return slot
}

function memberOf(view: DataView, object: number, name: string): number {
  if (!within(view, object, 16) || view.getUint8(object) !== objectType) return 0
  const buckets = view.getUint32(object + 4, true)
  const count = view.getUint32(object + 8, true)
  if (!within(view, buckets, count * 4)) return 0
  for (let bucket = 0; bucket < count; bucket++) {
    let member = view.getUint32(buckets + bucket * 4, true)
    while (member !== 0 && within(view, member, 12)) {
      if (isText(view, view.getUint32(member, true), name)) return member + 4
      member = view.getUint32(member + 8, true)
    }
  }
  return 0
}

function isText(view: DataView, string: number, text: string): boolean {
  if (!within(view, string, 12) || !stringTypes.includes(view.getUint8(string))) return false
  const bytes = Buffer.from(text)
  const at = view.getUint32(string + 8, true)
  return (
    view.getUint32(string + 4, true) === bytes.length &&
    within(view, at, bytes.length) &&
    bytes.equals(new Uint8Array(view.buffer, at, bytes.length))
  )
}

function isList(view: DataView, list: number, items: number): boolean {
  return within(view, list, 16) && view.getUint8(list) === arrayType && view.getUint32(list + 8, true) === items
}

function itemOf(view: DataView, list: number, at: number): number {
  return view.getUint32(view.getUint32(list + 4, true) + at * 8 + 4, true)
}

function within(view: DataView, at: number, bytes: number): boolean {
  return at > 0 && at + bytes <= view.byteLength
}
