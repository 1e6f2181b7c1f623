/** What a bundle says of itself: inputs whose effect its author knows, tried before it judges. */

import { BundleFault } from './bundle/fault.ts'
import { isRecord, type Manifest } from './bundle/manifest.ts'
import { readResult } from './result.ts'

/** One line of `metadata.countersign.selftest` in a manifest. */
export interface SelfTest {
  readonly entrypoint: string
  readonly input: Readonly<Record<string, unknown>>
  readonly effect: string
}

const most = 256

/**
 * The self-tests of a manifest; none when it has no list. Throws BundleFault for a list that is not one, that has no deny, or
 * that tries an entrypoint without an effect: a policy that was never seen to refuse anything has not been tried.
 */
export function readSelfTests({ metadata }: Manifest): readonly SelfTest[] {
  const own = metadata['countersign']
  if (own === undefined) return []
  if (!isRecord(own)) throw new BundleFault('metadata.countersign of the manifest is not an object')
  const list = own['selftest']
  if (list === undefined) return []
  if (!Array.isArray(list) || list.length > most) throw new BundleFault(`the selftest of the manifest is not a list of at most ${most}`)
  const tests = list.map(readOne)
  if (!tests.some(({ effect }) => effect === 'deny'))
    throw new BundleFault('the selftest of the manifest holds no deny: name an input that must be refused')
  return tests
}

function readOne(test: unknown, index: number): SelfTest {
  if (!isRecord(test)) throw new BundleFault(`selftest ${index} is not an object`)
  const { entrypoint, input, effect, ...rest } = test
  const unknown = Object.keys(rest)[0]
  if (unknown !== undefined) throw new BundleFault(`selftest ${index} has an unknown member ${JSON.stringify(unknown.slice(0, 64))}`)
  if (typeof entrypoint !== 'string' || !entrypoint.startsWith('countersign/'))
    throw new BundleFault(`selftest ${index} names no entrypoint that has an effect`)
  if (!isRecord(input)) throw new BundleFault(`selftest ${index} has no input`)
  if (typeof effect !== 'string') throw new BundleFault(`selftest ${index} says no effect`)
  return { entrypoint, input, effect }
}

/** Tries each through `evaluate`, which gives the document of an answer. Throws BundleFault that names the first that comes out otherwise. */
export function runSelfTests(tests: readonly SelfTest[], evaluate: (entrypoint: string, input: string) => unknown): void {
  for (const [index, { entrypoint, input, effect }] of tests.entries()) {
    const said = effectOf(entrypoint, evaluate(entrypoint, JSON.stringify(input)))
    if (said !== effect)
      throw new BundleFault(`selftest ${index}: ${entrypoint} says ${said}, its author ${JSON.stringify(effect.slice(0, 64))}`)
  }
}

/** Entrypoints whose answer is a decision: one that is not well-formed would be refused, whatever effect it names. */
const deciding = new Set(['countersign/decision', 'countersign/task'])

function effectOf(entrypoint: string, document: unknown): string {
  if (!deciding.has(entrypoint))
    return isRecord(document) ? (JSON.stringify(document['effect']) ?? 'nothing').replaceAll('"', '') : 'nothing'
  try {
    return readResult(document).effect
  } catch {
    return 'no well-formed decision'
  }
}
