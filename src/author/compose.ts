/** Puts the sources of a policy into one folder of its own, under the same names wherever it is done: the names are in the module. */

import { copyFileSync, existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isRecord, textsAt, type JsonRecord } from './json-path.ts'
import { AuthorFault } from './opa.ts'

/** The policy that ships, with its sources, schemas and starters. */
export const packaged = fileURLToPath(new URL('../../rego/', import.meta.url))

export interface ComposeOptions {
  /** Whether the packaged library is added; null to add it when no folder defines `countersign.decision`. */
  readonly library: boolean | null
  /** Whether `_test.rego` files are taken too. Then every package may be there, for tests lie where they like. */
  readonly tests: boolean
  /** Members of `metadata.countersign` of the manifest. */
  readonly metadata: JsonRecord
}

export interface Composition {
  /** Where the sources are, and nothing else. */
  readonly folder: string
  /** A folder for what is made of them; goes when they go. */
  readonly scratch: string
  /** Path in the folder → where it came from, as the author would name it. */
  readonly origins: ReadonlyMap<string, string>
  /** Those paths of them that came from the author's folders. */
  readonly own: readonly string[]
  readonly library: boolean
  /** Where the schemas of the inputs lie. */
  readonly schemas: string
}

/**
 * Composes the folders, hands the result to `use` and removes it afterwards. A folder is one of sources, or holds them under `policy/`.
 * Taken are Rego, `data.json`, `data.yaml` and the manifest; not `cases`, `schemas`, `starters` or hidden folders. Throws AuthorFault.
 */
export function withSources<Result>(folders: readonly string[], options: ComposeOptions, use: (composed: Composition) => Result): Result {
  const roots = folders.map(sourceFolder)
  const own = collect(roots, options.tests)
  if (![...own.keys()].some((path) => path.endsWith('.rego'))) throw new AuthorFault(`${folders.join(', ')}: there is no Rego source here`)
  const complete = [...own.values()].some(definesDecision)
  const library = options.library ?? !complete
  const origins = new Map(library ? collect([packaged], options.tests) : [])
  const twice = [...own.keys()].find((path) => origins.has(path))
  if (twice !== undefined)
    throw new AuthorFault(`${own.get(twice)} is in the library too: give it another name, or build without the library`)
  for (const [path, origin] of own) origins.set(path, origin)
  const scratch = mkdtempSync(join(tmpdir(), 'countersign-policy-'))
  const folder = join(scratch, 'sources')
  try {
    mkdirSync(folder)
    for (const [path, origin] of origins) {
      mkdirSync(dirname(join(folder, path)), { recursive: true })
      copyFileSync(origin, join(folder, path))
    }
    writeFileSync(join(folder, '.manifest'), `${JSON.stringify(manifest(roots, library, own, options))}\n`)
    const schemas = [...roots, packaged].map((root) => resolve(root, 'schemas')).find((path) => existsSync(path)) ?? ''
    return use({ folder, scratch, origins, own: [...own.keys()].sort(), library, schemas })
  } finally {
    rmSync(scratch, { recursive: true })
  }
}

/** What the compiler said of the files in the folder, said of the files that the author has. */
export function inOrigins({ origins }: Composition, said: string): string {
  return said.replaceAll(/(?<![\w/.-])([\w./-]+\.(?:rego|json|ya?ml))(?=:\d|\b)/g, (path) => origins.get(path) ?? path)
}

/** Where the sources of a policy folder lie. Throws AuthorFault when it is none. */
export function sourceFolder(folder: string): string {
  if (!existsSync(folder) || !statSync(folder).isDirectory()) throw new AuthorFault(`${folder} is not a folder of Rego source`)
  const inner = join(folder, 'policy')
  return existsSync(inner) && statSync(inner).isDirectory() ? inner : folder
}

/** Whether a path is a folder of Rego source: one that holds any, and not what was built of it. */
export function isSource(path: string): boolean {
  if (!existsSync(path) || !statSync(path).isDirectory() || existsSync(join(path, 'policy.wasm'))) return false
  return globSync('**/*.rego', { cwd: sourceFolder(path) }).length > 0
}

