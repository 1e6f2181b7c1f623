/** A compiled policy in which every call from the policy to the engine's library is told to the host: what an evaluation looks at can be seen. */

import { setImmediate as turn } from 'node:timers/promises'

/** A module, and the name of each function of the library that is told, by its number. */
export interface Hooked {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly told: readonly string[]
}

const sections = { types: 1, imports: 2, functions: 3, exports: 7, code: 10 } as const
const i32 = 0x7f
const op = { end: 0x0b, call: 0x10, drop: 0x1a, get: 0x20, set: 0x21, const: 0x41 } as const

/** Instructions that the compiler makes policies of, by what follows each: nothing, or one number. Those of `plain` have nothing. */
const plain = new Set([0x00, 0x01, 0x0b, 0x05, 0x0f, 0x1a, 0x45, 0x46, 0x47])
const withNumber = new Set([0x0c, 0x0d, op.get, op.set, 0x22, op.const, 0x42])
const blocks = new Set([0x02, 0x03, 0x04])
/** Only the entrypoint itself looks into memory: for its input, its data and which rule is asked for. */
const memory = new Set([0x28, 0x36])

/** Most functions of a policy that are read in one turn of the loop. */
const perTurn = 8

/** Functions that the compiler makes of rules. */
const ofPolicy = /^g\d+\./

/**
 * Makes the module: same types, same imports, same memory. What it tells goes through the import `opa_builtin4` with a number below zero
 * for the builtin, -1 for the first of `told`, then the result and up to four arguments. Gives turns of the loop to others in between.
 *
 * Null for a module that is not made as the compiler is known to make them: nobody could say what its evaluations look at then. A function
 * that is not known for one of a policy is taken for one of the library.
 */
export async function hook(wasm: Uint8Array): Promise<Hooked | null> {
  const form = read(wasm)
  if (form === null) return null
  const hooks = new Hooks(form)
  const bodies: Uint8Array[] = []
  let rewrites = 0
  for (const [at, body] of form.bodies.entries()) {
    const index = form.imported.length + at
    const policy = index === form.eval || ofPolicy.test(form.names.get(index) ?? '')
    const made = policy ? rewritten(body, index === form.eval, hooks) : body
    if (made === null) return null
    bodies.push(made)
    if (policy && ++rewrites % perTurn === 0) await turn()
  }
  return { bytes: written(wasm, form, [...bodies, ...hooks.bodies], hooks.types), told: hooks.told }
}

/** What of a module it takes. */
interface Form {
  /** Types of functions: how many arguments and results, when all are 32-bit integers; else null. */
  readonly types: readonly ({ readonly takes: number; readonly gives: number } | null)[]
  readonly imported: readonly { readonly name: string; readonly type: number }[]
  /** Type of each function of its own, and its body. */
  readonly functions: readonly number[]
  readonly bodies: readonly Uint8Array[]
  readonly names: ReadonlyMap<number, string>
  readonly eval: number
}

/** Functions put around those of the library, each made when it is first called for. */
class Hooks {
  readonly told: string[] = []
  readonly bodies: Uint8Array[] = []
  readonly types: number[] = []
  readonly #form: Form
  readonly #known = new Map<number, number>()

  constructor(form: Form) {
    this.#form = form
  }

  /** The function to call instead; null where what is called cannot be told. */
  around(called: number): number | null {
    const { imported, functions, names, types } = this.#form
    // a builtin of the host is told by being called, and whatever aborts ends the evaluation
    if (called < imported.length) return called
    const name = names.get(called) ?? ''
    // numbers of a policy's own; what it takes is no value
    if (ofPolicy.test(name) || name === 'opa_number_int') return called
    const before = this.#known.get(called)
    if (before !== undefined) return before
    const own = functions[called - imported.length] ?? -1
    const type = types[own] ?? null
    if (type === null || type.takes > 4 || type.gives > 1) return null
    const index = imported.length + functions.length + this.bodies.length
    this.bodies.push(
      wrapper(
        called,
        this.told.length,
        type,
        imported.findIndex((one) => one.name === 'opa_builtin4'),
      ),
    )
    this.types.push(own)
    this.told.push(name)
    this.#known.set(called, index)
    return index
  }
}

