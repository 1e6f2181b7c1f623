/** The data of a bundle: one document out of those at the top and in folders. */

import { BundleFault } from './fault.ts'
import { isObject, type JsonTree } from './json-tree.ts'
import { isUnder } from './manifest.ts'

/**
 * Takes the data documents by their paths, puts each under the path of its folder, and gives the whole. Throws BundleFault when two say
 * something of the same path, when the top is not an object, or when anything lies outside the roots.
 */
export function composeData(documents: ReadonlyMap<string, JsonTree>, roots: readonly string[]): ReadonlyMap<string, JsonTree> {
  const whole: Branch = new Map()
  for (const [path, tree] of documents) {
    const folders = path.split('/').slice(0, -1)
    if (folders[0]?.startsWith('.') === true) throw new BundleFault(`${path}: data cannot lie in a hidden folder`)
    if (folders.length === 0 && !isObject(tree)) throw new BundleFault(`${path} is not an object`)
    join(whole, wrapped(folders, tree), path)
  }
  checkRoots(whole, roots, [])
  return whole
}

type Branch = Map<string, JsonTree>

function wrapped(folders: readonly string[], tree: JsonTree): ReadonlyMap<string, JsonTree> {
  const under = folders.reduceRight<JsonTree>((inner, folder) => new Map([[folder, inner]]), tree)
  return isObject(under) ? under : new Map()
}

/** Two objects become one, member by member; anything else that meets is a conflict. */
function join(into: Branch, added: ReadonlyMap<string, JsonTree>, path: string): void {
  for (const [key, value] of added) {
    const there = into.get(key)
    if (there === undefined) {
      into.set(key, copied(value))
    } else if (isObject(there) && isObject(value)) {
      join(there as Branch, value, path)
    } else {
      throw new BundleFault(`${path} says something of ${JSON.stringify(key)}, of which another data file speaks too`)
    }
  }
}

/** Objects that may grow, so that a document that was read does not. */
function copied(tree: JsonTree): JsonTree {
  return isObject(tree) ? new Map([...tree].map(([key, value]) => [key, copied(value)])) : tree
}

function checkRoots(tree: JsonTree, roots: readonly string[], pieces: readonly string[]): void {
  if (isUnder(roots, pieces)) return
  const leads = pieces.length === 0 || roots.some((root) => root.startsWith(`${pieces.join('/')}/`))
  if (!isObject(tree) || !leads)
    throw new BundleFault(`data lies at ${JSON.stringify(pieces.join('/'))}, outside the roots of the manifest`)
  for (const [key, value] of tree) checkRoots(value, roots, [...pieces, key])
}