const apart = /^(?:cases|schemas|starters|node_modules)\/|(?:^|\/)\../

/** Path in the bundle → path on disk. */
function collect(roots: readonly string[], tests: boolean): Map<string, string> {
  const found = new Map<string, string>()
  for (const root of roots) {
    const paths = globSync(['**/*.rego', '**/data.json', '**/data.yaml', '**/data.yml'], { cwd: root })
    for (const path of paths.map((one) => one.replaceAll('\\', '/')).sort()) {
      if (apart.test(path) || (!tests && path.endsWith('_test.rego'))) continue
      if (found.has(path)) throw new AuthorFault(`${join(root, path)} and ${found.get(path)} would be the same file: rename one`)
      found.set(path, join(root, path))
    }
  }
  return found
}

function definesDecision(path: string): boolean {
  if (!path.endsWith('.rego') || path.endsWith('_test.rego')) return false
  const text = readFileSync(path, 'utf8')
  return packageOf(text) === 'countersign' && /^(?:default\s+)?decision\b/m.test(text)
}

function packageOf(text: string): string {
  return /^package\s+([\w.]+)/m.exec(text)?.[1] ?? ''
}

/** Of all that wrote one; packages of folders that did not are rooted by their names. */
function manifest(
  roots: readonly string[],
  library: boolean,
  own: ReadonlyMap<string, string>,
  { tests, metadata }: ComposeOptions,
): JsonRecord {
  const written = roots.map(readManifest).filter((one) => one !== null)
  const claimed = written.flatMap((one) => textsAt(one, 'roots'))
  if (written.length < roots.length) claimed.push(...derived(own))
  if (library) claimed.push(...textsAt(readManifest(packaged) ?? {}, 'roots'))
  // what the library says of itself alone, such as its self-tests, need not hold with rules beside it
  const said = Object.assign({}, ...written.map((one) => one['metadata']))
  const merged = Object.keys(metadata).length === 0 ? said : { ...said, countersign: { ...Object(said)['countersign'], ...metadata } }
  return {
    roots: tests ? [''] : widest(claimed),
    rego_version: 1,
    ...(Object.keys(merged).length === 0 ? {} : { metadata: merged }),
  }
}

function readManifest(root: string): JsonRecord | null {
  const path = join(root, '.manifest')
  if (!existsSync(path)) return null
  try {
    const found: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (isRecord(found)) return found
  } catch (error) {
    throw new AuthorFault(`${path} is not JSON`, { cause: error })
  }
  throw new AuthorFault(`${path} is not an object`)
}

/** The first name of each package and of each document, save under `system`, where others have their own. */
function derived(files: ReadonlyMap<string, string>): string[] {
  const places = [...files].flatMap(([path, origin]): string[] => {
    if (path.endsWith('.rego')) return [packageOf(readFileSync(origin, 'utf8')).replaceAll('.', '/')]
    return path.includes('/') ? [dirname(path)] : topLevel(origin)
  })
  return places
    .filter((place) => place !== '')
    .map((place) =>
      place
        .split('/')
        .slice(0, place.startsWith('system/') ? 2 : 1)
        .join('/'),
    )
}

function topLevel(path: string): string[] {
  if (!path.endsWith('.json')) throw new AuthorFault(`${path}: put it in a folder named as its data is, or write a .manifest with roots`)
  try {
    return Object.keys(Object(JSON.parse(readFileSync(path, 'utf8'))))
  } catch (error) {
    throw new AuthorFault(`${path} is not JSON`, { cause: error })
  }
}

/** Without those that lie within others, sorted: roots must not overlap. */
function widest(roots: readonly string[]): string[] {
  const clean = [...new Set(roots.map((root) => root.replaceAll(/^\/+|\/+$/g, '')))].sort()
  return clean.filter((root) => !clean.some((other) => other !== root && (other === '' || root.startsWith(`${other}/`))))
}
