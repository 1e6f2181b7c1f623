/** Watches one evaluation and notes what of its input it finds out: two inputs that are alike in that much are answered alike. */

import type { Framed } from '../frame.ts'
import { between, isNot, leafOf, told, valueAt, type Leaf } from './leaf.ts'
import { flagAt, kindAt, kinds, textAt, textsAt, wholeAt } from './values.ts'

/** What an evaluation found out of the pieces of its input. What it did not look at is not there. */
export interface Seen {
  /** Pieces that were looked at as a whole. */
  readonly whole: ReadonlySet<number>
  /** Piece → what of it was looked at. */
  readonly leaves: ReadonlyMap<number, readonly Leaf[]>
}

/** A value of the input, or a number made of one. */
interface Known {
  /** The piece that it stands in; null for what pieces stand in. */
  readonly piece: number | null
  /** From the piece down, or from the input down to what pieces stand in. */
  readonly path: readonly string[]
  /** Null for what has members. */
  readonly leaf: Leaf | null
  /** What was added to a number since. */
  readonly added: number
}

/** An evaluation that calls for more is not watched to its end. */
const mostCalls = 10_000
const mostLeaves = 256
const mostWhole = 2 ** 51

/**
 * Policy code compiled by OPA holds nothing but addresses: whatever it finds out of a value it is told by a function of the engine's
 * library, and which one it calls next depends on nothing else. So what those functions found out is all that an answer rests on. A function
 * that is not known here is taken to look at everything that it is given.
 *
 * Throws when an evaluation does not do what its values say, or calls for too much: nothing is known of it then.
 */
export class Trace {
  readonly #frame: Framed
  readonly #values: unknown[]
  readonly #view: () => DataView
  /** Address → the value of the input that is there. Nothing of an input is moved or freed while it is evaluated. */
  readonly #known = new Map<number, Known>()
  readonly #whole = new Set<number>()
  readonly #leaves = new Map<number, Leaf[]>()
  /** Whether the answer rests on nothing but the input and the data of the policy. Written by `unsettled`. */
  #settled = true
  #calls = 0
  #count = 0

  constructor(framed: Framed, root: number, view: () => DataView) {
    this.#frame = framed
    this.#values = framed.own.map((piece): unknown => JSON.parse(piece))
    this.#view = view
    this.#known.set(root, { piece: null, path: [], leaf: null, added: 0 })
  }

  /** Null when the answer rests on more than the input: no input is answered alike then. */
  get seen(): Seen | null {
    return this.#settled ? { whole: this.#whole, leaves: this.#leaves } : null
  }

  /** The evaluation asked for the time, or printed. */
  unsettled(): void {
    this.#settled = false
  }