/** `place`: of its name in `told`. `tell`: the import that is told. */
function wrapper(called: number, place: number, { takes, gives }: NonNullable<Form['types'][number]>, tell: number): Uint8Array {
  const given = Array.from({ length: takes }, (_, at) => [op.get, at]).flat()
  const none = Array.from({ length: 4 - takes }, () => [op.const, 0]).flat()
  const [keep, give] =
    gives === 1
      ? [
          [op.set, takes],
          [op.get, takes],
        ]
      : [[], []]
  const telling = [op.const, ...signed(-1 - place), op.get, takes, ...given, ...none, op.call, ...unsigned(tell), op.drop]
  return Uint8Array.from([1, 1, i32, ...given, op.call, ...unsigned(called), ...keep, ...telling, ...give, op.end])
}

/** A function of the policy that calls the hooks; null where it has an instruction that no policy is made of. */
function rewritten(body: Uint8Array, entry: boolean, hooks: Hooks): Uint8Array | null {
  const parts: Uint8Array[] = []
  let kept = 0
  let at = skipLocals(body)
  while (at < body.length) {
    const code = body[at++] ?? 0
    if (blocks.has(code)) at++
    else if (withNumber.has(code)) at = behind(body, at)
    else if (entry && memory.has(code)) at = behind(body, behind(body, at))
    else if (code === op.call) {
      const called = number(body, at)
      const instead = hooks.around(called.value)
      if (instead === null) return null
      if (instead !== called.value) {
        parts.push(body.subarray(kept, at), Uint8Array.from(unsigned(instead)))
        kept = called.next
      }
      at = called.next
    } else if (!plain.has(code)) return null
  }
  return Buffer.concat([...parts, body.subarray(kept)])
}

function skipLocals(body: Uint8Array): number {
  const count = number(body, 0)
  let at = count.next
  for (let local = 0; local < count.value; local++) at = behind(body, at) + 1
  return at
}

/** The module with other functions. Names and what else is for people is left out. */
function written(wasm: Uint8Array, { functions }: Form, bodies: readonly Uint8Array[], more: readonly number[]): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [wasm.subarray(0, 8)]
  for (const { id, from, to } of sectionsOf(wasm)) {
    if (id === 0) continue
    const types = [...functions, ...more]
    const content =
      id === sections.functions
        ? Uint8Array.from([...unsigned(types.length), ...types.flatMap(unsigned)])
        : id === sections.code
          ? Buffer.concat([
              Uint8Array.from(unsigned(bodies.length)),
              ...bodies.flatMap((one) => [Uint8Array.from(unsigned(one.length)), one]),
            ])
          : wasm.subarray(from, to)
    parts.push(Uint8Array.from([id, ...unsigned(content.length)]), content)
  }
  return Uint8Array.from(Buffer.concat(parts))
}

/** Takes bytes that the runtime found valid. */
function read(wasm: Uint8Array): Form | null {
  const form = { types: [], imported: [], functions: [], bodies: [], names: new Map<number, string>(), eval: -1 } as {
    -readonly [name in keyof Form]: Form[name]
  }
  for (const { id, from, to } of sectionsOf(wasm)) {
    if (id === sections.types) form.types = listed(wasm, from, typeAt)
    else if (id === sections.imports) form.imported = listed(wasm, from, importAt).filter((one) => one !== null)
    else if (id === sections.functions) form.functions = listed(wasm, from, number)
    else if (id === sections.exports)
      form.eval = listed(wasm, from, exportAt).find(({ name, kind }) => name === 'eval' && kind === 0)?.index ?? -1
    else if (id === sections.code) form.bodies = listed(wasm, from, (bytes, at) => piece(bytes, at))
    else if (id === 0 && textAt(wasm, from).value === 'name') form.names = namesIn(wasm, textAt(wasm, from).next, to)
  }
  const ready = form.eval >= form.imported.length && form.names.size > 0 && form.imported.some(({ name }) => name === 'opa_builtin4')
  return ready ? form : null
}

