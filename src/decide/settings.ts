/** What an operator sets for the rules of a bundle, put into its data at `countersign.settings`. */

import { createHash } from 'node:crypto'
import { canonicalText } from './bundle/canonical-tree.ts'
import { BundleFault } from './bundle/fault.ts'
import { isObject, readTree, type JsonTree } from './bundle/json-tree.ts'
import { canonical } from './canonical.ts'

export type Settings = Readonly<Record<string, unknown>>

/** sha256 of the canonical text, lower-case hex. Throws BundleFault for settings that have none. */
export function digestSettings(settings: Settings): string {
  return createHash('sha256').update(textOf(settings)).digest('hex')
}

/**
 * Gives the data with `settings` in it: each top-level key replaces the bundle's of that name. All else keeps its digits, which a
 * double would lose. Takes data that is one JSON object; throws BundleFault when something that is no object stands in the way.
 */
export function withSettings(data: Uint8Array, settings: Settings): Uint8Array {
  const set = readTree(Buffer.from(textOf(settings)), 'the settings of policy')
  const all = objectOf(readTree(data, 'data.json'), 'data.json')
  const own = objectOf(all.get('countersign'), 'countersign of data.json')
  const before = objectOf(own.get('settings'), 'countersign.settings of data.json')
  own.set('settings', new Map([...before, ...objectOf(set, 'the settings of policy')]))
  return Buffer.from(canonicalText(all.set('countersign', own)))
}

function textOf(settings: Settings): string {
  const text = canonical(settings)
  if (text === null) throw new BundleFault('the settings of policy hold what JSON cannot')
  return text
}

/** A copy that may be changed; what is not there is an empty one. */
function objectOf(tree: JsonTree | undefined, what: string): Map<string, JsonTree> {
  if (tree === undefined) return new Map()
  if (!isObject(tree)) throw new BundleFault(`${what} is not an object`)
  return new Map(tree)
}
