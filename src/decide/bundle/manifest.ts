/** `.manifest`: what a bundle says of itself. */

import { BundleFault } from './fault.ts'
import { members, type JsonTree } from './json-tree.ts'

export interface Manifest {
  readonly revision: string
  /** Packages the bundle owns, as paths: `countersign`. None holds another. */
  readonly roots: readonly string[]
  /** Entrypoints that the compiled module answers; all lie under the roots. */
  readonly entrypoints: readonly string[]
  /** What the builder wrote besides; ours is under `countersign`. */
  readonly metadata: Readonly<Record<string, unknown>>
}

/** Reads a manifest; members that it does not know are left alone, as OPA does. Throws BundleFault. */
export function readManifest(tree: JsonTree): Manifest {
  const { revision = '', roots = [''], wasm, metadata = {} } = members(tree, 'the manifest', ['revision', 'roots', 'wasm', 'metadata'])
  if (typeof revision !== 'string' || !/^[\w.:@+-]{0,128}$/.test(revision)) throw new BundleFault('the revision is not a short name')
  if (!isTexts(roots)) throw new BundleFault('the roots of the manifest are not a list of paths')
  if (!Array.isArray(wasm))
    throw new BundleFault('the manifest names no entrypoints: build it with `opa build -t wasm -e countersign/decision`')
  if (!isRecord(metadata)) throw new BundleFault('the metadata of the manifest is not an object')
  const own = roots.map((root) => root.replace(/^\/+/, '').replace(/\/+$/, ''))
  checkApart(own)
  const entrypoints = wasm.map(readResolver)
  checkEntrypoints(entrypoints, own)
  checkSerial(metadata)
  return { revision, roots: own, entrypoints, metadata }
}

/** Whether a path in pieces lies under a root, or is one. The root `''` holds everything. */
export function isUnder(roots: readonly string[], pieces: readonly string[]): boolean {
  return roots.some((root) => root === '' || root.split('/').every((piece, index) => piece === pieces[index]))
}

function checkApart(roots: readonly string[]): void {
  if (roots.length > 1 && roots.includes(''))
    throw new BundleFault('the manifest claims every package, and names others besides: its roots overlap')
  for (const [index, root] of roots.entries()) {
    const others = roots.toSpliced(index, 1)
    if (isUnder(others, root.split('/'))) throw new BundleFault(`the roots of the manifest overlap at ${JSON.stringify(root)}`)
  }
}

function readResolver(resolver: unknown): string {
  if (!isRecord(resolver) || typeof resolver['entrypoint'] !== 'string') throw new BundleFault('an entrypoint of the manifest has no name')
  const { module } = resolver
  if (typeof module !== 'string' || module.replace(/^\//, '') !== 'policy.wasm') {
    throw new BundleFault('an entrypoint is in another module than policy.wasm')
  }
  return resolver['entrypoint']
}

function checkEntrypoints(entrypoints: readonly string[], roots: readonly string[]): void {
  if (new Set(entrypoints).size !== entrypoints.length) throw new BundleFault('the manifest names an entrypoint twice')
  const outside = entrypoints.find((entrypoint) => !isUnder(roots, entrypoint.split('/')))
  if (outside !== undefined) throw new BundleFault(`the entrypoint ${JSON.stringify(outside)} lies outside the roots of the manifest`)
}

/** A serial that cannot be compared would let a bundle go back unseen. */
function checkSerial(metadata: Readonly<Record<string, unknown>>): void {
  const { countersign = {} } = metadata
  if (!isRecord(countersign)) throw new BundleFault('metadata.countersign of the manifest is not an object')
  const { serial } = countersign
  if (serial !== undefined && !(Number.isSafeInteger(serial) && Number(serial) >= 0)) {
    throw new BundleFault('metadata.countersign.serial of the manifest is not a whole number')
  }
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}
