/** A policy bundle as the policy compiler writes it: a gzipped tar of manifest, compiled module, data and sources. */

import { createHash } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import { readTar } from './tar.ts'

export interface Manifest {
  readonly revision: string
  /** Packages the bundle owns, as paths: `countersign`. */
  readonly roots: readonly string[]
  /** Entrypoints that the compiled module answers. */
  readonly entrypoints: readonly string[]
  /** What the builder wrote besides; ours is under `countersign`. */
  readonly metadata: Readonly<Record<string, unknown>>
}

export interface Bundle {
  readonly manifest: Manifest
  readonly wasm: Uint8Array
  /** `data.json` as it came: the engine keeps digits that a double would lose. */
  readonly data: Uint8Array
  /** The manifest's revision, or the beginning of the digest when it names none. */
  readonly revision: string
  /** sha256 of the whole file, lower-case hex. */
  readonly digest: string
}

/** A bundle that will not be activated; the message says what is wrong with it and is for the operator. */
export class BundleFault extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'BundleFault'
  }
}

const mostPacked = 16 * 1024 * 1024
const mostUnpacked = 64 * 1024 * 1024

/**
 * Reads a bundle without trusting it: at most 16 MiB packed and 64 MiB unpacked, one module, no delta, nothing that it does not know.
 * Signatures are not looked at here. Throws BundleFault.
 */
export function readBundle(bytes: Uint8Array): Bundle {
  if (bytes.length > mostPacked) throw new BundleFault('the bundle is larger than 16 MiB')
  const files = unpack(bytes)
  for (const path of files.keys()) checkName(path)
  const wasm = files.get('policy.wasm')
  if (wasm === undefined) throw new BundleFault('the bundle holds no compiled module: build it with `opa build -t wasm`')
  const digest = createHash('sha256').update(bytes).digest('hex')
  const manifest = readManifest(files.get('.manifest'))
  const data = files.get('data.json') ?? Buffer.from('{}')
  if (!isRecord(json(data, 'data.json'))) throw new BundleFault('data.json is not an object')
  return { manifest, wasm, data, revision: manifest.revision === '' ? digest.slice(0, 12) : manifest.revision, digest }
}

function unpack(bytes: Uint8Array): ReadonlyMap<string, Uint8Array> {
  try {
    return readTar(gunzipSync(bytes, { maxOutputLength: mostUnpacked }))
  } catch (error) {
    throw new BundleFault(`the bundle cannot be unpacked: ${error instanceof Error ? error.message : 'unknown'}`, { cause: error })
  }
}

const known = new Set(['.manifest', '.signatures.json', 'data.json', 'policy.wasm'])

function checkName(path: string): void {
  if (known.has(path) || path.endsWith('.rego')) return
  if (path === 'patch.json') throw new BundleFault('a delta bundle cannot be activated: only whole bundles are')
  throw new BundleFault(`the bundle holds ${path}, which is neither policy, its module, its manifest nor data.json at the top`)
}

function readManifest(bytes: Uint8Array | undefined): Manifest {
  if (bytes === undefined) throw new BundleFault('the bundle has no manifest')
  const manifest = json(bytes, '.manifest')
  if (!isRecord(manifest)) throw new BundleFault('the manifest is not an object')
  const { revision = '', roots = [''], wasm, metadata = {} } = manifest
  if (typeof revision !== 'string' || !/^[\w.:@+-]{0,128}$/.test(revision)) throw new BundleFault('the revision is not a short name')
  if (!isTexts(roots)) throw new BundleFault('the roots of the manifest are not a list of paths')
  if (!Array.isArray(wasm))
    throw new BundleFault('the manifest names no entrypoints: build it with `opa build -t wasm -e countersign/decision`')
  if (!isRecord(metadata)) throw new BundleFault('the metadata of the manifest is not an object')
  return { revision, roots, entrypoints: wasm.map(readResolver), metadata }
}

function readResolver(resolver: unknown): string {
  if (!isRecord(resolver) || typeof resolver.entrypoint !== 'string') throw new BundleFault('an entrypoint of the manifest has no name')
  if (typeof resolver.module !== 'string' || resolver.module.replace(/^\//, '') !== 'policy.wasm') {
    throw new BundleFault('an entrypoint is in another module than policy.wasm')
  }
  return resolver.entrypoint
}

function json(bytes: Uint8Array, name: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw new BundleFault(`${name} is not JSON`, { cause: error })
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}
