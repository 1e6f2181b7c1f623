/** The policy host: activates a bundle, keeps an instance ready, and answers the path synchronously. */

import { activate, checkAnswers, checkCost, makeFirst } from './activation.ts'
import type { Bundle } from './bundle/bundle.ts'
import { EngineFailure, type Engine, type Entrypoint } from './engine.ts'
import { encodeInput } from './input-text.ts'
import { PolicyInstance, type Mould } from './instance.ts'

/** What a host is opened with. */
export interface PolicyOptions {
  /** Epoch ms. */
  readonly clock: () => number
  readonly log: { info(o: object, m: string): void; warn(o: object, m: string): void; error(o: object, m: string): void }
  /** Most memory of one instance, in pages of 64 KiB. */
  readonly maxMemoryPages?: number
  /** Longest that the worst input may take at activation, ms; nothing can interrupt an evaluation later. */
  readonly budgetMs?: number
  /** What the operator sets for the rules: `countersign.settings` of the data. */
  readonly settings?: Readonly<Record<string, unknown>>
}

/** 64 MiB: the largest input and all that policy makes of it. */
const usualPages = 1024

const usualBudgetMs = 1000

/** Digest of a bundle → the budget it kept. Written by `openPolicy` alone: a reload must not stall the path to measure again. */
const affordable = new Map<string, number>()

/** Memory is never given back, so an instance that grew this far is retired after its evaluation. */
const retiredBytes = 16 * 1024 * 1024

/** Most answers kept, and the longest text of one. */
const mostKept = 64
const longestKept = 1024

/**
 * Activates a bundle: checks its roots, interface, builtins and entrypoints, that it denies what it must and that its worst case
 * is short. Throws BundleFault; what is running goes on then.
 */
export function openPolicy(bundle: Bundle, options: PolicyOptions): PolicyHost {
  const mould: Mould = {
    module: activate(bundle),
    data: options.settings === undefined ? bundle.data : withSettings(bundle.data, options.settings),
    initialPages: 32,
    maxPages: options.maxMemoryPages ?? usualPages,
    clock: options.clock,
    print: (text) => options.log.info({ text: text.slice(0, 1024) }, 'policy printed'),
  }
  const instance = makeFirst(mould)
  checkAnswers(instance)
  const budgetMs = options.budgetMs ?? usualBudgetMs
  if ((affordable.get(bundle.digest) ?? Infinity) > budgetMs) {
    checkCost(makeFirst(mould), budgetMs)
    affordable.set(bundle.digest, budgetMs)
  }
  return new PolicyHost(bundle, mould, instance, options.log)
}

function withSettings(data: Uint8Array, settings: Readonly<Record<string, unknown>>): Uint8Array {
  const all = JSON.parse(Buffer.from(data).toString('utf8'))
  return Buffer.from(JSON.stringify({ ...all, countersign: { ...all.countersign, settings } }))
}

export class PolicyHost implements Engine {
  readonly revision: string
  readonly digest: string
  readonly #mould: Mould
  readonly #log: PolicyOptions['log']
  readonly #entrypoints: ReadonlyMap<string, number>
  /** Null after a throw, until the next evaluation takes the spare. */
  #instance: PolicyInstance | null
  /** Made when nothing waits for it, so that a thrown evaluation does not make the next call pay. */
  #spare: PolicyInstance | null = null
  #pending: NodeJS.Immediate | null = null
  #replaced = 0
  /** Text of a result set → its document, frozen. Written by `#document`. */
  readonly #documents = new Map<string, unknown>()

  /** From `openPolicy`, which checked all of it. */
  constructor(bundle: Bundle, mould: Mould, instance: PolicyInstance, log: PolicyOptions['log']) {
    this.revision = bundle.revision
    this.digest = bundle.digest
    this.#mould = mould
    this.#log = log
    this.#instance = instance
    this.#entrypoints = instance.entrypoints
    this.#prepare()
  }

  /** How many instances were thrown away. */
  get replaced(): number {
    return this.#replaced
  }

  answers(entrypoint: Entrypoint): boolean {
    return this.#entrypoints.has(entrypoint)
  }

  evaluate(entrypoint: Entrypoint, inputText: string): unknown {
    const input = encodeInput(inputText)
    const number = this.#entrypoints.get(entrypoint)
    if (number === undefined) throw new EngineFailure(`policy has no entrypoint ${entrypoint}`)
    try {
      this.#instance ??= this.#spare ?? new PolicyInstance(this.#mould)
      if (this.#instance === this.#spare) this.#spare = null
      const results = this.#instance.evaluate(number, input)
      if (this.#instance.memoryBytes > retiredBytes) this.#drop()
      return this.#document(results)
    } catch (error) {
      // Whatever was thrown unwound through the instance and left its inner stack shorter for ever.
      this.#drop()
      this.#log.warn({ error: messageOf(error) }, 'policy evaluation threw; its instance is replaced')
      throw new EngineFailure('policy evaluation threw', { cause: error })
    }
  }

  /** Lets go of the spare that is being made. */
  close(): void {
    if (this.#pending !== null) clearImmediate(this.#pending)
    this.#pending = null
    this.#spare = null
  }

  /** Most answers are the same few texts, such as the plain allow: those are parsed once. */
  #document(text: string): unknown {
    const known = this.#documents.get(text)
    if (known !== undefined) return known
    const document = unwrap(JSON.parse(text))
    if (text.length <= longestKept && this.#documents.size < mostKept) this.#documents.set(text, freeze(document))
    return document
  }

  #drop(): void {
    this.#replaced++
    this.#instance = null
    this.#prepare()
  }

  #prepare(): void {
    this.#pending ??= setImmediate(() => {
      this.#pending = null
      try {
        this.#spare ??= new PolicyInstance(this.#mould)
      } catch (error) {
        // The next evaluation tries again, and fails alone if it cannot.
        this.#log.error({ error: messageOf(error) }, 'no spare policy instance could be made')
      }
    })
  }
}

/** All the way down: the same document is handed out again. */
function freeze(value: unknown): unknown {
  if (typeof value === 'object' && value !== null) for (const inner of Object.values(Object.freeze(value))) freeze(inner)
  return value
}

/** `[{"result": …}]`, or an empty list for undefined. */
function unwrap(results: unknown): unknown {
  if (!Array.isArray(results)) throw new EngineFailure('policy gave no result set')
  const result: unknown = results[0]
  return typeof result === 'object' && result !== null && 'result' in result ? result.result : undefined
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
