import { mkdirSync, mkdtempSync, renameSync, rmSync, existsSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type { SetFiles } from '../../evidence/read-set.ts'
import { writeTar } from '../../evidence/tar.ts'
import { UsageFault, type Invocation } from '../command.ts'

/** Where a set goes and in which form. */
export interface Place {
  /** Null for standard output. */
  readonly path: string | null
  readonly format: 'dir' | 'tar'
}

/** Reads `--out` and `--format`; without a format it is an archive when the name says so. Throws UsageFault, also when something is there. */
export function placeOf(out: string, format: string | undefined): Place {
  if (format !== undefined && format !== 'dir' && format !== 'tar') throw new UsageFault('--format takes dir or tar')
  if (out === '-') {
    if (format === 'dir') throw new UsageFault('standard output takes an archive: leave --format out')
    return { path: null, format: 'tar' }
  }
  if (existsSync(out)) throw new UsageFault(`${out} exists: give another --out, or remove it`)
  return { path: out, format: format ?? (out.endsWith('.tar') ? 'tar' : 'dir') }
}

/** Writes all of it, or nothing. `time`: epoch ms, of the files of an archive. Throws UsageFault when the place cannot be written. */
export function writeSet(files: SetFiles, { path, format }: Place, time: number, stdout: Invocation['stdout']): void {
  if (path === null) {
    stdout.write(writeTar(files, time))
    return
  }
  const parent = dirname(resolve(path))
  let draft: string | null = null
  try {
    mkdirSync(parent, { recursive: true })
    // written aside, so that nobody finds half a set under its name
    draft = mkdtempSync(join(parent, '.evidence-'))
    if (format === 'tar') writeFileSync(join(draft, 'set.tar'), writeTar(files, time), { mode: 0o600 })
    else writeFolder(files, join(draft, 'set'))
    renameSync(join(draft, format === 'tar' ? 'set.tar' : 'set'), path)
  } catch (error) {
    throw new UsageFault(`${path} cannot be written: ${error instanceof Error ? error.message : String(error)}`)
  } finally {
    if (draft !== null) rmSync(draft, { recursive: true, force: true })
  }
}

function writeFolder(files: SetFiles, folder: string): void {
  for (const [path, bytes] of files) {
    const place = join(folder, path)
    mkdirSync(dirname(place), { recursive: true, mode: 0o700 })
    writeFileSync(place, bytes, { mode: 0o600 })
  }
}
