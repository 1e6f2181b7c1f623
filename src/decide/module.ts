/** The policy host: activates a bundle, keeps an instance ready, and answers the path synchronously. */

import { activate, checkCost, makeTried } from './activation.ts'
import { readAnswer } from './answer.ts'
import type { Bundle } from './bundle/bundle.ts'
import { BundleFault } from './bundle/fault.ts'
import { isUnder } from './bundle/manifest.ts'
import { EngineFailure, type Engine, type Entrypoint } from './engine.ts'
import type { Framed } from './frame.ts'
import { checkLength, encodeInput } from './input-text.ts'
import { PolicyInstance, type Mould } from './instance.ts'
import type { Measured } from './measured.ts'
import { Memo } from './memo/memo.ts'
import { digestSettings, withSettings, type Settings } from './settings.ts'
import { measureApart } from './trial.ts'
import { Watch } from './watch.ts'

/** What a host is opened with. */
export interface PolicyOptions {
  /** Epoch ms. */
  readonly clock: () => number
  readonly log: { info(o: object, m: string): void; warn(o: object, m: string): void; error(o: object, m: string): void }
  /** Most memory of one instance, in pages of 64 KiB. */
  readonly maxMemoryPages?: number
  /** What the worst input must stay below at activation, ms on a processor; nothing can interrupt an evaluation later. */
  readonly budgetMs?: number
  /** What the operator sets for the rules: `countersign.settings` of the data, each top-level key instead of the bundle's. */
  readonly settings?: Settings
  /** What earlier processes measured; absent: nothing. */
  readonly measured?: Measured
  /** Told of each evaluation, so that one that does not end is noticed. */
  readonly watch?: Watch
  /** True: no answer is given again, every input is evaluated. To compare with. */
  readonly always?: boolean
}

/** 64 MiB: the largest input and all that policy makes of it. */
const usualPages = 1024

const usualBudgetMs = 50

/** Digests of a bundle and its settings → the budget it kept. Written by `measured` alone: what was measured is not measured again. */
const affordable = new Map<string, number>()

/** Memory is never given back, so an instance that grew this far is retired after its evaluation. */
const retiredBytes = 16 * 1024 * 1024

/** Instances kept ready: several calls can come in one turn of the loop, and spares are made between turns. */
const spares = 2

/** Most answers kept, and the longest text of one. */
const mostKept = 64
const longestKept = 1024

/** A bundle that was activated: what a host is made of. */
interface Activated {
  readonly bundle: Bundle
  readonly mould: Mould
  readonly instance: PolicyInstance
  readonly settingsDigest: string | null
}

/** A bundle whose form was checked, before it is run. */
interface Prepared extends Omit<Activated, 'instance'> {
  readonly budgetMs: number
  /** Digests of the bundle and its settings. */
  readonly tried: string
}

/**
 * Activates a bundle: checks its roots, interface, builtins and entrypoints, that it denies what it must, that its self-tests come
 * out as they say, and that its worst case is short, which holds this thread up for as long as that takes to measure. Throws
 * BundleFault; what is running goes on then.
 */
export function openPolicy(bundle: Bundle, options: PolicyOptions): PolicyHost {
  return open(prepare(bundle, options), options)
}

/**
 * The same for a proxy at work: the module is compiled and tried on other threads first, so that calls are judged meanwhile, and opened
 * on this one when it passed. `trial` ends the trial; null: nobody calls yet, so this thread measures, which is done sooner. Rejects with
 * BundleFault, or with the reason of `trial`.
 */
export async function openPolicyApart(bundle: Bundle, options: PolicyOptions, trial: AbortSignal | null): Promise<PolicyHost> {
  // the engine knows the code of bytes that it has compiled; what is wrong with a module is told by whoever opens it
  await WebAssembly.compile(bundle.wasm).catch(() => null)
  const prepared = prepare(bundle, options)
  const { mould, budgetMs } = prepared
  if (trial !== null && !isMeasured(prepared, options))
    measured(prepared, await measureApart(bundle, mould, { budgetMs, signal: trial }), options)
  return open(prepared, options)
}

function prepare(bundle: Bundle, options: PolicyOptions): Prepared {
  const { settings, log, clock } = options
  const settingsDigest = settings === undefined ? null : digestSettings(settings)
  if (settings !== undefined && !isUnder(bundle.manifest.roots, ['countersign', 'settings']))
    throw new BundleFault('there are settings for rules, and the bundle has no root countersign to take them')
  const mould: Mould = {
    module: activate(bundle),
    data: settings === undefined ? bundle.data : withSettings(bundle.data, settings),
    initialPages: 32,
    maxPages: options.maxMemoryPages ?? usualPages,
    clock,
    print: (text) => log.info({ text: text.slice(0, 1024) }, 'policy printed'),
  }
  return { bundle, mould, settingsDigest, budgetMs: options.budgetMs ?? usualBudgetMs, tried: `${bundle.digest} ${settingsDigest}` }
}

function open(prepared: Prepared, options: PolicyOptions): PolicyHost {
  const { bundle, mould, budgetMs } = prepared
  const instance = makeTried(bundle, mould)
  if (!isMeasured(prepared, options)) measured(prepared, checkCost(bundle, mould, budgetMs), options)
  return new PolicyHost({ ...prepared, instance }, options)
}

function isMeasured({ tried, budgetMs }: Prepared, { measured: before }: PolicyOptions): boolean {
  return (affordable.get(tried) ?? Infinity) <= budgetMs || before?.known(tried, budgetMs) === true
}

