/** One instance of a compiled policy: its memory, the imports we lend it, and one evaluation at a time. */

import opa from '@open-policy-agent/opa-wasm'
import { mostAnswer } from './answer.ts'
import type { Builtin, Evaluation } from './builtins/builtin.ts'
import { builtins } from './builtins/table.ts'
import type { Framed } from './frame.ts'
import { KeptFrames, type KeptFrame, type Keeping } from './kept.ts'
import { Trace, type Seen } from './memo/trace.ts'
import { jsonOf, readTerm } from './term.ts'

const pageBytes = 65_536

/** What a compiled policy is instantiated with. */
export interface Mould {
  readonly module: WebAssembly.Module
  /** JSON text of the policy's data. */
  readonly data: Uint8Array
  readonly initialPages: number
  readonly maxPages: number
  readonly clock: () => number
  /** What policy prints; off unless it was compiled with printing. */
  readonly print: (text: string) => void
  /** Names of the functions that the module tells of, see `memo/hooked.ts`; absent: it is as it was compiled. */
  readonly told?: readonly string[]
}

/**
 * Owned by the host, never shared: an instance is not re-entrant.
 * Anything thrown out of `evaluate` leaves its inner stack where it was, so the owner must drop the instance then.
 */
export class PolicyInstance implements Evaluation {
  /** ABI version, as the module states it. */
  readonly major: number
  readonly minor: number
  /** Entrypoint → number that `evaluate` takes. */
  readonly entrypoints: ReadonlyMap<string, number>
  /** Names of the builtins that the module asks the host for. */
  readonly asked: readonly string[]
  readonly #memory: WebAssembly.Memory
  readonly #exports: Exports
  readonly #clock: () => number
  readonly #builtins = new Map<number, Builtin>()
  readonly #policy: InstanceType<typeof opa.LoadedPolicy>
  /** What many inputs have in common; null when the module cannot be given an input in parts. */
  readonly frames: KeptFrames | null
  #bytes: Buffer<ArrayBuffer>
  #view: DataView
  #now: number | null = null
  /** Of the evaluation at hand, if it is watched. Written by `evaluateWatched`. */
  #trace: Trace | null = null

