/** Where Node keeps what it has compiled of this program, so that the next start need not compile it again. */

import { lstatSync, mkdirSync, realpathSync } from 'node:fs'
import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

type Env = Readonly<Record<string, string | undefined>>

/** Made with the image and shipped beside the code, as the code is: whoever can write there can write the code. */
const shipped = fileURLToPath(new URL('../../compiled', import.meta.url))

/**
 * Turns the cache on: the folder that was shipped with the program, else one of the user's own. Whoever can write such a folder decides what
 * runs here, so one that others could write is not used. Where there is none, as on a read-only file system, everything is compiled as
 * before. `NODE_COMPILE_CACHE` and `NODE_DISABLE_COMPILE_CACHE` are the operator's word, and are Node's to follow.
 */
export function useCompileCache(env: Env): void {
  if (env['NODE_COMPILE_CACHE'] !== undefined || env['NODE_DISABLE_COMPILE_CACHE'] !== undefined) return
  const folder = isOurs(shipped) ? shipped : ownFolder(env)
  if (folder !== null) enableCompileCache(folder)
}

/** The user's cache folder, made when it is not there; null when it cannot be had, or others could write it. */
export function ownFolder(env: Env, home: () => string = homedir): string | null {
  try {
    const named = env['XDG_CACHE_HOME']
    const base = named === undefined || !named.startsWith('/') ? join(home(), '.cache') : named
    const folder = join(base, 'countersign', 'compiled')
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    return isOurs(folder) ? realpathSync(folder) : null
  } catch {
    return null
  }
}

const writableByOthers = 0o022
const sticky = 0o1000

/**
 * Whether a folder is there and nobody but its user and root can write it, or put another in its place: it and all that it lies in belong to
 * one of them, and are closed to others; a folder above may be open when each may remove only what is their own, as in `/tmp`.
 */
export function isOurs(folder: string): boolean {
  const user = process.getuid?.()
  if (user === undefined) return false
  try {
    const real = realpathSync(folder)
    for (let at = real; ; at = dirname(at)) {
      const { mode, uid } = lstatSync(at)
      if (uid !== user && uid !== 0) return false
      if ((mode & writableByOthers) !== 0 && (at === real || (mode & sticky) === 0)) return false
      if (at === dirname(at)) return true
    }
  } catch {
    return false
  }
}
