/** Modules made by hand that look like compiled policies, and are what a test wants them to be. */

/** Parts of a module; what is not named is as an honest policy has it, one that denies everything. */
export interface ModuleSketch {
  /** Export → instructions of its function, without the `end`. */
  readonly bodies?: Readonly<Record<string, readonly number[]>>
  /** Exports that are not there. */
  readonly without?: readonly string[]
  /** Instructions that run when it is instantiated. */
  readonly start?: readonly number[]
  /** Functions besides that it imports, as `[module, name]`. */
  readonly imports?: readonly (readonly [string, string])[]
  /** Fewest pages of the memory that it wants to be lent. */
  readonly pages?: number
  readonly abi?: readonly [number, number]
  readonly texts?: Partial<Readonly<Record<'builtins' | 'entrypoints' | 'answer', string | Uint8Array>>>
  /** Whole sections by number, put in where they belong. */
  readonly sections?: Readonly<Record<number, readonly number[]>>
  /** Types after the usual ones. */
  readonly types?: readonly (readonly number[])[]
}

const i32 = 0x7f
const signatures: Readonly<Record<string, readonly [inputs: number, outputs: number]>> = {
  builtins: [0, 1],
  entrypoints: [0, 1],
  opa_malloc: [1, 1],
  opa_json_parse: [2, 1],
  opa_value_parse: [2, 1],
  opa_json_dump: [1, 1],
  opa_value_dump: [1, 1],
  opa_heap_ptr_get: [0, 1],
  opa_heap_ptr_set: [1, 0],
  opa_eval: [7, 1],
}
const places = { builtins: 1024, entrypoints: 2048, answer: 8192, heap: 65_536 }

export const constant = (value: number): number[] => [0x41, ...signed(value)]
/** `loop br 0 end unreachable` */
export const forever: readonly number[] = [0x03, 0x40, 0x0c, 0x00, 0x0b, 0x00]
export const trap: readonly number[] = [0x00]
/** Asks for memory until there is none. */
export const greedy: readonly number[] = [0x03, 0x40, ...constant(16), 0x40, 0x00, ...constant(-1), 0x47, 0x0d, 0x00, 0x0b]

export function wasmModule(sketch: ModuleSketch = {}): Uint8Array {
  const usual: Record<string, readonly number[]> = {
    builtins: constant(places.builtins),
    entrypoints: constant(places.entrypoints),
    opa_malloc: constant(places.heap),
    opa_json_parse: constant(places.heap),
    opa_value_parse: constant(places.heap),
    opa_json_dump: [0x20, 0x00],
    opa_value_dump: [0x20, 0x00],
    opa_heap_ptr_get: constant(places.heap),
    opa_heap_ptr_set: [],
    opa_eval: constant(places.answer),
  }
  const names = Object.keys(signatures)
  const types = names.map((name) => {
    const [inputs, outputs] = signatures[name] ?? [0, 0]
    return [0x60, ...list(Array.from({ length: inputs }, () => [i32])), ...list(Array.from({ length: outputs }, () => [i32]))]
  })
  types.push([0x60, 0x00, 0x00], ...(sketch.types ?? []).map((type) => [...type]))
  const nothing = names.length
  const imported = (sketch.imports ?? []).map(([module, name]) => [...text(module), ...text(name), 0x00, nothing])
  const first = imported.length
  const bodies = [...names.map((name) => sketch.bodies?.[name] ?? usual[name] ?? []), sketch.start ?? []]
  const exported = names.map((name, at) => ({ name, bytes: [...text(name), 0x00, ...unsigned(first + at)] }))
  const globals = ['opa_wasm_abi_version', 'opa_wasm_abi_minor_version'].map((name, at) => ({ name, bytes: [...text(name), 0x03, at] }))
  const kept = [...exported, ...globals].filter(({ name }) => sketch.without?.includes(name) !== true).map(({ bytes }) => bytes)
  const texts = {
    builtins: '{}',
    entrypoints: '{"countersign/decision":0,"countersign/task":1}',
    answer: '[{"result":{"effect":"deny"}}]',
    ...sketch.texts,
  }
  const data = (['builtins', 'entrypoints', 'answer'] as const).map((name) => {
    const bytes = [...Buffer.from(texts[name]), 0]
    return [0x00, ...constant(places[name]), 0x0b, ...unsigned(bytes.length), ...bytes]
  })
  const sections: Record<number, readonly number[]> = {
    1: list(types),
    2: list([[...text('env'), ...text('memory'), 0x02, 0x00, ...unsigned(sketch.pages ?? 2)], ...imported]),
    3: list([...names.map((_, at) => [at]), [nothing]]),
    6: list((sketch.abi ?? [1, 3]).map((value) => [i32, 0x00, ...constant(value), 0x0b])),
    7: list(kept),
    ...(sketch.start !== undefined && { 8: unsigned(first + names.length) }),
    10: list(bodies.map((body) => sized([0x00, ...body, 0x0b]))),
    11: list(data),
    ...sketch.sections,
  }
  // the order of the standard: tags (13) stand between memories and globals
  const order = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11]
  const made = order.flatMap((id) => (sections[id] === undefined ? [] : [[id, ...unsigned(sections[id].length)], sections[id]]))
  return Buffer.concat([Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0), ...made.map((part) => Uint8Array.from(part))])
}

function list(items: readonly (readonly number[])[]): number[] {
  const all = unsigned(items.length)
  for (const item of items) for (const byte of item) all.push(byte)
  return all
}

function sized(bytes: readonly number[]): number[] {
  return [...unsigned(bytes.length), ...bytes]
}

function text(name: string): number[] {
  return sized([...Buffer.from(name)])
}

/** LEB128. */
export function unsigned(value: number): number[] {
  const bytes: number[] = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest]
    bytes.push((rest % 128) | 0x80)
  }
}

function signed(value: number): number[] {
  const bytes: number[] = []
  for (let rest = value; ; rest >>= 7) {
    const last = (rest >= -64 && rest < 64) || rest >> 7 === rest
    if (last) return [...bytes, rest & 0x7f]
    bytes.push((rest & 0x7f) | 0x80)
  }
}
