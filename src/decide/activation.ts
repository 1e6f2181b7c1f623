/** What a bundle must pass before it judges. Every fault is a BundleFault, and whatever was in force stays in force. */

import { builtins } from './builtins.ts'
import type { Bundle } from './bundle/bundle.ts'
import { BundleFault } from './bundle/fault.ts'
import type { Entrypoint } from './engine.ts'
import { exported, PolicyInstance, type Mould } from './instance.ts'

const needed: readonly Entrypoint[] = ['countersign/decision', 'countersign/task']

/** Checks what can be read without running it, and compiles. */
export function activate(bundle: Bundle): WebAssembly.Module {
  checkRoots(bundle)
  const module = compile(bundle.wasm)
  checkInterface(module)
  return module
}

/** Makes an instance and checks what only an instance can tell: ABI, builtins, entrypoints. */
export function makeFirst(mould: Mould): PolicyInstance {
  let instance: PolicyInstance
  try {
    instance = new PolicyInstance(mould)
  } catch (error) {
    throw new BundleFault(`the policy cannot be instantiated: ${error instanceof Error ? error.message : 'unknown'}`, { cause: error })
  }
  const { major, minor, asked, entrypoints } = instance
  if (major !== 1 || minor < 2 || minor > 3) throw new BundleFault(`policy.wasm speaks ABI ${major}.${minor}; 1.2 and 1.3 are known`)
  const unknown = asked.filter((name) => !Object.hasOwn(builtins, name))
  if (unknown.length > 0) throw new BundleFault(`the policy calls ${unknown.join(', ')}, which the host does not lend to policy`)
  const missing = needed.filter((entrypoint) => !entrypoints.has(entrypoint))
  if (missing.length > 0) throw new BundleFault(`the policy does not answer ${missing.join(', ')}`)
  return instance
}

/** An input that says nothing must be denied. */
export function checkAnswers(instance: PolicyInstance): void {
  for (const entrypoint of needed) {
    for (const input of ['{}', '{"v":1}']) {
      const text = evaluate(instance, entrypoint, input)
      const [first]: readonly { readonly result?: { readonly effect?: unknown } }[] = JSON.parse(text)
      const effect = first?.result?.effect
      if (effect !== 'deny') throw new BundleFault(`${entrypoint} must deny ${input}, it says ${JSON.stringify(effect)}`)
    }
  }
}

/** Nothing can interrupt an evaluation, so the largest input that may come is tried before it comes; its memory stays large, so the instance is not used again. */
export function checkCost(instance: PolicyInstance, budgetMs: number): void {
  for (const entrypoint of needed) {
    // Time of this thread on a processor: a busy machine does not make a policy slow.
    const started = process.threadCpuUsage()
    evaluate(instance, entrypoint, largest)
    const { user, system } = process.threadCpuUsage(started)
    const took = (user + system) / 1000
    if (took > budgetMs)
      throw new BundleFault(`${entrypoint} takes ${Math.round(took)} ms for the largest input; ${budgetMs} ms is the most`)
  }
}

function evaluate(instance: PolicyInstance, entrypoint: Entrypoint, input: string): string {
  try {
    return instance.evaluate(instance.entrypoints.get(entrypoint) ?? -1, input)
  } catch (error) {
    throw new BundleFault(`${entrypoint} cannot judge ${input.slice(0, 64)}`, { cause: error })
  }
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

const names = (count: number, word: string): string[] => Array.from({ length: count }, (_, index) => `${word}-${index}`)

const meters = (word: string): Record<string, number> => Object.fromEntries(names(64, word).map((name, index) => [name, index]))

function largestPast(): object {
  return {
    step: 1000,
    repeats: 0,
    counts: meters('count'),
    steps: Object.fromEntries(names(65, 'count').map((name, index) => [name, [index, 1000]])),
    last: [],
    taint: names(64, 'read'),
    sources: Object.fromEntries(names(64, 'read').map((name) => [name, { tool: 'none', ago: 1, step: 1, only: false }])),
    denials: Object.fromEntries(names(17, 'intent.rule').map((name) => [name, 1000])),
    diverged: true,
  }
}

function largestInput(): object {
  const intent = {
    purpose: 'p'.repeat(1024),
    tools: names(256, 'tool').map((name) => `${name}.*`),
    resources: names(256, 'resource').map((name) => `${name}:*`),
    data: names(64, 'intended'),
    egress: names(64, 'egress'),
    prompt: null,
  }
  const tool = { name: 'none', effect: 'send', risk: 'low', egress: 'public', resource: 'none', bound: true }
  const agent = { id: 'a', purpose: 'p', owners: null, autonomy: 'bounded', lifecycle: 'live', hosting: 'own', labels: {}, ttl: 1 }
  const asked = { ...intent, tools: names(256, 'asked'), resources: names(256, 'asked'), data: names(64, 'asked'), budget: meters('asked') }
  return {
    v: 1,
    action: 'open',
    request: {
      path: `/${'s/'.repeat(1023)}`,
      segments: names(64, 'segment'),
      query: Object.fromEntries(names(50, 'name').map((name) => [name, ['1', '2']])),
      body: { kind: 'json', judged: true, size: 262_144, sha256: 'a'.repeat(64), parsed: names(20_000, 'item') },
    },
    caller: { confirmed: 'bearer', claims: Object.fromEntries(names(32, 'claim').map((name) => [name, 'c'.repeat(512)])) },
    agent: { ...agent, intent: { ...intent, budget: meters('limit') } },
    task: {
      state: 'active',
      expires: 2,
      ttl: 2,
      intent: { ...intent, ...asked },
      budget: { limit: meters('limit'), spent: meters('spent'), debit: meters('debit') },
      sensitivity: names(64, 'read'),
      inherited: meters('inherited'),
    },
    tool: { ...tool, data: names(64, 'data'), accepts: names(64, 'accepted') },
    sequence: largestPast(),
    delegation: { verified: true, chain: [] },
    context: { now: 1 },
  }
}

/** Lists, maps and texts at the caps of the input, none of which matches another: no rule can stop early. */
const largest = JSON.stringify(largestInput())
