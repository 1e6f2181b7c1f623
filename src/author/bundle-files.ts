/** The files of a bundle as an author sees them: packed, or in a folder. */

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { readTar } from '../decide/bundle/tar.ts'

const mostUnpacked = 64 * 1024 * 1024

/** Path → bytes of a bundle that `readBundle` accepted. */
export function filesInBundle(bundle: Uint8Array): ReadonlyMap<string, Uint8Array> {
  return readTar(gunzipSync(bundle, { maxOutputLength: mostUnpacked }))
}

/** Path → bytes of what belongs to a bundle in a folder that holds a built one; tests of rules do not. */
export function filesInFolder(folder: string): ReadonlyMap<string, Uint8Array> {
  const patterns = ['.manifest', '.signatures.json', 'policy.wasm', '**/data.json', '**/data.yaml', '**/data.yml', '**/*.rego']
  const paths = globSync(patterns, { cwd: folder }).filter((path) => !path.endsWith('_test.rego'))
  return new Map(paths.sort().map((path) => [path.replaceAll('\\', '/'), readFileSync(join(folder, path))]))
}

/** Path → text of the Rego sources among them. */
export function regoIn(files: ReadonlyMap<string, Uint8Array>): ReadonlyMap<string, string> {
  const sources = new Map<string, string>()
  for (const [path, bytes] of files) if (path.endsWith('.rego')) sources.set(path, Buffer.from(bytes).toString())
  return sources
}