  /** A function of the library was called; `result` 0 is the engine's undefined, or a function that gives nothing. */
  told(name: string, result: number, given: readonly number[]): void {
    if (++this.#calls > mostCalls) throw new Error('an evaluation that is too long to be watched')
    const [first = 0, second = 0] = given
    if (name === 'opa_value_get') return this.#get(first, second, result)
    if (name === 'builtin_object_get') return this.#getOr(first, second, result)
    if (name === 'opa_value_compare') return this.#compare('==', first, second, result === 0)
    const relation = relations[name]
    if (relation !== undefined) return this.#compare(relation, first, second, flagAt(this.#view(), result))
    if (name === 'opa_arith_plus') return this.#add(first, second, result, 1)
    if (name === 'opa_arith_minus') return this.#add(first, second, result, -1)
    if (name === 'opa_strings_startswith') return this.#begins(first, second, flagAt(this.#view(), result))
    // what a value is was noted when it was reached, and what is remembered is found again at its address
    if (typeTests.has(name) || name === 'opa_memoize_insert' || name === 'opa_memoize_get') return
    this.wholly(given)
  }

  /** All of these values may have been looked at. */
  wholly(given: readonly number[]): void {
    for (const at of given) this.#all(this.#known.get(at))
  }

  #all(known: Known | undefined): void {
    if (known === undefined) return
    if (known.piece !== null) return void this.#whole.add(known.piece)
    for (const [piece, place] of this.#frame.frame.places.entries())
      if (known.path.every((name, at) => place[at] === name)) this.#whole.add(piece)
  }

  #get(object: number, key: number, result: number): void {
    this.wholly([key])
    const known = this.#known.get(object)
    if (known === undefined) return
    const name = textAt(this.#view(), key)
    if (known.leaf !== null) return
    if (name === null || kindAt(this.#view(), object) !== kinds.object) return this.#all(known)
    this.#reach(known, name, result)
  }

  /** `object.get`: by a name, or by a list of names. */
  #getOr(object: number, key: number, result: number): void {
    this.wholly([key])
    const known = this.#known.get(object)
    if (known === undefined) return
    const view = this.#view()
    const name = textAt(view, key)
    const names = name === null ? textsAt(view, key) : [name]
    const last = names?.at(-1)
    if (names === null || last === undefined || known.leaf !== null || kindAt(view, object) !== kinds.object) return this.#all(known)
    let inner: Known | null = known
    for (const one of names.slice(0, -1)) {
      inner = this.#within(inner, one)
      if (inner === null) return
      if (inner.piece !== null && this.#leaf(inner.piece, inner.path)?.type !== 'object') return this.#all(inner)
    }
    const child = this.#within(inner, last)
    if (child === null) return
    const there = child.piece === null || this.#value(child) !== undefined
    this.#reach(inner, last, there ? result : 0)
  }

  /** What stands under a name; null for what every input of the frame has, letter for letter. */
  #within({ piece, path }: Known, name: string): Known | null {
    const inner = [...path, name]
    if (piece !== null) return { piece, path: inner, leaf: null, added: 0 }
    const { places } = this.#frame.frame
    const at = places.findIndex((place) => place.length === inner.length && inner.every((one, depth) => place[depth] === one))
    if (at !== -1) return { piece: at, path: [], leaf: null, added: 0 }
    const above = places.some((place) => inner.every((one, depth) => place[depth] === one))
    return above ? { piece: null, path: inner, leaf: null, added: 0 } : null
  }

  /** The value under a name was asked for, and is there, or is not. */
  #reach(known: Known, name: string, result: number): void {
    const child = this.#within(known, name)
    if (child === null) return
    if (child.piece === null && result !== 0) return this.#track(result, child)
    if (child.piece === null) throw new Error('a value that is not where its text has it')
    if (this.#whole.has(child.piece)) return
    const value = this.#value(child)
    if ((value === undefined) !== (result === 0)) throw new Error('a value that is not where its text has it')
    const leaf = this.#leaf(child.piece, child.path)
    if (leaf === null || leaf.type === 'null' || leaf.type === 'boolean' || leaf.type === 'absent') return
    this.#track(result, { ...child, leaf: leaf.type === 'number' || leaf.type === 'string' ? leaf : null })
  }

  /** An address that stands for two values stands for none, and both of them count as looked at. */
  #track(address: number, known: Known): void {
    const before = this.#known.get(address)
    if (before === undefined) this.#known.set(address, known)
    else if (before.piece !== known.piece || before.path.join('\0') !== known.path.join('\0')) {
      this.#all(before)
      this.#all(known)
    }
  }

  #value({ piece, path }: Known): unknown {
    return piece === null ? undefined : valueAt(this.#values[piece], path)
  }

  /** What is known of a value from now on: what it is. Null where the whole piece is known instead, as of a number that is not exact. */
  #leaf(piece: number, path: readonly string[]): Leaf | null {
    const all = this.#leaves.get(piece) ?? []
    const before = all.find((one) => one.path.length === path.length && one.path.every((name, at) => path[at] === name))
    if (before !== undefined) return before
    const value = valueAt(this.#values[piece], path)
    if (typeof value === 'number' ? !Number.isSafeInteger(value) : typeof value === 'string' && value.includes('\0')) {
      this.#whole.add(piece)
      return null
    }
    if (++this.#count > mostLeaves) throw new Error('an evaluation that looks at too much')
    const leaf = leafOf(path, value)
    this.#leaves.set(piece, [...all, leaf])
    return leaf
  }

  /** A value of which not everything is known already. */
  #open(at: number): Known | undefined {
    const known = this.#known.get(at)
    return known !== undefined && known.piece !== null && this.#whole.has(known.piece) ? undefined : known
  }

  /** The one of two values that the input has, and what it is held against; null when there is no more to know. */
  #held(
    first: number,
    second: number,
  ): { readonly known: Known & { readonly leaf: Leaf }; readonly other: number; readonly turned: boolean } | null {
    const [one, another] = [this.#open(first), this.#open(second)]
    if (one !== undefined && another !== undefined) this.#all(another)
    const known = one ?? another
    if (known === undefined) return null
    const { leaf } = known
    if (leaf === null) {
      this.#all(known)
      return null
    }
    return { known: { ...known, leaf }, other: one === undefined ? first : second, turned: one === undefined }
  }

  #compare(relation: Relation, first: number, second: number, outcome: boolean | null): void {
    const held = this.#held(first, second)
    if (held === null) return
    const { known, other, turned } = held
    const { leaf, added } = known
    const view = this.#view()
    if (leaf.type === 'string') {
      const text = textAt(view, other)
      // of values of two kinds which is the greater follows from the kinds
      if (text === null && kindAt(view, other) !== 0) return
      if (text === null || text.includes('\0') || (relation !== '==' && relation !== '!=')) return this.#all(known)
      const same = this.#value(known) === text
      if (outcome !== (same === (relation === '=='))) throw new Error('texts that are not compared as they are')
      return told(leaf, text, false, same)
    }
    const whole = wholeAt(view, other)
    if (whole === null && kindAt(view, other) !== kinds.number && kindAt(view, other) !== 0) return
    const bound = (whole ?? NaN) - added
    if (!(Math.abs(bound) < mostWhole)) return this.#all(known)
    const side = turned ? turnedAround[relation] : relation
    const value = Number(this.#value(known))
    if (outcome !== compared(side, value, bound)) throw new Error('numbers that are not compared as they are')
    narrow(leaf, side, bound, outcome)
  }

  #add(first: number, second: number, result: number, sign: 1 | -1): void {
    const held = this.#held(first, second)
    if (held === null) return
    const { known, other, turned } = held
    const view = this.#view()
    const whole = wholeAt(view, other)
    const added = known.added + sign * (whole ?? NaN)
    const exact = known.leaf.type === 'number' && !(turned && sign === -1) && Math.abs(added) < mostWhole
    if (!exact || wholeAt(view, result) !== Number(this.#value(known)) + added) return this.#all(known)
    // made by this evaluation: whatever was at the address before is no more
    this.#known.set(result, { ...known, added })
  }

  #begins(first: number, second: number, outcome: boolean | null): void {
    const held = this.#held(first, second)
    if (held === null) return
    const { known, other, turned } = held
    const text = textAt(this.#view(), other)
    if (turned || text === null || text.includes('\0') || known.leaf.type !== 'string') return this.#all(known)
    if (outcome !== String(this.#value(known)).startsWith(text)) throw new Error('a text that does not begin as it does')
    told(known.leaf, text, true, outcome)
  }
}

type Relation = '==' | '!=' | '<' | '<=' | '>' | '>='

const relations: Readonly<Record<string, Relation>> = {
  opa_cmp_eq: '==',
  opa_cmp_neq: '!=',
  opa_cmp_lt: '<',
  opa_cmp_lte: '<=',
  opa_cmp_gt: '>',
  opa_cmp_gte: '>=',
}

const turnedAround = { '==': '==', '!=': '!=', '<': '>', '<=': '>=', '>': '<', '>=': '<=' } as const

const typeTests: ReadonlySet<string> = new Set([
  'opa_value_type',
  ...['array', 'boolean', 'null', 'number', 'object', 'set', 'string'].map((kind) => `opa_types_is_${kind}`),
])

function compared(relation: Relation, left: number, right: number): boolean {
  if (relation === '==') return left === right
  if (relation === '!=') return left !== right
  if (relation === '<') return left < right
  if (relation === '<=') return left <= right
  return relation === '>' ? left > right : left >= right
}

/** What a number may be for a comparison to come out as it did. */
function narrow(leaf: Leaf, relation: Relation, bound: number, outcome: boolean): void {
  if (relation === '==' || relation === '!=') {
    if (outcome === (relation === '==')) between(leaf, bound, bound)
    else isNot(leaf, bound)
  } else if (relation === '<') between(leaf, outcome ? -Infinity : bound, outcome ? bound - 1 : Infinity)
  else if (relation === '<=') between(leaf, outcome ? -Infinity : bound + 1, outcome ? bound : Infinity)
  else if (relation === '>') between(leaf, outcome ? bound + 1 : -Infinity, outcome ? Infinity : bound)
  else between(leaf, outcome ? bound : -Infinity, outcome ? Infinity : bound - 1)
}
