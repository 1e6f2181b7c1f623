/** A policy bundle as the policy compiler writes it: manifest, compiled module, data and sources, in a gzipped tar or a folder. */

import { createHash } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import { byBytes, canonicalText } from './canonical-tree.ts'
import { composeData } from './data.ts'
import { BundleFault } from './fault.ts'
import { readTree, type JsonTree } from './json-tree.ts'
import type { Verification } from './key.ts'
import { readManifest, type Manifest } from './manifest.ts'
import { checkFiles, readSignature, type Signature } from './signature.ts'
import { isPolicyPath, mostEntries, readTar } from './tar.ts'
import { readYaml } from './yaml-tree.ts'

export interface Bundle {
  readonly manifest: Manifest
  readonly wasm: Uint8Array
  /** All data as one JSON document: the engine keeps digits that a double would lose. */
  readonly data: Uint8Array
  /** The manifest's revision, or the beginning of the digest when it names none. */
  readonly revision: string
  /** sha256 of the whole file, or of the listing of a folder; lower-case hex. */
  readonly digest: string
  /**
   * sha256 of what is in it, lower-case hex: the same for the same names and contents, however they were packed, laid out or signed.
   * Packing it again does not make an old bundle a new one.
   */
  readonly content: string
  /** The signature that was verified; null when signatures were not looked at. */
  readonly signature: Signature | null
}

const mostPacked = 16 * 1024 * 1024
const mostUnpacked = 64 * 1024 * 1024

/**
 * Reads a bundle without trusting it: at most 16 MiB packed and 64 MiB unpacked, one module, no delta, nothing that it does not know.
 * With `trust` the bundle must be signed by it to the letter; without, signatures are not looked at. `unpacked` is told when that much
 * is done. Throws BundleFault.
 */
export function readBundle(bytes: Uint8Array, trust: Verification | null = null, unpacked?: () => void): Bundle {
  if (bytes.length > mostPacked) throw new BundleFault('the bundle is larger than 16 MiB')
  const files = unpack(bytes)
  unpacked?.()
  return readContent(files, createHash('sha256').update(bytes).digest('hex'), trust)
}

/**
 * The same for the files of a folder: path → bytes, paths with `/` and without a leading one, at most 1000 files and 64 MiB.
 * The digest is the sha256 over a line `path sha256` per file, in the order of the paths' bytes. Throws BundleFault.
 */
export function readFiles(files: ReadonlyMap<string, Uint8Array>, trust: Verification | null = null): Bundle {
  if (files.size > mostEntries) throw new BundleFault(`the bundle has more than ${mostEntries} files`)
  let size = 0
  for (const [path, bytes] of files) {
    size += bytes.length
    if (path === '' || !isPolicyPath(path)) throw new BundleFault(`${JSON.stringify(path)} is not a path of a policy file`)
  }
  if (size > mostUnpacked) throw new BundleFault('the bundle is larger than 64 MiB')
  return readContent(files, listingDigest(files), trust)
}

function readContent(files: ReadonlyMap<string, Uint8Array>, digest: string, trust: Verification | null): Bundle {
  for (const path of files.keys()) checkName(path)
  const verified = trust === null ? null : readSignature(files.get('.signatures.json'), trust)
  const contents = new Map(files)
  contents.delete('.signatures.json')
  const documents = new Map<string, JsonTree>()
  for (const [path, bytes] of contents) if (isStructured(path)) documents.set(path, document(path, bytes))
  for (const [path, tree] of documents) contents.set(path, Buffer.from(canonicalText(tree)))
  if (verified !== null) checkFiles(verified, contents)
  const wasm = files.get('policy.wasm')
  if (wasm === undefined) throw new BundleFault('the bundle holds no compiled module: build it with `opa build -t wasm`')
  const manifestTree = documents.get('.manifest')
  if (manifestTree === undefined) throw new BundleFault('the bundle has no manifest')
  const manifest = readManifest(manifestTree)
  documents.delete('.manifest')
  return {
    manifest,
    wasm,
    data: Buffer.from(canonicalText(composeData(documents, manifest.roots))),
    revision: manifest.revision === '' ? digest.slice(0, 12) : manifest.revision,
    digest,
    content: listingDigest(contents),
    signature: verified === null ? null : { keyId: verified.keyId, issued: verified.issued },
  }
}

function unpack(bytes: Uint8Array): ReadonlyMap<string, Uint8Array> {
  try {
    return readTar(gunzipSync(bytes, { maxOutputLength: mostUnpacked }))
  } catch (error) {
    throw new BundleFault(`the bundle cannot be unpacked: ${error instanceof Error ? error.message : 'unknown'}`, { cause: error })
  }
}

const known = new Set(['.manifest', '.signatures.json', 'policy.wasm'])

/** Files of which OPA reads more than their bytes, and hashes in canonical form. */
function isStructured(path: string): boolean {
  return path === '.manifest' || /(?:^|\/)data\.(?:json|yaml|yml)$/.test(path)
}

function checkName(path: string): void {
  if (known.has(path) || path.endsWith('.rego') || isStructured(path)) return
  if (/(?:^|\/)patch\.json$/.test(path)) throw new BundleFault('a delta bundle cannot be activated: only whole bundles are')
  throw new BundleFault(`the bundle holds ${path}, which is neither policy, its module, its manifest, its signature nor data`)
}

function document(path: string, bytes: Uint8Array): JsonTree {
  return path.endsWith('.yaml') || path.endsWith('.yml') ? readYaml(bytes, path) : readTree(bytes, path)
}

function listingDigest(files: ReadonlyMap<string, Uint8Array>): string {
  const listing = createHash('sha256')
  for (const [path, bytes] of [...files].toSorted(([one], [other]) => byBytes(one, other))) {
    listing.update(`${path} ${createHash('sha256').update(bytes).digest('hex')}\n`)
  }
  return listing.digest('hex')
}