interface Read<T> {
  readonly value: T
  readonly next: number
}

function* sectionsOf(wasm: Uint8Array): Generator<{ readonly id: number; readonly from: number; readonly to: number }> {
  let at = 8
  while (at < wasm.length) {
    const size = number(wasm, at + 1)
    yield { id: wasm[at] ?? 0, from: size.next, to: size.next + size.value }
    at = size.next + size.value
  }
}

function listed<T>(bytes: Uint8Array, from: number, each: (bytes: Uint8Array, at: number) => Read<T>): T[] {
  const count = number(bytes, from)
  const all: T[] = []
  let at = count.next
  for (let item = 0; item < count.value; item++) {
    const one = each(bytes, at)
    all.push(one.value)
    at = one.next
  }
  return all
}

function typeAt(bytes: Uint8Array, at: number): Read<Form['types'][number]> {
  const takes = piece(bytes, at + 1)
  const gives = piece(bytes, takes.next)
  const words = [...takes.value, ...gives.value].every((kind) => kind === i32)
  return { value: words ? { takes: takes.value.length, gives: gives.value.length } : null, next: gives.next }
}

/** Null for what is no function: the memory. */
function importAt(bytes: Uint8Array, at: number): Read<Form['imported'][number] | null> {
  const name = textAt(bytes, textAt(bytes, at).next)
  const kind = bytes[name.next] ?? 0
  const first = number(bytes, name.next + 1)
  if (kind === 0) return { value: { name: name.value, type: first.value }, next: first.next }
  if (kind !== 2) throw new Error('an import that no policy has')
  const least = number(bytes, first.next)
  return { value: null, next: (first.value & 1) === 1 ? behind(bytes, least.next) : least.next }
}

function exportAt(bytes: Uint8Array, at: number): Read<{ readonly name: string; readonly kind: number; readonly index: number }> {
  const name = textAt(bytes, at)
  const index = number(bytes, name.next + 1)
  return { value: { name: name.value, kind: bytes[name.next] ?? 0, index: index.value }, next: index.next }
}

function namesIn(bytes: Uint8Array, from: number, to: number): ReadonlyMap<number, string> {
  let at = from
  while (at < to) {
    const size = number(bytes, at + 1)
    if (bytes[at] === 1) return new Map(listed(bytes, size.next, namedAt))
    at = size.next + size.value
  }
  return new Map()
}

function namedAt(bytes: Uint8Array, at: number): Read<readonly [number, string]> {
  const index = number(bytes, at)
  const name = textAt(bytes, index.next)
  return { value: [index.value, name.value], next: name.next }
}

function piece(bytes: Uint8Array, at: number): Read<Uint8Array> {
  const size = number(bytes, at)
  return { value: bytes.subarray(size.next, size.next + size.value), next: size.next + size.value }
}

function textAt(bytes: Uint8Array, at: number): Read<string> {
  const { value, next } = piece(bytes, at)
  return { value: Buffer.from(value).toString('utf8'), next }
}

/** An unsigned LEB128 integer. */
function number(bytes: Uint8Array, start: number): Read<number> {
  let value = 0
  let at = start
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++] ?? 0
    value += (byte & 0x7f) * 2 ** shift
    if (byte < 0x80) return { value, next: at }
  }
}

/** The place after a LEB128 integer. */
function behind(bytes: Uint8Array, start: number): number {
  let at = start
  while ((bytes[at] ?? 0) >= 0x80) at++
  return at + 1
}

function unsigned(value: number): number[] {
  const low = value % 128
  return value < 128 ? [low] : [low | 0x80, ...unsigned((value - low) / 128)]
}

function signed(value: number): number[] {
  const low = value & 0x7f
  const rest = value >> 7
  const over = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)
  return over ? [low] : [low | 0x80, ...signed(rest)]
}
