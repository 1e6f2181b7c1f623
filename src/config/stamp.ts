/** Tells whether a file, or a folder of files, has changed. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** Tells one state of a file from another; a symlink's is that of the file it leads to. */
export function stampOf(file: string): string {
  try {
    const { dev, ino, size, mtimeMs, ctimeMs } = statSync(file)
    return `${dev}:${ino} ${size} ${mtimeMs} ${ctimeMs}`
  } catch (error) {
    return codeOf(error)
  }
}

/** Tells one state of a folder and the files in it from another. */
export function stampOfFolder(folder: string): string {
  try {
    // of each name: what swaps the content of a mounted folder may leave its own times alone
    const names = readdirSync(folder).sort()
    return names.map((name) => `${name} ${stampOf(join(folder, name))}`).join('\n')
  } catch (error) {
    return codeOf(error)
  }
}

/** Tells one state of a file, or of a folder and the files in it, from another. */
export function stampOfPath(path: string): string {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true ? stampOfFolder(path) : stampOf(path)
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
}