  constructor(mould: Mould) {
    this.#clock = mould.clock
    this.#memory = new WebAssembly.Memory({ initial: mould.initialPages, maximum: mould.maxPages })
    this.#bytes = Buffer.from(this.#memory.buffer)
    this.#view = new DataView(this.#memory.buffer)
    const imports = { env: { memory: this.#memory, ...this.#imports(mould) } }
    const instance = new WebAssembly.Instance(mould.module, imports)
    this.#exports = exportsOf(instance)
    this.major = Number(this.#exports.opa_wasm_abi_version.value)
    this.minor = Number(this.#exports.opa_wasm_abi_minor_version.value)
    const asked = this.#numbers(this.#exports.builtins())
    this.asked = [...asked.keys()]
    for (const [name, id] of asked) {
      const builtin = Object.hasOwn(builtins, name) ? builtins[name] : undefined
      if (builtin !== undefined) this.#builtins.set(id, builtin)
    }
    // The SDK's wrapper owns the protocol of data and heap; evaluation goes past it, straight to the module.
    const policy = new opa.LoadedPolicy(instance, this.#memory, this.minor)
    policy.setData(Uint8Array.from(mould.data).buffer)
    this.#policy = policy
    const keeping: Keeping = {
      parse: (text, at) => this.#parse(Buffer.from(text), at),
      end: () => this.#exports.opa_heap_ptr_get(),
      dump: (value) => this.#text(this.#exports.opa_value_dump(value)),
      view: () => this.#refresh(),
    }
    this.frames = stepwise.every((name) => name in this.#exports) ? new KeptFrames(policy.dataHeapPtr, keeping) : null
    this.entrypoints = this.#numbers(this.#exports.entrypoints())
  }

  /** Bytes of memory in use; it never shrinks. */
  get memoryBytes(): number {
    return this.#bytes.length
  }

  /** Epoch ms of the evaluation at hand: one moment for all of it. */
  now(): number {
    this.#trace?.unsettled()
    this.#now ??= this.#clock()
    return this.#now
  }

  /** Evaluates on JSON that `encodeInput` passed. Gives the text of the result set. */
  evaluate(entrypoint: number, input: string | Uint8Array): string {
    this.#now = null
    return this.#answer(this.#evaluateText(entrypoint, typeof input === 'string' ? Buffer.from(input) : input, 0))
  }

  /** The same on a frame of this instance: `others` is what the frame made of an input's own, passed by `encodeInput`. */
  evaluateFramed(entrypoint: number, frame: KeptFrame, others: Uint8Array): string {
    this.#now = null
    // of `{"":[…]}` the list
    const list = this.#parse(others.subarray(4, -1), this.#floor)
    if (!frame.put(this.#refresh(), list)) throw new Error('the input is not in its parts')
    return this.#answer(this.#evaluateValue(entrypoint, frame.root))
  }

  /** The same on a whole input, watched: what it found out; null when the answer rests on more than that. For a module that tells. */
  evaluateWatched(entrypoint: number, framed: Framed, input: Uint8Array): { readonly answer: string; readonly seen: Seen | null } {
    this.#now = null
    const root = this.#parse(input, this.#floor)
    const trace = new Trace(framed, root, () => this.#refresh())
    this.#trace = trace
    const answer = this.#answer(this.#evaluateValue(entrypoint, root))
    this.#trace = null
    return { answer, seen: trace.seen }
  }

  /** The same with sets as lists in the order of the policy language: the engine writes them in that of their hashes. */
  evaluateInOrder(entrypoint: number, input: string | Uint8Array): string {
    this.#now = null
    return jsonOf(readTerm(this.#answer(this.#evaluateText(entrypoint, typeof input === 'string' ? Buffer.from(input) : input, 1))))
  }

  /** The same through the SDK: slower, kept as the reference that the fast path is tested against. */
  evaluateBySdk(entrypoint: number, input: unknown): unknown {
    this.#now = null
    return this.#policy.evaluate(input, entrypoint)
  }

  /** Where an input is written. */
  get #floor(): number {
    return this.frames?.floor ?? this.#policy.dataHeapPtr
  }

  /** `format`: 0 for JSON, 1 for what `readTerm` reads. */
  #evaluateText(entrypoint: number, input: Uint8Array, format: 0 | 1): number {
    const floor = this.#floor
    this.#write(input, floor)
    const heap = floor + input.length
    return this.#exports.opa_eval(0, entrypoint, this.#policy.dataAddr, floor, input.length, heap, format)
  }

  /** Does what `opa_eval` does, step by step. */
  #evaluateValue(entrypoint: number, input: number): number {
    const engine = this.#exports
    const context = engine.opa_eval_ctx_new()
    engine.opa_eval_ctx_set_input(context, input)
    engine.opa_eval_ctx_set_data(context, this.#policy.dataAddr)
    engine.opa_eval_ctx_set_entrypoint(context, entrypoint)
    engine.eval(context)
    return engine.opa_json_dump(engine.opa_eval_ctx_get_result(context))
  }

  /** The text of an answer at an address. */
  #answer(result: number): string {
    this.#refresh()
    const end = this.#bytes.indexOf(0, result)
    if (end - result > mostAnswer) throw new Error('policy answered more than anybody reads')
    return this.#bytes.toString('utf8', result, end)
  }

  /** Reads JSON, with all memory from `at` on for it; the text stays where its value points into it. */
  #parse(bytes: Uint8Array, at: number): number {
    this.#write(bytes, at)
    this.#exports.opa_heap_ptr_set(at + bytes.length)
    const value = this.#exports.opa_json_parse(at, bytes.length)
    if (value === 0) throw new Error('the input is not JSON')
    return value
  }

  #write(bytes: Uint8Array, at: number): void {
    this.#reserve(at + bytes.length)
    this.#bytes.set(bytes, at)
  }

  #reserve(bytes: number): void {
    this.#refresh()
    const missing = bytes - this.#bytes.length
    if (missing > 0) this.#memory.grow(Math.ceil(missing / pageBytes))
    this.#refresh()
  }

  /** Growth detaches the buffer, whoever asked for it, and what is detached has no length. Asking the memory costs more. */
  #refresh(): DataView {
    if (this.#bytes.length === 0) {
      this.#bytes = Buffer.from(this.#memory.buffer)
      this.#view = new DataView(this.#memory.buffer)
    }
    return this.#view
  }

  #text(address: number): string {
    this.#refresh()
    return this.#bytes.toString('utf8', address, this.#bytes.indexOf(0, address))
  }

  #numbers(address: number): Map<string, number> {
    const parsed: unknown = JSON.parse(this.#text(this.#exports.opa_json_dump(address)))
    return new Map(Object.entries(parsed ?? {}).map(([name, id]) => [name, Number(id)]))
  }

  #imports({ print, told = [] }: Mould): Record<string, WebAssembly.ImportValue> {
    const call = (id: number, _context: number, ...addresses: readonly number[]): number => this.#call(id, addresses)
    const callOrTold = (id: number, context: number, ...addresses: readonly number[]): number => {
      if (id >= 0) return this.#call(id, addresses)
      this.#trace?.told(told[-1 - id] ?? '', context, addresses)
      return 0
    }
    return {
      opa_abort: (address: number): never => {
        throw new Error(`policy aborted: ${this.#text(address)}`)
      },
      opa_println: (address: number): void => {
        this.#trace?.unsettled()
        print(this.#text(address))
      },
      opa_builtin0: call,
      opa_builtin1: call,
      opa_builtin2: call,
      opa_builtin3: call,
      opa_builtin4: told.length === 0 ? call : callOrTold,
    }
  }

  /** 0 is the engine's undefined. */
  #call(id: number, addresses: readonly number[]): number {
    this.#trace?.wholly(addresses)
    const builtin = this.#builtins.get(id)
    if (builtin === undefined) throw new Error(`policy called builtin ${id}, which the host does not have`)
    const terms = addresses.map((address) => readTerm(this.#text(this.#exports.opa_value_dump(address))))
    const answer = builtin(this, ...terms)
    if (answer === undefined) return 0
    const bytes = Buffer.from(answer)
    const address = this.#exports.opa_malloc(bytes.length)
    this.#refresh()
    this.#bytes.set(bytes, address)
    return this.#exports.opa_value_parse(address, bytes.length)
  }
}

interface Exports {
  readonly opa_wasm_abi_version: WebAssembly.Global
  readonly opa_wasm_abi_minor_version: WebAssembly.Global
  builtins(): number
  entrypoints(): number
  opa_malloc(bytes: number): number
  opa_json_parse(address: number, bytes: number): number
  opa_value_parse(address: number, bytes: number): number
  opa_json_dump(value: number): number
  opa_value_dump(value: number): number
  opa_heap_ptr_get(): number
  opa_heap_ptr_set(address: number): void
  opa_eval_ctx_new(): number
  opa_eval_ctx_set_input(context: number, value: number): void
  opa_eval_ctx_set_data(context: number, value: number): void
  opa_eval_ctx_set_entrypoint(context: number, entrypoint: number): void
  opa_eval_ctx_get_result(context: number): number
  eval(context: number): number
  opa_eval(reserved: number, entrypoint: number, data: number, input: number, bytes: number, heap: number, format: number): number
}

/** Names that a module must export, with what they are. Checked on the module before the first instance. */
export const exported = {
  opa_wasm_abi_version: 'global',
  opa_wasm_abi_minor_version: 'global',
  builtins: 'function',
  entrypoints: 'function',
  opa_malloc: 'function',
  opa_json_parse: 'function',
  opa_json_dump: 'function',
  opa_value_parse: 'function',
  opa_value_dump: 'function',
  opa_heap_ptr_get: 'function',
  opa_heap_ptr_set: 'function',
  opa_eval: 'function',
} as const

/** Names that a module has besides when it can be given an input as a value. */
const stepwise = [
  'opa_eval_ctx_new',
  'opa_eval_ctx_set_input',
  'opa_eval_ctx_set_data',
  'opa_eval_ctx_set_entrypoint',
  'opa_eval_ctx_get_result',
  'eval',
]

function exportsOf(instance: WebAssembly.Instance): Exports {
  return instance.exports as unknown as Exports
}
