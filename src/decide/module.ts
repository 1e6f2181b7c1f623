/** The policy host: activates a bundle, keeps an instance ready, and answers the path synchronously. */

import { BundleFault, type Bundle } from './bundle.ts'
import { builtins } from './builtins.ts'
import { EngineFailure, type Engine, type Entrypoint } from './engine.ts'
import { checkInputText } from './input-text.ts'
import { exported, PolicyInstance, type Mould } from './instance.ts'

/** What a host is opened with. */
export interface PolicyOptions {
  /** Epoch ms. */
  readonly clock: () => number
  readonly log: { info(o: object, m: string): void; warn(o: object, m: string): void; error(o: object, m: string): void }
  /** Most memory of one instance, in pages of 64 KiB. */
  readonly maxMemoryPages?: number
}

const needed: readonly Entrypoint[] = ['countersign/decision', 'countersign/task']

/** 64 MiB: the largest input and all that policy makes of it. */
const usualPages = 1024

/** Memory is never given back, so an instance that grew this far is retired after its evaluation. */
const retiredBytes = 16 * 1024 * 1024

/**
 * Activates a bundle: checks its roots, interface, builtins and entrypoints, and that it denies what it must.
 * Throws BundleFault; what is running goes on then.
 */
export function openPolicy(bundle: Bundle, options: PolicyOptions): PolicyHost {
  checkRoots(bundle)
  const module = compile(bundle.wasm)
  checkInterface(module)
  const host = new PolicyHost(bundle, module, options)
  try {
    checkAnswers(host)
  } catch (error) {
    host.close()
    throw error
  }
  return host
}

export class PolicyHost implements Engine {
  readonly revision: string
  readonly digest: string
  readonly #mould: Mould
  readonly #log: PolicyOptions['log']
  readonly #entrypoints: ReadonlyMap<string, number>
  #instance: PolicyInstance
  /** Made when nothing waits for it, so that a thrown evaluation does not make the next call pay. */
  #spare: PolicyInstance | null = null
  #pending: NodeJS.Immediate | null = null
  #replaced = 0

  constructor(bundle: Bundle, module: WebAssembly.Module, options: PolicyOptions) {
    this.revision = bundle.revision
    this.digest = bundle.digest
    this.#log = options.log
    this.#mould = {
      module,
      data: bundle.data,
      initialPages: 32,
      maxPages: options.maxMemoryPages ?? usualPages,
      clock: options.clock,
      print: (text) => options.log.info({ text: text.slice(0, 1024) }, 'policy printed'),
    }
    this.#instance = first(this.#mould)
    this.#entrypoints = this.#instance.entrypoints
    this.#prepare()
  }

  /** How many instances were thrown away. */
  get replaced(): number {
    return this.#replaced
  }

  evaluate(entrypoint: Entrypoint, inputText: string): unknown {
    checkInputText(inputText)
    const number = this.#entrypoints.get(entrypoint)
    if (number === undefined) throw new EngineFailure(`policy has no entrypoint ${entrypoint}`)
    let results: unknown
    try {
      results = JSON.parse(this.#instance.evaluate(number, inputText))
    } catch (error) {
      // Whatever was thrown unwound through the instance and left its inner stack shorter for ever.
      this.#log.warn({ error: messageOf(error) }, 'policy evaluation threw; its instance is replaced')
      this.#replace()
      throw new EngineFailure('policy evaluation threw', { cause: error })
    }
    if (this.#instance.memoryBytes > retiredBytes) this.#replace()
    return unwrap(results)
  }

  /** Lets go of the spare that is being made. */
  close(): void {
    if (this.#pending !== null) clearImmediate(this.#pending)
    this.#pending = null
    this.#spare = null
  }

  #replace(): void {
    this.#replaced++
    this.#instance = this.#spare ?? new PolicyInstance(this.#mould)
    this.#spare = null
    this.#prepare()
  }

  #prepare(): void {
    this.#pending ??= setImmediate(() => {
      this.#pending = null
      this.#spare ??= new PolicyInstance(this.#mould)
    })
  }
}

/** `[{"result": …}]`, or an empty list for undefined. */
function unwrap(results: unknown): unknown {
  if (!Array.isArray(results)) throw new EngineFailure('policy gave no result set')
  const result: unknown = results[0]
  return typeof result === 'object' && result !== null && 'result' in result ? result.result : undefined
}

/**
 * A bundle that claims every package was built as if all data were known at build time: rules over data that comes later
 * are then removed by the compiler's optimiser, deny rules among them.
 */
function checkRoots(bundle: Bundle): void {
  const { roots } = bundle.manifest
  if (roots.length === 0 || roots.some((root) => root === '' || root === '/')) {
    throw new BundleFault('the bundle claims every package: name its own in the roots of .manifest, e.g. {"roots":["countersign"]}')
  }
}

function compile(wasm: Uint8Array): WebAssembly.Module {
  try {
    return new WebAssembly.Module(wasm)
  } catch (error) {
    throw new BundleFault('policy.wasm is not a module', { cause: error })
  }
}

const lent: Readonly<Record<string, string>> = {
  memory: 'memory',
  opa_abort: 'function',
  opa_println: 'function',
  opa_builtin0: 'function',
  opa_builtin1: 'function',
  opa_builtin2: 'function',
  opa_builtin3: 'function',
  opa_builtin4: 'function',
}

function checkInterface(module: WebAssembly.Module): void {
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    if (from !== 'env' || lent[name] !== kind) throw new BundleFault(`policy.wasm imports ${from}.${name}, which no policy needs`)
  }
  const there = new Map(WebAssembly.Module.exports(module).map(({ name, kind }) => [name, kind]))
  for (const [name, kind] of Object.entries(exported)) {
    if (there.get(name) !== kind) throw new BundleFault(`policy.wasm does not export ${name}: it was not built by a current compiler`)
  }
}

/** The first instance tells what the module cannot be asked for without running it. */
function first(mould: Mould): PolicyInstance {
  let instance: PolicyInstance
  try {
    instance = new PolicyInstance(mould)
  } catch (error) {
    throw new BundleFault(`the policy cannot be instantiated: ${messageOf(error)}`, { cause: error })
  }
  if (instance.major !== 1 || instance.minor < 2 || instance.minor > 3) {
    throw new BundleFault(`policy.wasm speaks ABI ${instance.major}.${instance.minor}; 1.2 and 1.3 are known`)
  }
  const unknown = instance.asked.filter((name) => !Object.hasOwn(builtins, name))
  if (unknown.length > 0) throw new BundleFault(`the policy calls ${unknown.join(', ')}, which the host does not lend to policy`)
  const missing = needed.filter((entrypoint) => !instance.entrypoints.has(entrypoint))
  if (missing.length > 0) throw new BundleFault(`the policy does not answer ${missing.join(', ')}`)
  return instance
}

/** An input that says nothing must be denied. An engine failure here is a fault of the bundle. */
function checkAnswers(host: PolicyHost): void {
  for (const entrypoint of needed) {
    for (const input of ['{}', '{"v":1}']) {
      const effect = effectOf(host, entrypoint, input)
      if (effect !== 'deny') throw new BundleFault(`${entrypoint} must deny ${input}, it says ${JSON.stringify(effect)}`)
    }
  }
}

function effectOf(host: PolicyHost, entrypoint: Entrypoint, input: string): unknown {
  try {
    const document = host.evaluate(entrypoint, input)
    return typeof document === 'object' && document !== null && 'effect' in document ? document.effect : undefined
  } catch (error) {
    throw new BundleFault(`${entrypoint} cannot judge ${input}`, { cause: error })
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
