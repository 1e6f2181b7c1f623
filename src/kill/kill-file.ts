/** A file that stops things: out of band, so that a kill lands although nothing else answers. */
import { lstat, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { KillRow } from '../state/kills.ts'
import type { Kills } from './kills.ts'
import { readKillLines } from './kill-lines.ts'

export interface KillFileOptions {
  /** A file, or a folder whose files are read; absent: there are no kills by file. */
  readonly path: string
  readonly kills: Pick<Kills, 'engage'>
  /** Told of every new fault, and of null when what was read is good again. */
  readonly failed: (faults: readonly string[] | null) => void
  /** Milliseconds between two looks. */
  readonly every?: number
}

/** A file of more bytes, or a folder of more files, is no kill file. */
const mostBytes = 1024 * 1024
const mostFiles = 256

interface Looked {
  readonly stamp: string
  /** Whether the last line counts, though it has no end: the file was the same at the look before. */
  readonly still: boolean
}

/**
 * Looks at the file every quarter of a second and engages what it says. What stands there is engaged; what no longer stands there stays
 * engaged until a person lifts it. What cannot be read is loud, and takes nothing back.
 */
export class KillFile {
  readonly #options: KillFileOptions
  /** File → what was last seen of it. Written by `#readOne`. */
  readonly #seen = new Map<string, Looked>()
  /** File → the kills that it asks for, as it was last read. Written by `#readOne`. */
  readonly #asked = new Map<string, ReadonlySet<string>>()
  /** File → what is wrong with it. */
  readonly #faults = new Map<string, readonly string[]>()
  #told = ''
  #looking: Promise<void> | null = null
  #timer: NodeJS.Timeout | null = null

  constructor(options: KillFileOptions) {
    this.#options = options
  }

  /** Looks for the first time; resolves when what stands there is in force. */
  async start(): Promise<void> {
    await this.look()
    // a file that nobody is writing while we start may lack its last line end
    await this.look()
    this.#timer = setInterval(() => void this.look(), this.#options.every ?? 250).unref()
  }

  /** Looks now. Two looks never run at once. Never rejects. */
  look(): Promise<void> {
    return (this.#looking ??= this.#look().finally(() => (this.#looking = null)))
  }

  /** Whether a file still asks for this kill. */
  asksFor({ scope, name }: Pick<KillRow, 'scope' | 'name'>): boolean {
    return [...this.#asked.values()].some((asked) => asked.has(keyOf({ scope, name })))
  }

  async close(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
    await this.#looking
  }

  async #look(): Promise<void> {
    const { path, failed } = this.#options
    let files: readonly string[] = []
    let lost: string | null = null
    try {
      files = await filesAt(path)
    } catch (error) {
      lost = reasonOf(path, error)
    }
    for (const file of files) await this.#readOne(file)
    // what is out of sight has not changed its mind; what is gone has
    if (lost === null)
      for (const map of [this.#seen, this.#asked, this.#faults]) for (const file of map.keys()) if (!files.includes(file)) map.delete(file)
    const faults = [...(lost === null ? [] : [lost]), ...[...this.#faults.values()].flat()]
    const told = faults.join('\n')
    if (told !== this.#told) failed(faults.length === 0 ? null : faults)
    this.#told = told
  }

  async #readOne(file: string): Promise<void> {
    try {
      const stamp = await stampOf(file)
      const before = this.#seen.get(file)
      if (before?.stamp === stamp && before.still) return
      const still = before?.stamp === stamp
      const { stops, faults } = readKillLines(await readFile(file, 'utf8'), still)
      this.#asked.set(file, new Set(stops.map(keyOf)))
      const refused: string[] = []
      // all of them are in force before one is waited for
      const engaged = stops.map(({ scope, name, reason }) =>
        this.#options.kills.engage({ scope, name, by: `file:${file}`, reason: reason || 'the kill file says so' }),
      )
      for (const one of await Promise.allSettled(engaged))
        if (one.status === 'rejected') refused.push(`in force and not recorded: ${String(one.reason)}`)
      this.#seen.set(file, { stamp, still: still && refused.length === 0 })
      const wrong = [...faults, ...refused]
      if (wrong.length > 0)
        this.#faults.set(
          file,
          wrong.map((fault) => `${file}: ${fault}`),
        )
      else this.#faults.delete(file)
    } catch (error) {
      if (isGone(error)) return
      this.#seen.delete(file)
      this.#faults.set(file, [reasonOf(file, error)])
    }
  }
}

/** The file itself, or those in the folder, hidden ones left out: a mounted ConfigMap keeps its generations there. None: nothing is there. */
async function filesAt(path: string): Promise<readonly string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path]
  } catch (error) {
    if (isGone(error) && !(await isLink(path))) return []
    throw error
  }
  const names = (await readdir(path)).filter((name) => !name.startsWith('.')).sort()
  if (names.length > mostFiles) throw new Error(`more than ${mostFiles} files`)
  return names.map((name) => join(path, name))
}

async function stampOf(file: string): Promise<string> {
  const found = await stat(file)
  if (!found.isFile()) throw new Error('not a file')
  if (found.size > mostBytes) throw new Error(`larger than ${mostBytes} bytes`)
  return `${found.dev}:${found.ino} ${found.size} ${found.mtimeMs} ${found.ctimeMs}`
}

/** A link that leads nowhere is a fault, not an absence. */
async function isLink(path: string): Promise<boolean> {
  return lstat(path).then(
    (found) => found.isSymbolicLink(),
    () => false,
  )
}

function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

function reasonOf(file: string, error: unknown): string {
  return `${file}: ${error instanceof Error ? error.message : 'cannot be read'}`
}

function keyOf({ scope, name }: Pick<KillRow, 'scope' | 'name'>): string {
  return `${scope}\n${name ?? ''}`
}