/** Remembers that the longest evaluation, ms, was within the budget. */
function measured({ bundle, tried, budgetMs }: Prepared, longest: number, { log, measured: before }: PolicyOptions): void {
  log.info({ revision: bundle.revision, ms: Math.ceil(longest), budget: budgetMs }, 'the longest evaluation of policy was measured')
  affordable.set(tried, budgetMs)
  before?.keep(tried, longest)
}

export class PolicyHost implements Engine {
  readonly revision: string
  readonly digest: string
  /** sha256 of the canonical text of the operator's settings, lower-case hex; null without any. */
  readonly settingsDigest: string | null
  readonly #mould: Mould
  readonly #log: PolicyOptions['log']
  readonly #watch: Watch
  /** Entrypoint → its number in the module, and what the watch calls it. */
  readonly #entrypoints: ReadonlyMap<string, { readonly number: number; readonly code: number }>
  /** Null after a throw, until the next evaluation takes a spare. */
  #instance: PolicyInstance | null
  /** Made when nothing waits for them, so that a thrown evaluation does not make the next call pay. */
  readonly #spares: PolicyInstance[] = []
  #pending: NodeJS.Immediate | null = null
  #replaced = 0
  /** Null when every input is evaluated. */
  readonly #memo: Memo | null
  /** Text of a result set → its document, frozen. Written by `#document`. */
  readonly #documents = new Map<string, unknown>()

  /** From `openPolicy`, which checked all of it. */
  constructor({ bundle, mould, instance, settingsDigest }: Activated, { log, watch = new Watch(), always = false }: PolicyOptions) {
    this.revision = bundle.revision
    this.digest = bundle.digest
    this.settingsDigest = settingsDigest
    this.#mould = mould
    this.#log = log
    this.#watch = watch
    this.#instance = instance
    const policy = watch.policy(bundle.digest, bundle.revision)
    this.#memo = always ? null : new Memo({ wasm: bundle.wasm, mould, read: (answer) => freeze(readAnswer(answer)), watch, log })
    this.#entrypoints = new Map([...instance.entrypoints].map(([name, number]) => [name, { number, code: watch.code(policy, name) }]))
    this.#prepare()
  }

  /** How many instances were thrown away. */
  get replaced(): number {
    return this.#replaced
  }

  /** How many answers were given again, without an evaluation. */
  get given(): number {
    return this.#memo?.given ?? 0
  }

  answers(entrypoint: Entrypoint): boolean {
    return this.#entrypoints.has(entrypoint)
  }

  known(entrypoint: Entrypoint, framed: Framed): { readonly document: unknown } | undefined {
    const asked = this.#entrypoints.get(entrypoint)
    return asked === undefined ? undefined : this.#memo?.find(framed, asked.number)
  }

  evaluate(entrypoint: Entrypoint, inputText: string, framed: Framed | null = null): unknown {
    const asked = this.#entrypoints.get(entrypoint)
    if (asked === undefined) throw new EngineFailure(`policy has no entrypoint ${entrypoint}`)
    if (framed !== null) {
      checkLength(inputText)
      const known = this.#memo?.find(framed, asked.number)
      if (known !== undefined) return known.document
    }
    const frame = framed === null ? null : (this.#instance?.frames?.find(framed.frame) ?? null)
    const input = encodeInput(frame === null || framed === null ? inputText : frame.others(framed.own))
    try {
      const instance = (this.#instance ??= this.#spares.pop() ?? new PolicyInstance(this.#mould))
      this.#watch.begin(asked.code)
      const results =
        frame === null ? evaluateWhole(instance, entrypoint, asked.number, input) : instance.evaluateFramed(asked.number, frame, input)
      if (frame === null && framed !== null && instance.frames?.due(framed.frame) === true) instance.frames.keep(framed)
      this.#watch.end()
      if (framed !== null) this.#memo?.evaluated({ framed, entrypoint: asked.number, code: asked.code, answer: results })
      if (instance.memoryBytes > retiredBytes) this.#drop()
      return this.#document(results)
    } catch (error) {
      this.#watch.end()
      // Whatever was thrown unwound through the instance and left its inner stack shorter for ever.
      this.#drop()
      this.#log.warn({ error: messageOf(error) }, 'policy evaluation threw; its instance is replaced')
      throw new EngineFailure('policy evaluation threw', { cause: error })
    }
  }

  /** Resolves when nothing is found out of an evaluation, or about to be: for those who ask what is known. */
  async settled(): Promise<void> {
    await this.#memo?.settled()
  }

  /** Lets go of the spares. */
  close(): void {
    this.#memo?.close()
    if (this.#pending !== null) clearImmediate(this.#pending)
    this.#pending = null
    this.#spares.length = 0
  }

  /** Most answers are the same few texts, such as the plain allow: those are parsed once. */
  #document(text: string): unknown {
    const known = this.#documents.get(text)
    if (known !== undefined) return known
    const document = readAnswer(text)
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
        while (this.#spares.length < spares) this.#spares.push(new PolicyInstance(this.#mould))
      } catch (error) {
        // The next evaluation tries again, and fails alone if it cannot.
        this.#log.error({ error: messageOf(error) }, 'no spare policy instance could be made')
      }
    })
  }
}

/** Masks are done one after the other, in the order that OPA has them in. */
function evaluateWhole(instance: PolicyInstance, entrypoint: Entrypoint, number: number, input: Uint8Array): string {
  return entrypoint === 'system/log/mask' ? instance.evaluateInOrder(number, input) : instance.evaluate(number, input)
}

/** All the way down: the same document is handed out again. */
function freeze(value: unknown): unknown {
  if (typeof value === 'object' && value !== null) for (const inner of Object.values(Object.freeze(value))) freeze(inner)
  return value
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
