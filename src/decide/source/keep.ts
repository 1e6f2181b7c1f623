/** The last good bundle on disk, and what has to outlive the process with it. */

import { createHash, randomBytes } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Order, Seen } from '../bundle/order.ts'
import { reasonOf, SourceFault, type Content, type Mark } from './source.ts'

/** What is remembered of a source. */
export interface Memory {
  /** Digest and revision of the bundle that is kept, as it was read. */
  readonly digest: string
  readonly revision: string
  /** Of the source, when it gave that bundle. */
  readonly mark: Mark
  readonly seen: Seen
  /** Epoch ms: when the source last confirmed it. */
  readonly confirmed: number
  /** Ms that this was ago at least when it was written down. */
  readonly age: number
}

/** What is written down: the memory, and which file holds the bundle. */
interface Stored extends Memory {
  readonly v: 1
  readonly source: string
  readonly form: Content['form']
  /** Of the file that holds the bundle. */
  readonly sha256: string
}

/**
 * A folder in which sources keep their last good bundle, each under a name made from what was configured, so that no source takes up
 * another's. Files are replaced as a whole, synced, mode 0600. What is kept is believed as little as what a source sends: its digest is
 * compared here, its signature is verified again by whoever takes it up.
 */
export class Keep {
  readonly #folder: string
  readonly #source: string
  readonly #name: string
  #stored: Stored | null = null
  /** Writes in order; never rejects. */
  #last: Promise<unknown> = Promise.resolve()

  /** `source`: what was configured, as text. */
  constructor(folder: string, source: string) {
    this.#folder = folder
    this.#source = source
    this.#name = createHash('sha256').update(source).digest('hex').slice(0, 24)
  }

  /** What was remembered; null when nothing was. Rejects with SourceFault when it cannot be read. */
  async recall(): Promise<Memory | null> {
    const text = await whenThere(readFile(this.#path('.json'), 'utf8'))
    if (text === null) return null
    this.#stored = readStored(text, this.#source)
    return this.#stored
  }

  /** The bundle that `recall` told of. Rejects with SourceFault when it is not there or not what was kept. */
  async bundle(): Promise<Content> {
    const stored = this.#stored
    const bytes = stored === null ? null : await whenThere(readFile(this.#bundlePath(stored)))
    if (stored === null || bytes === null) throw new SourceFault('no bundle was kept')
    if (sha256(bytes) !== stored.sha256) throw new SourceFault('the bundle that was kept is not what is there now')
    return stored.form === 'packed' ? { form: 'packed', bytes } : unframed(bytes)
  }

  /** Keeps a bundle and what goes with it. Rejects when it cannot be written; what was kept before is then still there. */
  keep(content: Content, memory: Memory): Promise<void> {
    return this.#inOrder(async () => {
      const bytes = content.form === 'packed' ? content.bytes : framed(content.files)
      const stored: Stored = { v: 1, source: this.#source, form: content.form, sha256: sha256(bytes), ...memory }
      await mkdir(this.#folder, { recursive: true, mode: 0o700 })
      if (this.#stored?.sha256 !== stored.sha256) await this.#replace(this.#bundlePath(stored), bytes)
      await this.#write(stored)
      await this.#sweep(stored)
    })
  }

  /** Writes down another memory of the bundle that is kept; nothing happens when none is. */
  note(memory: Memory): Promise<void> {
    return this.#inOrder(async () => {
      if (this.#stored !== null && this.#stored.digest === memory.digest) await this.#write({ ...this.#stored, ...memory })
    })
  }

  /** Resolves when nothing is being written any more. */
  async settled(): Promise<void> {
    await this.#last
  }

  #inOrder(work: () => Promise<void>): Promise<void> {
    const done = this.#last.then(work)
    this.#last = done.catch(() => undefined)
    return done
  }

  async #write(stored: Stored): Promise<void> {
    await this.#replace(this.#path('.json'), Buffer.from(`${JSON.stringify(stored)}\n`))
    this.#stored = stored
  }

  /** The name is the old one or the new one, whenever power goes. */
  async #replace(path: string, bytes: Uint8Array): Promise<void> {
    const next = `${path}.${randomBytes(4).toString('hex')}.next`
    try {
      const file = await open(next, 'wx', 0o600)
      try {
        await file.writeFile(bytes)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(next, path)
    } catch (error) {
      await rm(next, { force: true })
      throw error
    }
    const folder = await open(this.#folder)
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  }

  /** Bundles of this source before this one, and what a crash left half written. */
  async #sweep(stored: Stored): Promise<void> {
    const kept = [this.#path('.json'), this.#bundlePath(stored)]
    for (const name of await readdir(this.#folder)) {
      const path = join(this.#folder, name)
      if (name.startsWith(this.#name) && !kept.includes(path)) await rm(path, { force: true })
    }
  }

  #path(ending: string): string {
    return join(this.#folder, `${this.#name}${ending}`)
  }

  #bundlePath({ form, sha256: digest }: Stored): string {
    return this.#path(`-${digest.slice(0, 12)}.${form === 'packed' ? 'tar.gz' : 'files'}`)
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

async function whenThere<Read>(reading: Promise<Read>): Promise<Read | null> {
  try {
    return await reading
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw new SourceFault(`what was kept cannot be read: ${reasonOf(error)}`, { cause: error })
  }
}

function readStored(text: string, source: string): Stored {
  let stored: unknown
  try {
    stored = JSON.parse(text)
  } catch {
    stored = null
  }
  if (!isStored(stored)) throw new SourceFault('what was kept is not readable')
  if (stored.source !== source) throw new SourceFault('what was kept is of another source')
  return stored
}

function isStored(value: unknown): value is Stored {
  const { v, source, form, sha256: digest, digest: own, revision, mark, seen, confirmed, age } = Object(value) as Record<string, unknown>
  const texts = [source, digest, own, revision].every((one) => typeof one === 'string')
  const times = [confirmed, age].every((one) => typeof one === 'number' && Number.isFinite(one))
  return v === 1 && texts && times && (form === 'packed' || form === 'files') && (mark === null || typeof mark === 'string') && isSeen(seen)
}

function isSeen(value: unknown): value is Seen {
  const { order, issued, digest, superseded } = Object(value) as Record<string, unknown>
  const names = Array.isArray(superseded) && superseded.every((one) => typeof one === 'string')
  const dated = issued === undefined || Number.isSafeInteger(issued)
  return names && dated && typeof digest === 'string' && (order === null || isOrder(order))
}

function isOrder(value: unknown): value is Order {
  const { kind, value: number } = Object(value) as Record<string, unknown>
  return (kind === 'serial' || kind === 'revision' || kind === 'issued') && Number.isSafeInteger(number)
}

/** The files of a folder as one: a line that lists them with their sizes, then their bytes. */
function framed(files: ReadonlyMap<string, Uint8Array>): Uint8Array {
  const list = [...files].map(([name, bytes]) => [name, bytes.length])
  return Buffer.concat([Buffer.from(`${JSON.stringify(list)}\n`), ...files.values()])
}

function unframed(bytes: Buffer): Content {
  const end = bytes.indexOf(0x0a)
  const list: unknown = JSON.parse(bytes.toString('utf8', 0, Math.max(0, end)))
  const files = new Map<string, Uint8Array>()
  let at = end + 1
  for (const [name, size] of Array.isArray(list) ? list : []) {
    files.set(String(name), bytes.subarray(at, (at += Number(size))))
  }
  return { form: 'files', files }
}
