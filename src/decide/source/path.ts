/** Bundles on disk: a packed file, or a folder with the files of one. */

import { open, readdir, realpath, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { mostPacked, mostUnpacked, reasonOf, SourceFault, type BundleSource, type Content, type Known, type Sight } from './source.ts'

export interface PathOptions {
  readonly kind: 'shipped' | 'path'
  readonly path: string
  /** Tells one state of a file from another, following symlinks. Never throws. */
  readonly stamp: (file: string) => string
  /** Ms between two looks; null: once is enough. */
  readonly poll: { readonly min: number; readonly max: number } | null
}

/**
 * A source that polls. Mounted ConfigMaps, which swap a symlink, are seen; nothing outside the folder is read. What changed while it was
 * read is not given: the next look has it whole.
 */
export function pathSource({ kind, path, stamp, poll }: PathOptions): BundleSource {
  return {
    kind,
    place: path,
    async look(known) {
      try {
        const isFolder = (await stat(path)).isDirectory()
        return await (isFolder ? lookInto(path, stamp, known) : lookAt(path, stamp, known))
      } catch (error) {
        throw error instanceof SourceFault ? error : new SourceFault(`${path} cannot be read: ${reasonOf(error)}`, { cause: error })
      }
    },
    wait: () => (poll === null ? null : poll.min + Math.random() * (poll.max - poll.min)),
  }
}

async function lookAt(path: string, stamp: PathOptions['stamp'], known: Known): Promise<Sight> {
  const mark = stamp(path)
  const old = standing(mark, known)
  if (old !== null) return old
  const bytes = await readBounded(path, mostPacked, 'the bundle is larger than 16 MiB')
  if (stamp(path) !== mark) throw changing(path)
  return { is: 'new', content: { form: 'packed', bytes }, mark }
}

async function lookInto(folder: string, stamp: PathOptions['stamp'], known: Known): Promise<Sight> {
  const found = await filesOf(folder)
  const mark = stampAll(found, stamp)
  const old = standing(mark, known)
  if (old !== null) return old
  const content = await readAll(found)
  if (stampAll(await filesOf(folder), stamp) !== mark) throw changing(folder)
  return { is: 'new', content, mark }
}

function standing(mark: string, { adopted, refused }: Known): Sight | null {
  if (mark === adopted) return { is: 'adopted', mark }
  return mark === refused ? { is: 'refused' } : null
}

function changing(path: string): SourceFault {
  return new SourceFault(`${path} changed while it was read`)
}

/** Name in the bundle → the real file. */
type Found = ReadonlyMap<string, string>

const mostFiles = 1000
const deepest = 16

async function filesOf(folder: string): Promise<Found> {
  const found = new Map<string, string>()
  await gather({ root: await realpath(folder), found }, '', 0)
  return found
}

/** Names that begin with `..` are how a ConfigMap keeps its versions: its files are symlinks into the one in force. */
async function gather(into: { readonly root: string; readonly found: Map<string, string> }, below: string, depth: number): Promise<void> {
  const { root, found } = into
  if (depth > deepest) throw new SourceFault(`${below} lies too deep`)
  for (const name of (await readdir(join(root, below))).sort()) {
    if (name.startsWith('..')) continue
    const path = below === '' ? name : `${below}/${name}`
    const real = await realpath(join(root, path))
    if (!real.startsWith(root + sep)) throw new SourceFault(`${path} leads out of the folder`)
    const about = await stat(real)
    if (about.isDirectory()) await gather(into, path, depth + 1)
    else if (about.isFile()) found.set(path, real)
    else throw new SourceFault(`${path} is neither a file nor a folder`)
    if (found.size > mostFiles) throw new SourceFault(`the folder holds more than ${mostFiles} files`)
  }
}

function stampAll(found: Found, stamp: PathOptions['stamp']): string {
  return [...found].map(([name, real]) => `${name} ${stamp(real)}`).join('\n')
}

async function readAll(found: Found): Promise<Content> {
  const files = new Map<string, Uint8Array>()
  let left = mostUnpacked
  for (const [name, real] of found) {
    const bytes = await readBounded(real, left, 'the files of the bundle are larger than 64 MiB')
    left -= bytes.length
    files.set(name, bytes)
  }
  return { form: 'files', files }
}

/** Reads a file that may grow meanwhile. */
async function readBounded(path: string, most: number, beyond: string): Promise<Uint8Array> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    if (size > most) throw new SourceFault(beyond)
    const bytes = Buffer.alloc(size)
    let at = 0
    while (at < size) {
      const { bytesRead } = await file.read(bytes, at, size - at, at)
      if (bytesRead === 0) throw changing(path)
      at += bytesRead
    }
    return bytes
  } finally {
    await file.close()
  }
}
