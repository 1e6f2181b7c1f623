/** What a bundle must pass before it judges. Every fault is a BundleFault, and whatever was in force stays in force. */

import { readAnswer } from './answer.ts'
import { whyRefused } from './builtins/refused.ts'
import { builtins } from './builtins/table.ts'
import type { Bundle } from './bundle/bundle.ts'
import { BundleFault } from './bundle/fault.ts'
import { isUnder } from './bundle/manifest.ts'
import { Overdue, within } from './deadline.ts'
import { entrypoints as known, type Entrypoint } from './engine.ts'
import { exported, PolicyInstance, type Mould } from './instance.ts'
import { checkForm } from './module-form.ts'
import { readSelfTests, runSelfTests } from './selftest.ts'
import { worstInputs } from './worst-case.ts'

const needed: readonly Entrypoint[] = ['countersign/decision', 'countersign/task']

/** Longest that one step of an activation may take, ms: what has no end is interrupted then. */
const patience = 2000

/** Checks what can be read without running it, and compiles. */
export function activate(bundle: Bundle): WebAssembly.Module {
  checkRoots(bundle)
  const module = compile(bundle.wasm)
  checkForm(bundle.wasm)
  checkInterface(module)
  return module
}

/** Makes an instance that has shown what it answers: that it denies what it must, and that its self-tests come out as they say. */
export function makeTried(bundle: Pick<Bundle, 'manifest' | 'data'>, mould: Mould): PolicyInstance {
  const { manifest, data } = bundle
  const instance = makeFirst(bundle, mould)
  checkAnswers(instance)
  // what its author knows of it holds without an operator's settings, which may refuse more
  const own = mould.data === data ? instance : makeFirst(bundle, { ...mould, data })
  runSelfTests(readSelfTests(manifest), (entrypoint, input) => ask(own, entrypoint, input))
  return instance
}

/** Makes an instance and checks what only an instance can tell: ABI, builtins, entrypoints. */
function makeFirst(bundle: Pick<Bundle, 'manifest'>, mould: Mould): PolicyInstance {
  const instance = attempt('the policy cannot be instantiated', () => new PolicyInstance(mould))
  const { major, minor, asked, entrypoints } = instance
  if (major !== 1 || minor < 2 || minor > 3) throw new BundleFault(`policy.wasm speaks ABI ${major}.${minor}; 1.2 and 1.3 are known`)
  const unknown = asked.filter((name) => !Object.hasOwn(builtins, name))
  if (unknown.length > 0) {
    const reasons = unknown.map((name) => `${quoted([name])} (${whyRefused(name) ?? 'unknown here'})`)
    throw new BundleFault(`the policy calls ${reasons.join(', ')}, which the host does not lend to policy`)
  }
  const missing = needed.filter((entrypoint) => !entrypoints.has(entrypoint))
  if (missing.length > 0) throw new BundleFault(`the policy does not answer ${missing.join(', ')}`)
  for (const entrypoint of [...entrypoints.keys(), ...bundle.manifest.entrypoints]) checkEntrypoint(bundle, entrypoint, entrypoints)
  return instance
}

/** Gives the document that an instance answers. Throws BundleFault when there is none after `ms`. */
function ask(instance: PolicyInstance, entrypoint: string, input: string, ms = patience): unknown {
  const number = instance.entrypoints.get(entrypoint)
  if (number === undefined) throw new BundleFault(`the policy does not answer ${entrypoint}`)
  return attempt(`${entrypoint} cannot judge ${input.slice(0, 64)}`, () => readAnswer(instance.evaluate(number, input)), ms)
}

/** An input that says nothing must be denied. */
function checkAnswers(instance: PolicyInstance): void {
  for (const entrypoint of needed) {
    for (const input of ['{}', '{"v":1}']) {
      const document = ask(instance, entrypoint, input)
      const effect = typeof document === 'object' && document !== null && 'effect' in document ? document.effect : undefined
      if (effect !== 'deny') throw new BundleFault(`${entrypoint} must deny ${input}, it says ${JSON.stringify(effect)?.slice(0, 64)}`)
    }
  }
}

