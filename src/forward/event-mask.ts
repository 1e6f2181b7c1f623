/** Masks an event stream as it goes by: each event's data by itself, as soon as the event is whole. */
import { Gather } from './gather.ts'
import { SpliceFault } from './json-tokens.ts'
import { spliced, type Change } from './splice.ts'

const empty = Buffer.alloc(0)
const lineFeed = 0x0a
const carriageReturn = 0x0d
const end = Buffer.from('\n')
const dataName = Buffer.from('data: ')

/** How a stream of model answers ends; it is no JSON and says nothing. */
const done = Buffer.from('[DONE]')

/**
 * Reads `text/event-stream` (WHATWG HTML §9.2.6). The data of every event must be one strict JSON document, nothing, or `[DONE]`.
 * Lines are ended anew; what no client reads goes empty or goes: comments, and fields that nobody defined.
 */
export class EventMask {
  masked = 0
  dropped = 0
  readonly #change: Change
  /** Most bytes of one event. */
  readonly #limit: number
  /** The event that is not whole yet. */
  readonly #open = new Gather()
  /** At the beginning of a line. */
  #blank = true
  /** The last byte was a carriage return: a line feed after it is the same line end. */
  #returned = false
  #first = true

  constructor(change: Change, limit: number) {
    this.#change = change
    this.#limit = limit
  }

  /** Takes the next bytes; gives the events that are whole by now. Throws a SpliceFault for one that cannot be masked or is too long. */
  pass(chunk: Uint8Array): Buffer {
    const out: Buffer[] = []
    let from = 0
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at] ?? 0
      // the other half of the line end that ended the event before
      if (byte === lineFeed && this.#returned && at === from && this.#open.length === 0) from++
      if (!this.#endsEvent(byte)) continue
      this.#keep(chunk.subarray(from, at + 1))
      out.push(this.#event(this.#open.take()))
      from = at + 1
    }
    this.#keep(chunk.subarray(from))
    return out.length === 1 ? (out[0] ?? empty) : Buffer.concat(out)
  }

  /** What came after the last whole event: clients are to drop it, and not every one does. */
  rest(): Buffer {
    return this.#open.length === 0 ? empty : this.#event(this.#open.take())
  }

  #endsEvent(byte: number): boolean {
    const same = this.#returned && byte === lineFeed
    this.#returned = byte === carriageReturn
    if (same) return false
    const wasBlank = this.#blank
    this.#blank = byte === lineFeed || byte === carriageReturn
    return wasBlank && this.#blank
  }

  #keep(piece: Uint8Array): void {
    if (this.#open.length + piece.length > this.#limit) throw new SpliceFault('an event too long to be masked')
    this.#open.add(piece)
  }

  #event(event: Buffer): Buffer {
    const marked = this.#first && event[0] === 0xef && event[1] === 0xbb && event[2] === 0xbf
    this.#first = false
    const data: Buffer[] = []
    const lines: Buffer[] = []
    for (const line of linesOf(marked ? event.subarray(3) : event)) {
      const { name, value } = fieldOf(line)
      if (name === 'data') data.push(value)
      else if (name === 'event' || name === 'id' || name === 'retry') lines.push(line)
      else if (name === '') lines.push(Buffer.from(':'))
    }
    if (data.length > 0) for (const line of linesOf(this.#masked(joined(data)))) lines.push(Buffer.concat([dataName, line]))
    return joined([...lines, empty, empty])
  }

  #masked(document: Buffer): Uint8Array {
    if (document.length === 0 || document.equals(done)) return document
    const { bytes, masked, dropped } = spliced(document, this.#change)
    this.masked += masked
    this.dropped += dropped
    return bytes
  }
}

function joined(lines: readonly Buffer[]): Buffer {
  return lines.length === 1 ? (lines[0] ?? empty) : Buffer.concat(lines.flatMap((line, index) => (index === 0 ? [line] : [end, line])))
}

function fieldOf(line: Uint8Array): { readonly name: string; readonly value: Buffer } {
  const bytes = Buffer.from(line.buffer, line.byteOffset, line.length)
  const colon = bytes.indexOf(0x3a)
  if (colon === -1) return { name: bytes.toString('latin1'), value: empty }
  return { name: bytes.toString('latin1', 0, colon), value: bytes.subarray(bytes[colon + 1] === 0x20 ? colon + 2 : colon + 1) }
}

/** Lines without their ends; empty ones are none. */
function linesOf(text: Uint8Array): Buffer[] {
  const lines: Buffer[] = []
  const bytes = Buffer.from(text.buffer, text.byteOffset, text.length)
  for (let from = 0; from < bytes.length;) {
    let to = from
    while (to < bytes.length && bytes[to] !== lineFeed && bytes[to] !== carriageReturn) to++
    if (to > from) lines.push(bytes.subarray(from, to))
    from = to + 1
  }
  return lines
}
