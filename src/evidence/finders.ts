/** Finds bytes in pieces of a ledger before anything of it is parsed. */

/** Where something is in a region. */
export interface Finder {
  /** Another region is looked at from now on. */
  begin(region: Buffer): void
  /** The next place at or after `from`; -1: there is none. `from` never goes back within a region. */
  next(from: number): number
}

/** One text. */
export class TextFinder implements Finder {
  readonly #needle: Buffer
  #region: Buffer = Buffer.alloc(0)
  #at = -1
  #ended = false

  constructor(text: string) {
    this.#needle = Buffer.from(text)
  }

  begin(region: Buffer): void {
    this.#region = region
    this.#at = -1
    this.#ended = false
  }

  next(from: number): number {
    if (this.#ended) return -1
    if (this.#at < from) this.#at = this.#region.indexOf(this.#needle, from)
    this.#ended = this.#at < 0
    return this.#at
  }
}

/** Length of an id, its letter and underscore included. */
const idLength = 28
/** More ids than this are not looked for one by one. */
const mostApart = 4

/** Any of some ids (`t_01…`); one that is added counts from there on. */
export class IdFinder implements Finder {
  readonly #ids = new Set<string>()
  readonly #apart: TextFinder[] = []
  #region: Buffer = Buffer.alloc(0)

  constructor(ids: Iterable<string>) {
    for (const id of ids) this.add(id)
  }

  get size(): number {
    return this.#ids.size
  }

  has(id: string): boolean {
    return this.#ids.has(id)
  }

  add(id: string): void {
    if (this.#ids.has(id)) return
    this.#ids.add(id)
    if (this.#ids.size > mostApart) return
    // a search looks for the first byte before all: hardly any text has as few of a letter as of this
    const finder = new TextFinder(id.slice(1))
    finder.begin(this.#region)
    this.#apart.push(finder)
  }

  begin(region: Buffer): void {
    this.#region = region
    for (const finder of this.#apart) finder.begin(region)
  }

  next(from: number): number {
    if (this.#ids.size > mostApart) return this.#nextOfMany(from)
    return nearest(this.#apart, from)
  }

  /** Every id begins with a letter and `_0`, and hardly anything else has that. */
  #nextOfMany(from: number): number {
    const region = this.#region
    for (let at = region.indexOf('_0', Math.max(from, 1), 'latin1'); at >= 0; at = region.indexOf('_0', at + 2, 'latin1')) {
      if (at > from && this.#ids.has(region.toString('latin1', at - 1, at - 1 + idLength))) return at - 1
    }
    return -1
  }
}

/** The lines of a region, without their LFs, in which one of them finds something; in order, each once. */
export function* linesWith(region: Buffer, finders: readonly Finder[]): Generator<Buffer> {
  for (const finder of finders) finder.begin(region)
  for (let at = nearest(finders, 0); at >= 0;) {
    const start = region.lastIndexOf(10, at) + 1
    const end = region.indexOf(10, at)
    if (end < 0) return
    yield region.subarray(start, end)
    at = nearest(finders, end + 1)
  }
}

function nearest(finders: readonly Finder[], from: number): number {
  let found = -1
  for (const finder of finders) {
    const at = finder.next(from)
    if (at >= 0 && (found < 0 || at < found)) found = at
  }
  return found
}