/** Runs of one input until one is short enough: the first few are slow because nothing is compiled well yet, others for what else runs. */
const mostRuns = 12
/** After so many, one that is nowhere near is not tried on. */
const [fewRuns, hopeless] = [4, 2]

/**
 * Nothing can interrupt an evaluation on the path, so the largest inputs are tried before they come: every entrypoint that may be
 * asked, on time of this thread. Gives the longest of them, ms. The memory of the instances stays large, so each has one of its own.
 */
export function checkCost(bundle: Pick<Bundle, 'manifest'>, mould: Mould, budgetMs: number): number {
  let longest = 0
  for (const entrypoint of known) {
    for (const input of worstInputs(entrypoint)) {
      const instance = makeFirst(bundle, mould)
      if (!instance.entrypoints.has(entrypoint)) break
      let took = Infinity
      for (let run = 0; run < (took < hopeless * budgetMs ? mostRuns : fewRuns) && took >= budgetMs; run++)
        took = Math.min(
          took,
          timed(() => ask(instance, entrypoint, input, Math.max(patience / 2, 2 * budgetMs))),
        )
      if (took >= budgetMs)
        throw new BundleFault(`${entrypoint} takes ${Math.ceil(took)} ms for the largest input; it must take less than ${budgetMs} ms`)
      longest = Math.max(longest, took)
    }
  }
  return longest
}

/**
 * ms of this thread on a processor: a busy machine does not make a policy slow. The clock on the wall is finer and holds when it says
 * less; where the kernel counts in ticks, an eighth of it is the least.
 */
function timed(work: () => unknown): number {
  const started = process.threadCpuUsage()
  const wall = performance.now()
  work()
  const elapsed = performance.now() - wall
  const { user, system } = process.threadCpuUsage(started)
  return Math.min(elapsed, Math.max((user + system) / 1000, elapsed / 8))
}

function attempt<Result>(failure: string, work: () => Result, ms = patience): Result {
  try {
    return within(ms, work)
  } catch (cause) {
    const why = cause instanceof Overdue ? cause.message : cause instanceof Error ? cause.message.slice(0, 256) : 'unknown'
    throw new BundleFault(`${failure}: ${why}`, { cause })
  }
}

/**
 * A bundle that claims every package was built as if all data were known at build time: rules over data that comes later
 * are then removed by the compiler's optimiser, deny rules among them.
 */
function checkRoots(bundle: Bundle): void {
  const { roots } = bundle.manifest
  if (roots.length === 0 || roots.includes('')) {
    throw new BundleFault('the bundle claims every package: name its own in the roots of .manifest, e.g. {"roots":["countersign"]}')
  }
}

function checkEntrypoint(bundle: Pick<Bundle, 'manifest'>, name: string, answered: ReadonlyMap<string, number>): void {
  if (!/^[a-z0-9_]+(?:\/[a-z0-9_]+)+$/.test(name))
    throw new BundleFault(`${quoted([name])} is not the name of an entrypoint: [a-z0-9_/] is`)
  if (!isUnder(bundle.manifest.roots, name.split('/')))
    throw new BundleFault(`the entrypoint ${quoted([name])} is outside the roots of the bundle`)
  const number = answered.get(name)
  if (number === undefined) throw new BundleFault(`the manifest names the entrypoint ${quoted([name])}, which policy.wasm does not answer`)
  if (!Number.isInteger(number) || number < 0) throw new BundleFault(`policy.wasm numbers the entrypoint ${quoted([name])} wrongly`)
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
    if (from !== 'env' || lent[name] !== kind)
      throw new BundleFault(`policy.wasm imports ${quoted([`${from}.${name}`])}, which no policy needs`)
  }
  const there = new Map(WebAssembly.Module.exports(module).map(({ name, kind }) => [name, kind]))
  for (const [name, kind] of Object.entries(exported)) {
    if (there.get(name) !== kind) throw new BundleFault(`policy.wasm does not export ${name}: it was not built by a current compiler`)
  }
}

/** Names from a bundle, short enough to be read. */
function quoted(names: readonly string[]): string {
  return names
    .slice(0, 8)
    .map((name) => name.slice(0, 128))
    .join(', ')
}
